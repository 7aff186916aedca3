"""Tells when a card has stumbled, and in the meantime keeps back what may be the box's own voice."""

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.alignment import CHUNK, displacement
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.pcm import Samples

_WINDOW = 1280  # samples (80 ms) that tell of a slip: two voiced sounds are alike for shorter ones
_EARLIER, _LATER = 160, 1600  # samples by which an echo may slip
_DULL = 0.9  # of the sample before is taken from each: speech is mostly low, and low tones tell no place
_SPOILT = 0.25  # of the microphone's energy is left where the echo is not where it was
_EXPLAINED = 0.25  # of what is left now must be left where the echo is to have slipped to
_ALIKE = 0.25  # samples by which two looks at a slip may differ
_AUDIBLE = 100.0**2  # mean square (-50 dBFS) of an echo that tells anything
_REMEMBERED = 9000  # samples
_STEP = 16  # samples (1 ms): so exactly is told when it slipped
_ONSET = 0.1  # of the echo's energy is left from there on
_DOUBT = CHUNK // BLOCK  # blocks kept back at most: within fewer a slip is recognised
_CALM = 3  # blocks that fit, after which there was none
_QUIET = 50  # blocks that fit, after which whoever spoke has ended

Floats = NDArray[np.float32]


class SlipWatch:
    """Tells at once when an echo comes all of a sudden earlier or later than it did: a card ran dry, or lost samples.

    The filter still knows how the echo sounds, so it need only be looked for in what it expects. Somebody who speaks
    over it is nowhere in there."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Nothing is expected where it was."""
        self._heard = np.zeros(_REMEMBERED, np.float32)
        self._expected = np.zeros(_REMEMBERED, np.float32)
        self._known = 0
        self._suspected: float | None = None

    def add(self, heard: NDArray[np.int16], left: NDArray[np.int16]) -> bool:
        """What the microphone heard next, any number of samples, and what the filter left of it. Whether that is too
        much to be an echo that is where it was."""
        sound = heard.astype(np.float32)
        expected = sound - left
        self._heard = np.concatenate([self._heard[sound.size :], sound])
        self._expected = np.concatenate([self._expected[sound.size :], expected])
        self._known = min(_REMEMBERED, self._known + sound.size)
        return _is_spoilt(sound, expected)

    def slipped(self) -> float | None:
        """By how many samples the echo has been coming later of late (negative: earlier), once that is sure; None if it
        comes as it did. To be asked once after each ``add``."""
        before, self._suspected = self._suspected, self._displaced()
        sure = before is not None and self._suspected is not None and abs(self._suspected - before) < _ALIKE
        return self._suspected if sure else None

    def _displaced(self) -> float | None:
        recent = slice(-_WINDOW - _EARLIER, None)
        if self._known < _LATER + _WINDOW + _EARLIER or not _is_spoilt(self._heard[recent], self._expected[recent]):
            return None
        window = _sharpened(self._heard[recent])[:-_EARLIER]
        expected = _sharpened(self._expected[-_LATER - _WINDOW - _EARLIER :])
        alike = np.correlate(expected, window, "valid")[::-1]  # at [i]: heard i - _EARLIER later than expected
        energy = np.cumsum(np.concatenate([np.zeros(1), expected.astype(np.float64) ** 2]))
        left = np.sum(window**2) - 2 * alike + (energy[window.size :] - energy[: -window.size])[::-1]
        best = int(np.argmin(left))
        if left[best] > _EXPLAINED * left[_EARLIER]:
            return None
        there = alike.size - 1 - best
        return best - _EARLIER + displacement(expected[there : there + window.size], window)

    def left(self, count: int) -> Floats:
        """The last ``count`` samples, at most 9000, less what was expected."""
        return self._heard[-count:] - self._expected[-count:]

    def recall(self, before: int, doubtful: int) -> tuple[Samples, int]:
        """What was heard in the last ``doubtful`` samples and in up to ``before`` samples before them; and with which
        sample of that, among the doubtful, the echo slipped."""
        count = min(before + doubtful, self._known)
        left = self.left(doubtful) ** 2
        loud = np.mean(left.reshape(-1, _STEP), axis=1) > _ONSET * np.mean(self._expected[-doubtful:] ** 2)
        onset = count - doubtful + _STEP * int(np.argmax(loud))
        return self._heard[-count:].astype(np.int16), onset


def _is_spoilt(heard: Floats, expected: Floats) -> bool:
    left = float(np.var(heard - expected))
    return left > _SPOILT * float(np.var(heard)) and float(np.var(expected)) > _AUDIBLE


def _sharpened(sound: Floats) -> Floats:
    return np.asarray(sound[1:] - _DULL * sound[:-1], np.float32)


Doubtful = tuple[Block, Block | None]
"""A block as it was heard, and cleaned if it was."""


class Doubt:
    """Blocks in which somebody may have spoken, or the echo slipped. Which it was is known within 240 ms; if it was a
    voice, nothing more of what it says is kept back."""

    def __init__(self) -> None:
        self._kept: list[Doubtful] = []
        self._fits = 0  # blocks in a row
        self._voice = False

    def __bool__(self) -> bool:
        return bool(self._kept)

    def weigh(self, heard: Block, cleaned: Block | None, *, spoilt: bool) -> list[Doubtful]:
        """The blocks of which there is no doubt any more."""
        self._fits = 0 if spoilt else self._fits + 1
        self._voice &= self._fits < _QUIET
        self._kept.append((heard, cleaned))
        if self._voice or self._fits >= _CALM or (len(self._kept) == 1 and not spoilt):
            return self.dismiss()
        self._voice = len(self._kept) >= _DOUBT
        return self.dismiss() if self._voice else []

    def dismiss(self) -> list[Doubtful]:
        """All that are kept."""
        kept, self._kept = self._kept, []
        return kept
