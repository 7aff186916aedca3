"""Sample-coded sound, in which no stretch is like another: what became of it, told sample by sample."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

_CODE = 8
"""Samples by which a place in it is known."""


def account(meant: Samples, received: Samples) -> tuple[int, int]:
    """How many samples of ``meant`` are not in ``received``, and how many there are in it twice or from elsewhere."""
    if np.array_equal(meant, received):
        return 0, 0
    places = {meant[at : at + _CODE].tobytes(): at for at in range(meant.size - _CODE + 1)}
    covered, doubled = np.zeros(meant.size, np.bool_), 0
    for end in [*range(_CODE, received.size, _CODE), received.size]:
        fresh = min(end, (end - 1) % _CODE + 1)  # the last place overlaps the one before
        at = places.get(received[max(0, end - _CODE) : end].tobytes())
        if at is None:
            doubled += fresh
            continue
        place = slice(at + _CODE - fresh, at + _CODE)
        doubled += int(covered[place].sum())
        covered[place] = True
    return int((~covered).sum()), doubled


def begin(sound: Samples, recorded: Samples) -> int:
    """Where ``sound`` begins in what was recorded, told by the first of its places that is there; at the end, if none
    is."""
    for place in range(0, sound.size - _CODE + 1, _CODE):
        found = _find(sound[place : place + _CODE], recorded)
        if found is not None:
            return max(0, found - place)
    return recorded.size


def _find(code: Samples, recorded: Samples) -> int | None:
    everything, wanted = recorded.tobytes(), code.tobytes()
    found = everything.find(wanted)
    while found >= 0 and found % 2:  # between two samples
        found = everything.find(wanted, found + 1)
    return found // 2 if found >= 0 else None
