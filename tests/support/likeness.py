"""What became of sound that was encoded with loss on its way: compared by what it is like, 20 ms at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tests.support.hearing import PATCHES, Samples

BLOCK = 480  # samples at 24 kHz: 20 ms
ALIKE = 0.9  # correlation of two blocks of the same sound; of others it is about 0
LEVELS = 2.0  # dB that they may differ
_FAINT = 300.0  # RMS of a block too quiet to be compared by its shape; speech at -6 dBFS has 2000 and more
_PIECE = 5 * BLOCK  # samples that are looked for behind a break
_ANCHORS = 4  # places that are tried to find the beginning

Sound = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    start: int  # in what was heard
    end: int
    compared: int  # blocks that were loud enough
    unlike: int  # of those, and of the faint ones that were not faint when heard
    breaks: int  # places where a sound server that was late put silence
    silence: int  # samples of it

    @property
    def whole(self) -> bool:
        """All of it was heard, in order; a break falls into at most two blocks."""
        return self.compared > 0 and self.unlike <= 2 * self.breaks and self.silence <= PATCHES


def likeness(sent: Samples, heard: Samples, start: int = 0) -> Likeness:
    """Find ``sent`` in ``heard`` from ``start`` on (both 24 kHz), and compare block by block to its very end."""
    original, sound = sent.astype(float), heard[start:].astype(float)
    opening = next(at for at, block in _blocks(original) if _level(block) > _FAINT)
    begins: dict[int, int] = {}  # and how many breaks come before what was found there
    for at in range(opening, opening + _ANCHORS * BLOCK, BLOCK):
        place, fit = _align(original[at : at + BLOCK], sound)
        begins.setdefault(place - at, int(at > opening or fit < ALIKE))
    found = [_compare(original, sound, begin, breaks) for begin, breaks in begins.items() if begin >= 0]
    best = min(found, key=lambda it: (not it.whole, it.unlike), default=Likeness(-1, -1, 0, 0, 0, 0))
    return replace(best, start=best.start + start, end=best.end + start)


def _compare(original: Sound, sound: Sound, begin: int, breaks: int) -> Likeness:
    """From a beginning that was found behind as many breaks."""
    here, compared, unlike, silence = begin, 0, 0, 0
    for at, block in _blocks(original):
        compared += _level(block) > _FAINT
        if _alike(block, sound[here + at : here + at + block.size]):
            continue
        unlike += 1
        shift, fit = _align(original[at + BLOCK :][:_PIECE], sound[here + at + BLOCK :][: _PIECE + PATCHES])
        around = sound[max(0, here + at - PATCHES) : here + at + BLOCK + shift]  # a break shows only where it is loud
        patched = int(np.count_nonzero(around == 0.0))
        if fit >= ALIKE and 0 < shift <= patched:  # it goes on later, after digital silence
            here, breaks, silence = here + shift, breaks + 1, silence + shift
    return Likeness(begin, here + original.size, compared, unlike, breaks, silence)


def _blocks(sound: Sound) -> Iterator[tuple[int, Sound]]:
    return ((at, sound[at : at + BLOCK]) for at in range(0, sound.size, BLOCK))


def _alike(one: Sound, other: Sound) -> bool:
    if other.size < one.size:
        return False
    if _level(one) <= _FAINT:
        return _level(other) <= 2 * _FAINT
    same_level = abs(20 * np.log10(max(_level(other), 1.0) / _level(one))) <= LEVELS
    return same_level and _correlation(one, other) >= ALIKE


def _level(block: Sound) -> float:
    return float(np.sqrt(np.mean(block**2)))


def _correlation(one: Sound, other: Sound) -> float:
    return float(one @ other) / max(float(np.sqrt((one @ one) * (other @ other))), 1e-9)


def _align(wanted: Sound, sound: Sound) -> tuple[int, float]:
    """(where in ``sound`` it is most like ``wanted``, the correlation there)"""
    if sound.size < wanted.size or not wanted.size:
        return 0, 0.0
    size = sound.size + wanted.size
    products = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(wanted, size)), size)
    places = products[: sound.size - wanted.size + 1]
    sums = np.concatenate([[0.0], np.cumsum(sound**2)])
    norms = np.sqrt(np.maximum(sums[wanted.size :] - sums[: -wanted.size], 1e-9)) * np.linalg.norm(wanted)
    fits = places / np.maximum(norms, 1.0)
    best = int(np.argmax(fits))
    return best, float(fits[best])
