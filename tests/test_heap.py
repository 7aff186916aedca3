"""Garbage is collected rarely while the box starts, and as usual from when it has."""

import gc
import subprocess
import sys

import pytest

from voicebox import heap


def test_a_start_ends_as_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = gc.get_threshold()
    monkeypatch.setattr(heap, "_RARELY", (usual[0] + 1, *usual[1:]))
    heap.starting()
    assert gc.get_threshold() != usual
    heap.started()
    assert gc.get_threshold() == usual


def test_it_is_still_collected_should_a_start_never_end() -> None:
    """Cycles do not go by themselves."""
    script = """
import weakref
from voicebox import heap

class Cycle:
    def __init__(self):
        self.itself = self

heap.starting()
cycles = [weakref.ref(Cycle()) for _ in range(2 * heap._RARELY[0])]
print(sum(cycle() is None for cycle in cycles) > heap._RARELY[0] // 2)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "True"
