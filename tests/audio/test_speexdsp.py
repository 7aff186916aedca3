"""speexdsp's linear canceller, and how loud it is given what."""

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.audio.speexdsp import FRAME, LinearCanceller

RATE = 16_000


def reduction(level: float, gain: float, *, expect: bool = True, seconds: int = 6) -> float:
    """dB taken out of an echo by the end, where the reference has this RMS level."""
    chance = np.random.default_rng(1)
    reference = chance.normal(0, level, seconds * RATE).astype(np.float32)
    echo = np.convolve(reference, gain * np.array([0, 0, 1, 0.5, -0.3]))[: reference.size]
    heard = np.rint(echo).clip(-32_768, 32_767).astype(np.int16)
    canceller = LinearCanceller(10 * FRAME)
    if expect:
        canceller.expect(float(np.abs(heard).max()), float(np.abs(reference).max()))
    left = np.concatenate(
        [canceller.process(heard[at : at + FRAME], reference[at : at + FRAME]) for at in range(0, heard.size, FRAME)]
    )
    canceller.close()
    last = slice(-2 * RATE, None)
    return float(
        10 * np.log10(np.mean(heard[last].astype(float) ** 2) / (np.mean(left[last].astype(float) ** 2) + 0.1))
    )


def test_what_is_faint_is_raised_so_that_it_is_learnt() -> None:
    assert reduction(150, 0.5) > reduction(150, 0.5, expect=False) + 5


@pytest.mark.parametrize(("level", "gain"), [(150, 1.0), (2_500, 1.0), (2_500, 0.1), (6_000, 1.0)])
def test_raised_or_not_the_echo_goes(level: float, gain: float) -> None:
    assert reduction(level, gain) > 20


def test_what_becomes_loud_is_not_clipped() -> None:
    """Raised for something faint, then it is played as loud as can be."""
    canceller = LinearCanceller(10 * FRAME)
    canceller.expect(100.0, 100.0)
    loud = (30_000 * np.sin(np.arange(60 * FRAME) / 9)).astype(np.float32)
    for at in range(0, loud.size, FRAME):
        out = canceller.process(np.zeros(FRAME, np.int16), loud[at : at + FRAME])
    assert np.abs(out).max() < 10
    assert canceller._gain == 1


def test_the_microphone_comes_back_as_loud_as_it_was() -> None:
    tone: NDArray[np.int16] = np.rint(3_000 * np.sin(np.arange(50 * FRAME) / 7)).astype(np.int16)
    for played in (0.0, 300.0, 30_000.0):
        canceller = LinearCanceller(10 * FRAME)
        canceller.expect(3_000.0, played)
        out = [
            canceller.process(tone[at : at + FRAME], np.zeros(FRAME, np.float32)) for at in range(0, tone.size, FRAME)
        ]
        assert np.std(np.concatenate(out)[-20 * FRAME :]) == pytest.approx(np.std(tone), rel=0.05)


def test_a_path_stays_what_it_is_when_the_next_sound_is_fainter() -> None:
    """The ratio of the two gains is decided once: raised less or more, what was learnt still fits."""
    chance = np.random.default_rng(1)
    canceller, left = LinearCanceller(10 * FRAME), []
    for level in (2_500, 100):
        reference = chance.normal(0, level, 5 * RATE).astype(np.float32)
        heard = np.rint(0.3 * reference).astype(np.int16)
        canceller.expect(float(np.abs(heard).max()), float(np.abs(reference).max()))
        frames = range(0, heard.size, FRAME)
        left += [canceller.process(heard[at : at + FRAME], reference[at : at + FRAME]) for at in frames]
    second = np.concatenate(left[5 * RATE // FRAME :][:20]).astype(float)
    assert np.std(second) < 6  # of 30, from the first 0.2 s on
