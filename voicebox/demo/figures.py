"""The demo's figures, computed from the recordings: what the microphone heard, what the service received and sent, what
the speaker played."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

PIECE = 160  # samples compared at a time: 10 ms at 16 kHz


@dataclass(frozen=True, slots=True)
class Uplink:
    """What became of the microphone's samples on their way to the service."""

    samples: int  # received
    lost: int
    duplicated: int
    start: int  # microphone position of the first one


def compare_uplink(microphone: Samples, received: Samples, expected_start: int) -> Uplink:
    """Find every piece of ``received`` in ``microphone`` (whose noise makes each one unique) and count what is missing
    between neighbours, or before the first, and what came twice."""
    mic = microphone.astype("<i2").tobytes()
    position = expected_start
    lost = duplicated = unknown = 0
    start = -1
    for offset in range(0, len(received) - len(received) % PIECE, PIECE):
        piece = received[offset : offset + PIECE].astype("<i2").tobytes()
        found = position if mic[2 * position :].startswith(piece) else _find(mic, piece)
        if found < 0:
            lost += PIECE
            unknown += PIECE
            continue
        start = found if start < 0 else start
        lost += max(0, found - position - unknown)  # what came in its place is counted already
        unknown = 0
        duplicated += max(0, position - found)
        position = found + PIECE
    return Uplink(len(received), lost, duplicated, start)


def _find(haystack: bytes, needle: bytes) -> int:
    """Sample index of ``needle``, -1 if it is nowhere."""
    at = haystack.find(needle)
    while at >= 0 and at % 2:
        at = haystack.find(needle, at + 1)
    return at // 2 if at >= 0 else -1


def first_sound(speaker: Samples, start: int, end: int) -> int | None:
    """Index of the first audible sample in [start, end)."""
    sounding = np.flatnonzero(speaker[start:end])
    return start + int(sounding[0]) if sounding.size else None


def stale(speaker: Samples, start: int, end: int) -> int:
    """Samples that are not silent in [start, end)."""
    return int(np.count_nonzero(speaker[start:end]))


def altered(speaker: Samples, start: int, sent: Samples, count: int) -> int:
    """How many of the first ``count`` samples of a reply were not heard as they were sent."""
    heard, meant = speaker[start : start + count], sent[:count]
    length = min(len(heard), len(meant))
    return int(np.count_nonzero(heard[:length] != meant[:length])) + count - length
