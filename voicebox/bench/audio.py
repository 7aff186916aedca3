"""How a reply is silenced, what the next one loses by it, and whether a long one arrives whole."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import nan

import numpy as np

from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.playback import Playback
from voicebox.audio.streams import PERIOD
from voicebox.bench import _rig
from voicebox.bench._card import card_figures
from voicebox.bench._codes import Samples, account, begin
from voicebox.bench._delivery import delivery_figures
from voicebox.bench._figures import Figure, Options, at_most, stated
from voicebox.wake.base import HOP, Phrase

_GRANT = round(PERIOD * PLAYBACK_RATE)
"""Samples that a card is granted at a time."""
_BEFORE = 4_800
"""Samples before a flush in which its reply began, and none before it."""


def run(options: Options) -> list[Figure]:
    figures = delivery_figures(options.times(10))
    if options.card:
        figures += card_figures(options)
    boxes, pulse = _rig.boxes(), _rig.pulse()
    if boxes is None or pulse is None:
        options.left_out("flush, and playback on PulseAudio", _rig.WHY_NOT)
        return figures
    figures += flush_figures("WAV", boxes.WavBox(), options.times(1000))
    if not pulse.available():
        options.left_out("PulseAudio", "install pulseaudio, pulseaudio-utils and libasound2-plugins")
        return figures
    with pulse.PulseServer() as server:
        os.environ.update(server.env)
        figures += flush_figures("PulseAudio", boxes.PulseBox(server), options.times(1000))
        with wake_network_working() as working:
            figures += playback_figures(f"PulseAudio, {working}", boxes.PulseBox(server), options.times(60))
    return figures


def noise(samples: int, seed: int) -> Samples:
    """Sample-coded sound: no zeros, and no stretch like another."""
    values = np.random.default_rng(seed).integers(1_000, 12_000, samples)
    return np.where(np.arange(samples) % 2, values, -values).astype(np.int16)


def _drained(box: "_rig.Box", reply_id: int) -> bool:
    return reply_id in box.drained


@dataclass
class _Grants:
    """Counts what a speaker's card takes. Between two of its pulls the count is what it has been granted."""

    speaker: Playback
    samples: int = 0  # of sound: sample-coded sound has no zeros

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._pull = self.speaker.pull
        setattr(self.speaker, "pull", self._counted)  # noqa: B010  # to the type checker it is no variable

    def _counted(self, frames: int, heard_at: float, **when: float) -> bytes | None:
        with self._lock:
            out = self._pull(frames, heard_at, **when)
            self.samples += int(np.count_nonzero(np.frombuffer(out or b"", np.int16)))
            return out

    def before(self, flush: Callable[[], object]) -> int:
        """Flush; how many samples of sound the card had been granted then."""
        with self._lock:
            flush()
            return self.samples


@dataclass(frozen=True, slots=True)
class _Cut:
    """One interruption: when flush was called, when the next reply was over, in the box's time; how much the card had
    been granted of the reply that was cut; and whether the machine was too busy for sound meanwhile."""

    called: float
    over: float
    granted: int
    disturbed: bool


def flush_figures(label: str, box: "_rig.Box", cycles: int) -> list[Figure]:
    """Interrupt a reply at random phases, each followed at once by the next reply."""
    dead, alive = noise(48_000, 1), noise(2_400, 2)
    cuts: list[_Cut] = []
    recorded = np.zeros(0, np.int16)

    async def interrupt(box: "_rig.Box") -> None:
        nonlocal recorded
        speaker, chance = box.backend.speaker, random.Random(1)  # noqa: S311  # phases, not secrets
        grants = _Grants(speaker)
        for cycle in range(1, 2 * cycles, 2):
            before, late = grants.samples, box.late
            speaker.play(cycle, dead.tobytes())
            await box.listen(1_900 + chance.randrange(960))
            called = box.clock()
            granted = grants.before(partial(speaker.flush, cycle)) - before
            await box.listen(chance.randrange(960))
            speaker.play(cycle + 1, alive.tobytes())
            speaker.finish(cycle + 1)
            await box.until(partial(_drained, box, cycle + 1))
            cuts.append(_Cut(called, box.clock(), granted, disturbed=box.late > late))
        await box.listen(2_400)
        recorded = box.heard()

    box.run(interrupt)
    outcomes = [(_outcome(cut, box, recorded, dead, alive), cut.disturbed) for cut in cuts]
    undisturbed = [outcome for outcome, disturbed in outcomes if not disturbed]
    silent, stale, lost = zip(*undisturbed, strict=True) if undisturbed else ([nan], [nan], [nan])
    everywhere = sum(missing for (_, _, missing), _ in outcomes)
    label = f"{label}, {len(undisturbed)} flushes"
    return [
        stated(f"{label}: silent after, median", float(np.median(silent)), "ms"),
        at_most(f"{label}: silent after, worst", max(silent), "ms", 20),
        at_most(f"{label}: stale samples beyond what the card had been granted, worst", max(stale), "samples", _GRANT),
        at_most(f"{label}: samples lost of the next replies", sum(lost), "samples", 0),
        stated(f"{label}: and others, the machine being too busy for sound", cycles - len(undisturbed), "flushes"),
        stated(f"{label}: samples lost of the next replies, with those others", everywhere, "samples"),
    ]


def _outcome(cut: _Cut, box: "_rig.Box", recorded: Samples, dead: Samples, alive: Samples) -> tuple[float, int, int]:
    """Milliseconds until the dead reply was silent, how many samples of it were heard that the card had not yet been
    granted, and how many of the next one are missing."""
    start, end = box.index(cut.called), box.index(cut.over) + 480
    first = start - _BEFORE + begin(dead, recorded[start - _BEFORE : start])
    following = start + begin(alive, recorded[start:end])
    stale = first + np.flatnonzero(recorded[first:following])
    silent = (int(stale[-1]) + 1 - start) / 24 if stale.size else 0.0
    return silent, stale.size - cut.granted, _missing(alive, recorded[following:end])


def _missing(meant: Samples, recorded: Samples) -> int:
    """Samples that are not there. Sample-coded sound has no zeros: those are pauses, which lose nothing."""
    return account(meant, recorded[recorded != 0])[0]


def playback_figures(label: str, box: "_rig.Box", seconds: int) -> list[Figure]:
    """A long reply, compared sample by sample with what left the speaker."""
    reply = noise(24_000 * seconds, 3)
    lost = underruns = 0

    async def play(box: "_rig.Box") -> None:
        nonlocal lost, underruns
        box.backend.speaker.play(1, reply.tobytes())
        box.backend.speaker.finish(1)
        await box.until(lambda: 1 in box.drained, seconds + 30)
        await box.listen(2_400)
        lost = _missing(reply, box.heard())
        underruns = box.backend.speaker.underruns

    box.run(play)
    return [
        at_most(f"{label}: samples lost in {seconds} s", lost, "samples", 0),
        at_most(f"{label}: underruns in {seconds} s", underruns, "times", 0),
        stated(f"{label}: times the machine called later than the card's buffer lasts", box.late, "times"),
    ]


@contextmanager
def wake_network_working() -> Iterator[str]:
    """Score audio in another thread as fast as the box does, ten times over; a plain busy thread where it cannot."""
    stop = threading.Event()
    try:
        from voicebox.wake.openwakeword import OpenWakeWord  # noqa: PLC0415  # needs the networks' files

        detector = OpenWakeWord([Phrase("hey_jarvis")])
        sound = noise(HOP, 4)
        name = "wake network 10x real time"

        def work() -> object:
            return detector.process(sound)

    except ImportError as error:
        name = f"busy thread instead of the wake network ({error})"

        def work() -> object:
            return sum(range(20_000))

    def run() -> None:
        while not stop.wait(0.008):
            work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield name
    finally:
        stop.set()
        thread.join()
