"""What became of sound on its way: found again in a recording, sample by sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
_PIECE = 240  # samples that must be equal to be recognised after a break
_STEP = 24
_FURTHEST = 48_000
PATCHES = 6_000
"""Samples of silence (0.25 s) that a sound server without any priority may put into a reply on a busy machine."""


def find(needle: Samples, haystack: Samples, start: int = 0) -> int:
    """Index of the first place at or after ``start`` where ``needle`` is, bit-exact; -1 if it is nowhere."""
    sound, wanted = haystack.astype("<i2").tobytes(), needle.astype("<i2").tobytes()
    at = sound.find(wanted, 2 * start)
    while at % 2 and at >= 0:
        at = sound.find(wanted, at + 1)
    return at // 2 if at >= 0 else -1


@dataclass(frozen=True)
class Account:
    """What became of a reply. Where a sound server is late it plays silence in between; that is all it may do."""

    start: int
    end: int
    lost: int  # samples that are nowhere
    silence: int  # samples of silence between those that were sent
    foreign: int  # samples of anything else between them

    @property
    def whole(self) -> bool:
        """Every sample was heard once and in order, and nothing else between them than a moment of silence."""
        return self.lost == self.foreign == 0 and self.silence <= PATCHES


def account(sent: Samples, heard: Samples, start: int = 0) -> Account:
    """Find all of ``sent`` in ``heard``, in order and from about ``start`` on, and count what is not as it was sent."""
    opening = int(np.flatnonzero(sent)[0])
    begin = find(sent[opening : opening + _PIECE], heard, start) - opening
    if begin < -opening:
        return Account(-1, -1, sent.size, 0, 0)
    here, there, lost, silence, foreign = 0, begin, 0, 0, 0
    while True:
        same = common(sent[here:], heard[there:])
        here, there = here + same, there + same
        if here >= sent.size:
            return Account(begin, there, lost, silence, foreign)
        missing, inserted = _resume(sent[here:], heard[there : there + _FURTHEST])
        sounding = int(np.count_nonzero(heard[there : there + inserted]))
        lost, silence, foreign = lost + missing, silence + inserted - sounding, foreign + sounding
        here, there = here + missing, there + inserted


def common(one: Samples, other: Samples) -> int:
    """How many samples are the same from the beginning on."""
    length = min(one.size, other.size)
    unequal = np.flatnonzero(one[:length] != other[:length])
    return int(unequal[0]) if unequal.size else length


def _resume(sent: Samples, heard: Samples) -> tuple[int, int]:
    """(samples of ``sent`` that are missing, samples too many in ``heard``) until both are the same again."""
    for lost in range(0, sent.size, _STEP):
        piece = sent[lost : lost + _PIECE]
        if np.count_nonzero(piece) <= piece.size // 2:
            continue
        at = find(piece, heard)
        if at >= 0:
            known = common(sent[:lost][::-1], heard[:at][::-1])  # it went on before that piece
            return lost - known, at - known
    return sent.size, 0
