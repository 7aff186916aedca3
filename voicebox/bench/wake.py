"""What hearing the wake word costs beside bare inference of the same networks, and whether anything is lost by it."""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from voicebox.bench import _reference, _rig
from voicebox.bench._figures import Figure, Options, at_least, at_most, stated
from voicebox.wake.base import HOP, Phrase
from voicebox.wake.openwakeword import OpenWakeWord

Sound = NDArray[np.int16]
"""Hops, shape (n, 1280)."""

_PHRASES = {"hey_jarvis": "hey jarvis", "alexa": "alexa", "hey_mycroft": "hey mycroft"}
_VOICES = (
    *("espeak:en-us", "espeak:en-us@120", "espeak:en-us@220", "espeak:en-gb+f3", "espeak:en-gb-scotland@140"),
    *("espeak:en-us+m3@190", "espeak:en-gb-x-rp+f2", "espeak:en-029+m5", "espeak:en-us+f1@130", "espeak:en-us+whisper"),
    *("flite:kal", "flite:awb", "flite:rms", "flite:slt"),
)
_FLOORS = range(-90, -30, 3)  # dBFS
_LEAD = 140  # hops of the room alone, so that the gate knows it
_FRAME = HOP / 16_000


def run(options: Options) -> list[Figure]:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    figures = cost_figures(options.times(400))
    speech = _rig.speech()
    if speech is None:
        options.left_out("speech in noise", _rig.WHY_NOT)
        return figures
    return figures + unsteady_figures(speech, options.times(400)) + loss_figures(speech, options.times(2))


def noise(hops: int, dbfs: float, slope: float, seed: int) -> Sound:
    """Steady noise whose power falls with frequency to the power of ``slope``: 0 is white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(hops * HOP))
    spectrum /= (np.arange(spectrum.size) * 8000 / spectrum.size + 20) ** (slope / 2)
    sound = np.fft.irfft(spectrum, hops * HOP)
    scaled = sound * (32_768 * 10 ** (dbfs / 20) / sound.std())
    return _hops(scaled)


def _hops(sound: NDArray[np.floating]) -> Sound:
    rounded: Sound = np.clip(np.round(sound), -32_768, 32_767).astype(np.int16).reshape(-1, HOP)
    return rounded


# --- what it costs -------------------------------------------------------------------------------------------------


def _milliseconds(score: _reference.Score, sound: Sound) -> float:
    began = time.process_time()
    for hop in sound:
        score(hop)
    return (time.process_time() - began) / len(sound) * 1000


def _side_by_side(sound: Sound, **scores: _reference.Score) -> dict[str, float]:
    """ms of CPU a hop: medians of nine, taken in turn; each knows the room before."""
    taken: dict[str, list[float]] = {name: [] for name in scores}
    for score in scores.values():
        _milliseconds(score, sound)
    for _ in range(9):
        for name, score in scores.items():
            taken[name].append(_milliseconds(score, sound))
    return {name: float(np.median(times)) for name, times in taken.items()}


def _ours(*, lazy: bool = True) -> _reference.Score:
    return OpenWakeWord([Phrase("hey_jarvis")], lazy=lazy).process


def cost_figures(hops: int) -> list[Figure]:
    bare = _reference.bare()
    steady = _side_by_side(noise(hops, -40, 1, 1), bare=bare, ours=_ours(), everything=_ours(lazy=False))
    quiet = _side_by_side(noise(hops, -60, 1, 2), bare=bare, ours=_ours())
    figures = [
        stated("bare onnxruntime, the three networks, one hop", steady["bare"], "ms"),
        at_most("everything scored: of bare inference", steady["everything"] / steady["bare"], "x", 0.5),
        at_most("steady noise at -40 dBFS: of bare inference", steady["ours"] / steady["bare"], "x", 0.5),
        at_most("quiet room, -60 dBFS: of bare inference", quiet["ours"] / quiet["bare"], "x", 0.1),
    ]
    for name, other in (("openwakeword.Model", _reference.package()), ("pyopen-wakeword", _reference.tflite())):
        if other is not None:
            times = _side_by_side(noise(hops // 4 + 1, -40, 1, 1), bare=bare, other=other)
            figures.append(stated(f"{name}: of bare inference", times["other"] / times["bare"], "x"))
    return figures


def unsteady_figures(speech: ModuleType, hops: int) -> list[Figure]:
    """Six voices talk at once without end: the gate has no reason ever to close."""
    size, room = hops * HOP, np.zeros(hops * HOP)
    for turn, voice in enumerate(_VOICES[:6]):
        said = speech.say("The weather will be fine tomorrow, and we could all go to the lake for a swim.", voice)
        room += np.roll(np.resize(said / 8, size), turn * 9_000)
    sound = room.astype(np.int16).reshape(-1, HOP)
    times = _side_by_side(sound, bare=_reference.bare(), ours=_ours())
    return [
        at_most("six voices at once: of bare inference", times["ours"] / times["bare"], "x", 0.5),
        at_most("longest hop of 100 that end a quiet spell: of its 80 ms", _longest(speech), "x", 0.25),
    ]


def _longest(speech: ModuleType) -> float:
    """CPU of the hops that make up for what was left out; where one was hit by a page fault or the like, it counts."""
    detector, said = OpenWakeWord([Phrase("hey_jarvis")]), speech.say("hey jarvis", _VOICES[0])
    hops, longest = noise(_LEAD + 100 * 40, -60, 1, 3).reshape(-1), 0.0
    for turn in range(100):
        at = (_LEAD + turn * 40) * HOP
        hops[at : at + said.size] += said[: hops.size - at] // 8
    for hop in hops.reshape(-1, HOP):
        began = time.thread_time()
        detector.process(hop)
        longest = max(longest, time.thread_time() - began)
    return longest / _FRAME


# --- what it loses -------------------------------------------------------------------------------------------------


def _calls(speech: ModuleType, times: int) -> Iterator[tuple[str, Sound]]:
    """Every phrase by every voice in a room of every noise floor: louder and softer than it, down to where nobody hears
    it. The noise, the level and the phase are drawn anew each time."""
    chance = np.random.default_rng(5)
    for (model, text), voice, floor, _ in product(_PHRASES.items(), _VOICES, _FLOORS, range(times)):
        said = speech.say(text, voice).astype(np.float64)
        room = noise(_LEAD + 40, floor, chance.uniform(0, 2), int(chance.integers(1 << 30))).reshape(-1)
        loud = np.sqrt(np.mean(said[np.abs(said) > 200] ** 2))
        said *= 32_768 * 10 ** ((floor + chance.uniform(-12, 15)) / 20) / loud
        at = _LEAD * HOP + int(chance.integers(HOP))
        mixed = room.astype(np.float64)
        mixed[at : at + said.size] += said[: mixed.size - at]
        yield model, _hops(mixed)


def _heard(detector: OpenWakeWord, sound: Sound) -> list[tuple[str, int]]:
    detector.reset()
    return [(one.model, at) for at, hop in enumerate(sound) for one in detector.process(hop)]


def loss_figures(speech: ModuleType, times: int) -> list[Figure]:
    """Lazily and with everything scored, side by side."""
    make: Callable[..., OpenWakeWord] = partial(OpenWakeWord, [Phrase(model) for model in _PHRASES])
    lazy, everything = make(), make(lazy=False)
    calls = due = lost = late = 0
    for _, sound in _calls(speech, times):
        calls += 1
        expected = [(model, _LEAD - 40 + at) for model, at in _heard(everything, sound[_LEAD - 40 :])]
        got = _heard(lazy, sound)
        due += len(expected)
        for model, at in expected:
            lag = min((found - at for one, found in got if one == model and found >= at), default=99)
            lost += lag > 25
            late += 1 < lag <= 25
        lost += len(got) > len(expected)
    return [
        at_least(f"{calls} calls at 20 noise floors: heard with everything scored", due, "calls", calls // 8),
        at_most("the same, lazily: lost, or too many", lost, "calls", 0),
        at_most("the same, lazily: later than one hop", late, "calls", 0),
    ]
