"""How a process fares: what it holds, looked at again and again, and whether that grows."""

import ctypes
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from voicebox.bench import Figure, at_most

MOST_GROWTH = 4.0
"""KiB for 100 sessions."""


@dataclass(frozen=True, slots=True)
class Look:
    """At a process at rest, after so many sessions. Memory in bytes; ``held`` is what Python and its libraries have
    taken, 0 where that cannot be known from outside."""

    sessions: int
    resident: int
    held: int
    files: int
    threads: int


def look(sessions: int, pid: int, held: int = 0) -> Look:
    process = Path(f"/proc/{pid}")
    found = re.search(r"^Rss:\s+(\d+) kB", (process / "smaps_rollup").read_text("ascii"), re.MULTILINE)
    assert found is not None
    files, threads = (len(os.listdir(process / kind)) for kind in ("fd", "task"))  # noqa: PTH208  # one of them goes
    return Look(sessions, int(found[1]) * 1024, held, files, threads)


class _Heap(ctypes.Structure):
    """mallinfo2(3)"""

    names = ("arena", "a", "b", "c", "mapped", "d", "e", "used", "free", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in names]


def held() -> int:
    """Bytes that this process has in use, by the books of Python's allocator and the C library's: exact, whereas what
    is resident depends on how the heap is torn."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = _Heap
    heap = library.mallinfo2()
    found = re.search(r"# bytes in allocated blocks\s*=\s*([\d,]+)", _books())
    assert found is not None
    return int(found[1].replace(",", "")) + int(heap.used) + int(heap.mapped)


def _books() -> str:
    """Python writes them to file descriptor 2."""
    shown = os.dup(2)
    with TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()
        finally:
            os.dup2(shown, 2)
            os.close(shown)
        file.seek(0)
        return file.read().decode("ascii")


def growth(looks: Sequence[Look], what: str) -> float:
    """KiB for 100 sessions in the second half: the median of the slopes between any two looks (Theil-Sen), which no
    single odd look bends. No number if there are not two."""
    half = looks[len(looks) // 2 :]
    if len(half) < 2:
        return float("nan")
    sessions, kept = (np.array([getattr(each, name) for each in half]) for name in ("sessions", what))
    earlier, later = np.triu_indices(len(half), 1)
    return float(np.median((kept[later] - kept[earlier]) / (sessions[later] - sessions[earlier]))) * 100 / 1024


def more(looks: Sequence[Look], what: str) -> int:
    """How many more (or fewer) than at the first look there ever were."""
    first: int = getattr(looks[0], what)
    differences: list[int] = [getattr(each, what) - first for each in looks]
    return max(differences, key=abs)


def unchanged(looks: Sequence[Look], name: str) -> list[Figure]:
    """Files and threads."""
    return [
        at_most(f"{name}: {what} more or fewer, ever", abs(more(looks, what)), "", 0) for what in ("files", "threads")
    ]
