"""Scores equal those of openWakeWord's own streaming ``Model``, the reference, for every phrase it comes with."""

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.speech import HOP, Samples, hops, noise, say, silence
from voicebox.assets import speech, speech_names
from voicebox.bench._reference import openwakeword
from voicebox.wake.base import Phrase
from voicebox.wake.openwakeword import OpenWakeWord

TOLERANCE = 1e-4
BROKEN = 1e-3
"""For full-scale square waves: most of their spectrum is the rounding of whoever computes it."""
TEN_MINUTES = 7_500  # hops
WINDOWS = {"alexa": 16, "hey_jarvis": 16, "hey_mycroft": 16, "weather": 22, "timer": 34}
"""Every phrase the reference knows, and how many embeddings its network looks at."""
FIRST_REAL = 10
"""Hop whose embedding is the first made of real audio alone: 76 rows of spectrum, 8 in a hop, 3 lost at the start."""
VOICES = ["espeak:en-us", "espeak:en-gb+f3", "espeak:en-029+m5@190", "flite:kal", "flite:awb", "flite:rms", "flite:slt"]
SAID = ["hey jarvis", "alexa", "hey mycroft", "what's the weather?", "set a five minute timer", "hey marvin"]

pytestmark = pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider'")


class Reference(Protocol):
    def predict(self, x: Samples) -> dict[str, float]: ...


def reference() -> Reference:
    model: Reference = openwakeword().Model()
    return model


def engine() -> OpenWakeWord:
    return OpenWakeWord([Phrase(model) for model in WINDOWS])


def comparable(label: str, hop: int) -> bool:
    """Whether the features behind a score are of real audio only after ``hop`` hops; earlier ones are made up."""
    return hop >= FIRST_REAL - 1 + WINDOWS.get(label, WINDOWS["timer"])


def extremes() -> Iterator[Samples]:
    """What no microphone should deliver but a broken one does."""
    rng = np.random.default_rng(3)
    yield np.full(16_000, -32_768, np.int16)
    yield np.full(16_000, 32_767, np.int16)
    yield np.tile(np.array([-32_768, 32_767], np.int16), 16_000)
    yield np.repeat(np.array([-32_768, 32_767] * 200, np.int16), 80)
    yield rng.integers(-32_768, 32_768, 32_000).astype(np.int16)
    yield rng.integers(-1, 2, 32_000).astype(np.int16)


def spoken() -> Iterator[Samples]:
    """A wake phrase, then an ordinary sentence, each time by another voice, for ever."""
    sentences = cycle((Path(__file__).parent / "chatter.txt").read_text().splitlines())
    for wake, voice in zip(cycle(SAID), cycle(VOICES)):
        yield say(wake, voice)
        yield say(next(sentences), voice)


def mixed() -> Iterator[Samples]:
    """Speech with and without wake phrases, clear, faint, clipped and in noise; noise; silence. For ever."""
    for turn, said in enumerate(spoken()):
        yield said
        yield silence(0.1 + turn % 7 / 10)
        yield (said / 64).astype(np.int16)
        yield clip(said * 8.0)
        yield clip(said / 2.0 + noise(10, -35, pink=turn % 2 == 0, seed=turn)[: said.size])
        yield noise(1, -10.0 * (turn % 9), pink=turn % 2 == 1, seed=turn)
        if turn % 20 == 0:
            yield from map(speech, speech_names())


def clip(samples: NDArray[np.floating]) -> Samples:
    clipped: Samples = np.clip(samples, -32_768, 32_767).astype(np.int16)
    return clipped


def audio(count: int) -> Iterator[Samples]:
    """``count`` hops of ``mixed``."""
    pieces, size = [], 0
    for piece in mixed():
        pieces.append(piece)
        size += piece.size
        if size >= count * HOP:
            break
    return islice(hops(*pieces), count)


def compare(sound: Iterator[Samples], tolerance: float) -> dict[str, float]:
    """The highest score of each phrase."""
    theirs, ours = reference(), engine()
    unequal, loudest = [], dict.fromkeys(ours.scores, 0.0)
    for hop, samples in enumerate(sound, start=1):
        expected = theirs.predict(samples)
        ours.process(samples)
        assert ours.scores.keys() == expected.keys()
        for label, score in ours.scores.items():
            if comparable(label, hop):
                if not abs(score - expected[label]) <= tolerance:  # "not a number" is unequal too
                    unequal.append((hop, label, score, expected[label]))
                loudest[label] = max(loudest[label], score)
    assert hop > FIRST_REAL + max(WINDOWS.values())
    assert unequal == []
    return loudest


def test_scores_equal_the_reference_over_ten_minutes() -> None:
    """Mixed speech, noise and silence; at the end every phrase has been heard, so that equal does not mean deaf."""
    loudest = compare(audio(TEN_MINUTES), TOLERANCE)
    assert all(loudest[label] > 0.9 for label in ("alexa", "hey_jarvis", "hey_mycroft", "weather", "5_minute_timer"))


def test_scores_stay_close_to_the_reference_where_the_microphone_is_broken() -> None:
    compare(hops(*extremes(), say("hey jarvis"), *extremes()), BROKEN)


def test_scores_equal_a_fresh_reference_after_a_reset() -> None:
    theirs, ours = reference(), engine()
    for samples in hops(say("hey jarvis"), noise(3, -30)):
        ours.process(samples)
    ours.reset()
    for hop, samples in enumerate(hops(speech("cut_in"), speech("ask_time"), noise(2, -20)), start=1):
        expected = theirs.predict(samples)
        ours.process(samples)
        for label, score in ours.scores.items():
            assert score == (pytest.approx(expected[label], abs=TOLERANCE) if comparable(label, hop) else 0.0)
    assert hop > FIRST_REAL + max(WINDOWS.values())
