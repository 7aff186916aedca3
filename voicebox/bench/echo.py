"""Echo cancellation in simulated rooms: how much is taken out, and whether the wake word gets through a reply."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import CAPTURE_RATE
from voicebox.bench import Figure, Options, _rig, at_least, at_most, stated
from voicebox.bench._echo_card import echo_figures
from voicebox.bench._rooms import Path, SimulatedBox, Sound
from voicebox.uplink import JUDGED, OURS
from voicebox.wake.base import HOP, Phrase
from voicebox.wake.openwakeword import OpenWakeWord

SETTLED = 15.0
"""Seconds of replies after which the canceller counts as warm."""
_LENGTH = 40.0
_SPACING = 4.0  # seconds from one caller to the next
_MOVES_AT = 20.0
_VISIT = 5  # minutes
_NOISE = 1.0  # the microphone's own, RMS: -90 dBFS

CALLERS = (
    "espeak:en-us",
    "espeak:en-gb+f3",
    "espeak:en-gb-scotland@140",
    "espeak:en-us+m3@190",
    "espeak:en-gb-x-rp+f2",
    "espeak:en-029+m5",
    "flite:kal",
    "flite:awb",
    "flite:rms",
    "flite:slt",
)
"""Who says "hey jarvis"."""
_REPLIERS = ("flite:rms", "flite:slt", "flite:awb", "espeak:en-us", "espeak:en-gb")
_REPLIES = (
    "The weather tomorrow will be sunny with a light breeze from the west, and around twenty two degrees.",
    "Here is what I found about the history of the steam engine. It took many years and several inventors.",
    "To make a good soup you need an onion, two carrots, some celery and water. Bring it to the boil slowly.",
    "The train to the airport leaves every fifteen minutes from platform four. The next one leaves at ten past nine.",
    "There are eight planets in the solar system. The largest of them is Jupiter, which has more than ninety moons.",
)
_LEVEL = 2500.0  # RMS of speech as it is played: -22 dBFS


@dataclass(frozen=True, slots=True)
class Scene:
    name: str
    path: Path
    then: Path | None = None
    """The path from _MOVES_AT on."""
    hard: bool = False

    def echo(self, played: Sound) -> Sound:
        if self.then is None:
            return self.path.echo(played)
        change = round(_MOVES_AT * CAPTURE_RATE)
        return np.concatenate([self.path.echo(played)[:change], self.then.echo(played)[change:]])


SCENES = (
    Scene("+6 dB", Path(gain=6)),
    Scene("0 dB, 20 ms", Path(delay=0.02)),
    Scene("0 dB, 200 ms", Path(delay=0.2)),
    Scene("-10 dB, reverberation 0.5 s", Path(gain=-10, delay=0.08, reverberation=0.5)),
    Scene("-20 dB", Path(gain=-20, delay=0.1)),
    Scene("clipping 6 dB", Path(clip=6), hard=True),
    Scene("clipping 12 dB", Path(clip=12), hard=True),
    Scene("drift +50 ppm", Path(drift=50), hard=True),
    Scene("drift -50 ppm", Path(drift=-50), hard=True),
    Scene("moved", Path(), Path(gain=-3, delay=0.07, seed=2), hard=True),
)


def run(options: Options) -> list[Figure]:
    """Attenuation and recall for every scene, and an hour of replies that say the wake word themselves."""
    figures = echo_figures(options) if options.card else []
    speech = _rig.speech()
    if speech is None:
        options.left_out("echo in simulated rooms", _rig.WHY_NOT)
        return figures
    voices = Voices(speech)
    figures += [figure for scene in SCENES for figure in attenuation(scene, voices)]
    figures += without(voices)
    for scene in SCENES:
        figures += [recall(scene, ratio, voices) for ratio in (-20, -10, -5, 0)]
    return figures + alone(voices, options.times(60))


class Voices:
    """Replies and callers, spoken by espeak-ng and flite."""

    def __init__(self, speech: ModuleType) -> None:
        self._speech = speech

    def say(self, text: str, voice: str) -> Sound:
        sound = self._speech.say(text, voice).astype(np.float64)
        return np.asarray(sound * (_LEVEL / loudness(sound)))

    def replies(self, seconds: float, first: int = 0) -> Sound:
        """One after another, with breaths."""
        pieces: list[Sound] = []
        while sum(piece.size for piece in pieces) < seconds * CAPTURE_RATE:
            turn = first + len(pieces) // 2
            pieces += [
                self.say(_REPLIES[turn % len(_REPLIES)], _REPLIERS[turn // 2 % len(_REPLIERS)]),
                np.zeros(CAPTURE_RATE // 3),
            ]
        return np.concatenate(pieces)[: round(seconds * CAPTURE_RATE)]


def loudness(sound: Sound) -> float:
    """RMS of what is not a pause."""
    sounding = np.abs(sound) > np.abs(sound).max() / 50
    return float(np.sqrt(np.mean(sound[sounding] ** 2)))


def noise(length: int, seed: int = 7) -> Sound:
    return np.random.default_rng(seed).normal(0, _NOISE, length)


# --- attenuation -----------------------------------------------------------------------------------------------------


def attenuation(scene: Scene, voices: Voices) -> list[Figure]:
    """dB taken out of the echo once the canceller is warm, and on the way there."""
    played = voices.replies(_LENGTH + (_MOVES_AT if scene.then else 0.0))
    heard = scene.echo(played) + noise(played.size)
    cleaned = SimulatedBox(played, heard, drift=scene.path.drift).run()
    since = _MOVES_AT if scene.then else 0.0
    limit = 20.0 if scene.hard else 35.0
    name = f"echo, {scene.name}"
    return [
        at_least(f"{name}: attenuation when warm", reduction(heard, cleaned, since + SETTLED), "dB", limit),
        stated(f"{name}: attenuation in seconds 2 to 4", reduction(heard, cleaned, since + 2, since + 4), "dB"),
    ]


def reduction(heard: Sound, cleaned: NDArray[np.int16], start: float, end: float | None = None) -> float:
    stretch = slice(round(start * CAPTURE_RATE), None if end is None else round(end * CAPTURE_RATE))
    left = cleaned[stretch].astype(np.float64)
    return float(10 * np.log10(np.mean(heard[stretch][: left.size] ** 2) / np.mean(left**2)))


# --- the wake word over a reply --------------------------------------------------------------------------------------


def called(scene: Scene, ratio: float, voices: Voices) -> tuple[Sound, Sound, list[tuple[int, int]]]:
    """What is played, what is heard, and where the callers begin and end."""
    first = SETTLED + (_MOVES_AT if scene.then else 0.0)
    played = voices.replies(first + _SPACING * len(CALLERS) + 2)
    echo = scene.echo(played)
    heard = echo + noise(played.size)
    level = loudness(echo) * 10 ** (ratio / 20)
    where = []
    for number, voice in enumerate(CALLERS):
        call = voices.say("hey jarvis", voice)
        start = round((first + _SPACING * number) * CAPTURE_RATE)
        heard[start : start + call.size] += call * (level / loudness(call))
        where.append((start, start + call.size))
    return played, heard, where


def recall(scene: Scene, ratio: float, voices: Voices) -> Figure:
    played, heard, where = called(scene, ratio, voices)
    wakes = list(woken(SimulatedBox(played, heard, drift=scene.path.drift)))
    hits = count(wakes, where)
    name = f"echo, {scene.name}: callers heard, speech {ratio:+d} dB to echo, of {len(CALLERS)}"
    wanted = (8 if ratio >= -5 else None) if scene.hard else (9 if ratio >= -10 else None)
    return stated(name, hits, "") if wanted is None else at_least(name, hits, "", wanted)


def woken(box: SimulatedBox) -> Iterator[tuple[int, bool]]:
    """(position, whether it was taken for the box's own voice) of every wake word."""
    engine = OpenWakeWord([Phrase("hey_jarvis")], refractory=2.0)
    pending = np.empty(0, np.int16)
    for ready in box.blocks():
        for block in ready:
            pending = np.concatenate([pending, np.frombuffer(block.pcm, np.int16)])
            if pending.size < HOP:
                continue
            hop, pending = pending[:HOP], pending[HOP:]
            if engine.process(hop, playing=box.canceller.active):
                end = block.position + len(block.pcm) // 2 - pending.size
                own = box.canceller.played(end, JUDGED)
                yield end, own is not None and engine.hears(own)["hey_jarvis"] >= OURS


def count(wakes: Sequence[tuple[int, bool]], where: Sequence[tuple[int, int]]) -> int:
    """How many of the callers were heard."""
    late = CAPTURE_RATE
    return sum(any(start < at < end + late and not own for at, own in wakes) for start, end in where)


def without(voices: Voices) -> list[Figure]:
    """The same without a canceller, for comparison."""
    figures = []
    for ratio in (-10, 0):
        _, heard, where = called(SCENES[0], ratio, voices)
        silence = np.zeros(heard.size)
        hits = count(list(woken(SimulatedBox(silence, heard))), where)
        figures.append(stated(f"no canceller: callers heard, speech {ratio:+d} dB to echo, of 10", hits, ""))
    return figures


# --- the box alone ---------------------------------------------------------------------------------------------------


def alone(voices: Voices, minutes: int) -> list[Figure]:
    """The box talks, and says its own wake word once a minute; nobody else does. Every five minutes it is another box,
    in another room, that has heard nothing yet."""
    wakes: list[bool] = []
    for first in range(0, minutes, _VISIT):
        played = np.concatenate([monologue(voices, minute) for minute in range(first, min(first + _VISIT, minutes))])
        path = Path(
            gain=(6, 0, -10)[first % 3], delay=(0.02, 0.08, 0.2)[first % 3], drift=(0, 40)[first % 2], seed=first
        )
        heard = path.echo(played) + noise(played.size, seed=first)
        wakes += [own for _, own in woken(SimulatedBox(played, heard, drift=path.drift))]
    name = f"echo, the box alone, its own wake word once a minute, {minutes} minutes"
    return [
        at_most(f"{name}: wakes", wakes.count(False), "times", 0),
        stated(f"{name}: wakes that were its own voice", wakes.count(True), "times"),
    ]


def monologue(voices: Voices, minute: int) -> Sound:
    """A minute of it: a first word, half a minute of replies, a rest for the card, and more."""
    replier = _REPLIERS[minute % len(_REPLIERS)]
    name, breath = voices.say("hey jarvis", replier), np.zeros(CAPTURE_RATE // 3)
    pieces = [voices.replies(22, minute), np.zeros(8 * CAPTURE_RATE), voices.replies(25, minute + 3)]
    pieces.insert(minute % 3, np.concatenate([breath, name, breath]))
    return np.concatenate(pieces)
