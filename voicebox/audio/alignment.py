"""Where in the microphone's sound the speaker's comes back: finds the echo path's delay, and how far it has moved."""

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import CAPTURE_RATE

CHUNK = 3840
"""Samples that are compared at a time: 240 ms, 12 blocks."""
AHEAD = 512
"""Samples by which the echo may seem to come before its sound: clocks are read, not exact."""
BEHIND = 5632
"""Samples (352 ms) up to which an echo is looked for."""
_SIZE = 16384  # of the transforms: CHUNK + AHEAD + BEHIND and room
_FORGET = 0.8  # of what was found before, with each chunk
_WHITEN = 0.7  # between plain correlation (0) and phase alone (1): noise hides the former, faintness the latter
_BAND = (100, 7000)  # Hz
_CLEAR = 2.5  # times the highest peak elsewhere
_FINER = 4  # times as fine as samples a displacement is looked for, and then between
_BEFORE, _AFTER = 200, 1200  # samples around a peak that belong to it: reverberation

Floats = NDArray[np.float32]


class PathSearch:
    """Correlates microphone and reference by their phases, chunk by chunk."""

    def __init__(self) -> None:
        hertz = np.arange(_SIZE // 2 + 1) * CAPTURE_RATE / _SIZE
        self._band = (hertz > _BAND[0]) & (hertz < _BAND[1])
        self.forget()

    def forget(self) -> None:
        self._cross = np.zeros(_SIZE // 2 + 1, np.complex64)
        self.path = np.zeros(AHEAD + BEHIND, np.float32)
        """What came back how late: ``path[AHEAD]`` at once."""

    def add(self, microphone: Floats, reference: Floats) -> None:
        """The next CHUNK samples of the microphone, and the BEHIND + CHUNK + AHEAD samples of the reference of which
        ``reference[BEHIND]`` was heard together with ``microphone[0]``."""
        cross = np.fft.rfft(microphone, _SIZE) * np.conj(np.fft.rfft(reference, _SIZE))
        self._cross = np.asarray(self._cross * _FORGET + cross, np.complex64)
        whitened = self._cross * self._band / (np.abs(self._cross) ** _WHITEN + 1e-9)
        correlation = np.roll(np.fft.irfft(whitened), BEHIND + AHEAD)
        self.path = correlation[: AHEAD + BEHIND].astype(np.float32)

    @property
    def delay(self) -> int | None:
        """Samples after which the echo comes back, negative if before; None while that is not clear."""
        peak = int(np.argmax(self.path))
        elsewhere = np.concatenate([self.path[: max(0, peak - _BEFORE)], self.path[peak + _AFTER :]])
        clear = self.path[peak] > _CLEAR * max(float(elsewhere.max()), 1e-9)
        return peak - AHEAD if clear else None


def displacement(before: Floats, after: Floats) -> float:
    """By how many samples, with their fraction, ``after`` is ``before`` moved to the right."""
    size = 1 << (before.size + after.size - 1).bit_length()
    product = np.fft.rfft(after, size) * np.conj(np.fft.rfft(before, size))
    fine = size * _FINER
    correlation = np.fft.irfft(product, fine)
    peak = int(np.argmax(correlation))
    left, top, right = correlation[peak - 1], correlation[peak], correlation[(peak + 1) % fine]
    bend = left - 2 * top + right
    fraction = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return (peak - fine * (peak > fine // 2) + float(fraction)) / _FINER
