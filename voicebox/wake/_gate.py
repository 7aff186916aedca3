"""Whether anything was heard that could be a wake word. Where not, nothing needs to be scored.

A hop is *quiet* if its power, band by band against the least that the room has had in the last ten seconds, is on the
average no more than MARGIN above that. A score depends on a known number of hops; if all of those are quiet, it is
the score of the room's own steady sound. How far below the faintest phrase that still is recognised this lies, and that
none is lost, is measured by ``voicebox bench wake``.
"""

import numpy as np
from numpy.typing import NDArray

from voicebox.wake.base import HOP

MARGIN = 10**0.18
"""1.8 dB. Steady noise stays below (0.1 % of hops and fewer are above); no phrase that scored 0.03 did."""
_EDGES = np.array([8, 33, 67, 96, 137, 195, 277, 396, 576])
"""Of the bands, in steps of 12.5 Hz: 100 Hz to 7.2 kHz. They are wide, so that the power of noise in them is steady."""
_SMOOTH = 8  # hops over which the room's power is averaged
_MEMORY = 125  # hops (10 s) in which it must have been as low as that
_LEAST = np.float32(1e-3)  # power of a floor, at least: far below the rounding of samples, 0.03
_KNOWN = _MEMORY + _SMOOTH


class Open:
    """A gate that never closes: everything is scored."""

    def reset(self) -> None:
        """There is nothing to forget."""

    def opens(self, samples: NDArray[np.int16]) -> bool:
        del samples
        return True


class Gate:
    """All sound goes through it, hop by hop."""

    def __init__(self, lookback: int) -> None:
        """``lookback``: hops behind a score."""
        self._lookback = lookback
        self._window: NDArray[np.float32] = np.hanning(HOP).astype(np.float32)
        self._widths = np.diff(_EDGES).astype(np.float32) * HOP
        self.reset()

    def reset(self) -> None:
        """A gap: the room may be another. It is open until it knows the room."""
        self._recent = np.zeros((_SMOOTH, _EDGES.size - 1), np.float32)
        self._floors = np.full((_MEMORY, _EDGES.size - 1), np.inf, np.float32)
        self._heard = 0
        self._quiet = 0

    def opens(self, samples: NDArray[np.int16]) -> bool:
        """Whether the score after this hop (shape (1280,)) has to be computed."""
        power = self._power(samples)
        self._recent[self._heard % _SMOOTH] = power
        if self._heard >= _SMOOTH - 1:
            self._floors[self._heard % _MEMORY] = self._recent.mean(axis=0)
        self._heard += 1
        floor = np.maximum(self._floors.min(axis=0), _LEAST)
        quiet = float((power / floor).mean()) <= MARGIN
        self._quiet = self._quiet + 1 if quiet else 0
        return self._heard < _KNOWN or self._quiet < self._lookback

    def _power(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        spectrum = np.fft.rfft(samples * self._window)[: _EDGES[-1]]
        power = spectrum.real**2 + spectrum.imag**2
        return np.asarray(np.add.reduceat(power, _EDGES[:-1]) / self._widths, np.float32)
