"""What was heard, held against what was sent, sample by sample."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

_KEY = 32
"""So many samples in a row stand in one place of a reply only."""
_AHEAD = 3 * 24_000
"""How far ahead to look for the place where a reply goes on."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``length`` samples of the reply from ``sent_at`` on were heard, unchanged, from ``heard_at`` on."""

    heard_at: int
    sent_at: int
    length: int


@dataclass(frozen=True, slots=True)
class Match:
    """All counts are samples. Silence between pieces is not counted as altered: the card ran dry there."""

    pieces: tuple[Piece, ...]
    missing: int  # of the reply, before or between what was heard of it
    altered: int  # heard between the pieces, and not in this place of the reply
    tail: int  # heard after the last piece
    last: int  # index of the last sound, -1: there was none

    @property
    def heard(self) -> int:
        return sum(piece.length for piece in self.pieces)

    @property
    def begin(self) -> int:
        """Where in the reply the first piece begins."""
        return self.pieces[0].sent_at if self.pieces else 0

    @property
    def end(self) -> int:
        """How much of the reply had been sent to the card when the last piece ended."""
        return self.pieces[-1].sent_at + self.pieces[-1].length if self.pieces else 0

    @property
    def gaps(self) -> list[int]:
        """Lengths of the silences in mid-reply that were not in the reply."""
        return [after.heard_at - (before.heard_at + before.length) for before, after in pairwise(self.pieces)]


def match(heard: Samples, sent: Samples) -> Match:
    """Find ``sent`` in ``heard``, in order; ``heard`` holds one reply, or the beginning of one, amid silence."""
    sounding = np.flatnonzero(heard)
    last = int(sounding[-1]) if sounding.size else -1
    pieces: list[Piece] = []
    missing = altered = unknown = 0
    at, expected = _next_sound(heard, 0), 0
    while at < heard.size:
        found = _find(sent, heard[at : at + _KEY], expected)
        if found < 0:
            unknown += 1
            at = _next_sound(heard, at + 1)
            continue
        length = _common(heard[at:], sent[found:])
        pieces.append(Piece(at, found, length))
        missing += int(np.count_nonzero(sent[expected:found]))
        altered, unknown = altered + unknown, 0
        expected = found + length
        at = _next_sound(heard, at + length)
    end = pieces[-1].heard_at + pieces[-1].length if pieces else 0
    return Match(tuple(pieces), missing, altered, int(np.count_nonzero(heard[end:])), last)


def sounds(heard: Samples, quiet: int) -> list[tuple[int, int]]:
    """(first, after last) of each stretch of sound; stretches are parted by ``quiet`` samples of digital silence."""
    at = np.flatnonzero(heard)
    if not at.size:
        return []
    cuts = np.flatnonzero(np.diff(at) > quiet)
    firsts, lasts = [0, *(cuts + 1)], [*cuts, at.size - 1]
    return [(int(at[first]), int(at[last]) + 1) for first, last in zip(firsts, lasts, strict=True)]


def _next_sound(heard: Samples, start: int) -> int:
    """Index of the first sample from ``start`` on that is not silence; the length if there is none."""
    for block in range(start, heard.size, 4096):
        sounding = np.flatnonzero(heard[block : min(block + 4096, heard.size)])
        if sounding.size:
            return block + int(sounding[0])
    return heard.size


def _find(sent: Samples, key: Samples, start: int) -> int:
    """Index of ``key`` in ``sent`` at or soon after ``start``; -1: it is not there."""
    if key.size < _KEY:
        return -1
    window, wanted = sent[start : start + _AHEAD].tobytes(), key.tobytes()
    found = window.find(wanted)
    while found % 2 == 1 and found >= 0:  # between two samples
        found = window.find(wanted, found + 1)
    return -1 if found < 0 else start + found // 2


def _common(one: Samples, other: Samples) -> int:
    """How many samples two sounds have in common from their beginnings on."""
    size = min(one.size, other.size)
    different = np.flatnonzero(one[:size] != other[:size])
    return int(different[0]) if different.size else size
