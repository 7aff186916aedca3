"""The sound that is played, and what is to be read in what comes back. Pure: arrays in, values out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import level, resample

Samples = NDArray[np.int16]

SECONDS = 1.5
"""Length of the sweep."""
_LOW, _HIGH, _PEAK = 200.0, 6_000.0, 3_277  # Hz; -20 dBFS
_CLEAR = 12.0  # dB by which the echo's correlation stands above what noise gives
_FULL = 32_700
_RUN = 3  # samples at the limit in a row: clipped


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back of a sweep. ``delay``: seconds from asking for it to its arrival among the microphone's samples,
    None: nothing came back. Levels in dBFS."""

    delay: float | None
    echo: float
    quiet: float
    clipped: bool


def sweep() -> Samples:
    """A tone that rises through the range of voices, 24 kHz mono."""
    t = np.arange(round(SECONDS * PLAYBACK_RATE)) / PLAYBACK_RATE
    growth = np.log(_HIGH / _LOW)
    phase = 2 * np.pi * _LOW * SECONDS / growth * (np.exp(t / SECONDS * growth) - 1)
    ramp = np.minimum(1.0, np.minimum(t, SECONDS - t) / 0.02)
    return np.asarray(np.rint(_PEAK * ramp * np.sin(phase)), np.int16)


def returned(quiet: Samples, recorded: Samples) -> Returned:
    """``quiet``: the room before; ``recorded``: from the moment on at which the speaker was given the sweep. 16 kHz."""
    played = resample(sweep(), PLAYBACK_RATE, CAPTURE_RATE)
    clipped = is_clipped(recorded)
    floor = level(quiet)
    if recorded.size < played.size:
        return Returned(None, level(recorded), floor, clipped)
    likeness = np.abs(_correlation(recorded.astype(np.float64), played.astype(np.float64)))
    at = int(np.argmax(likeness))
    around = np.delete(likeness, slice(max(0, at - CAPTURE_RATE // 2), at + CAPTURE_RATE // 2))
    usual = float(around.max(initial=0.0)) if around.size else 0.0
    if likeness[at] <= usual * 10 ** (_CLEAR / 20):
        return Returned(None, level(recorded), floor, clipped)
    return Returned(at / CAPTURE_RATE, level(recorded[at : at + played.size]), floor, clipped)


def _correlation(recorded: NDArray[np.float64], played: NDArray[np.float64]) -> NDArray[np.float64]:
    """With the sweep at each place where all of it fits."""
    size = 1 << (recorded.size + played.size).bit_length()
    spectrum = np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(played, size))
    return np.asarray(np.fft.irfft(spectrum, size)[: recorded.size - played.size + 1])


def is_clipped(samples: Samples) -> bool:
    """Whether the loudest samples are cut off."""
    full = np.abs(samples.astype(np.int32)) >= _FULL
    return bool(np.convolve(full, np.ones(_RUN), "valid").max(initial=0) >= _RUN)


def is_constant(samples: Samples) -> bool:
    return bool(samples.size and samples.min() == samples.max())


def offset(samples: Samples) -> float:
    """Mean, as a part of full scale."""
    return float(np.mean(samples) / 32_768) if samples.size else 0.0
