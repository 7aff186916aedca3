"""Virtual time with a limit in real seconds: a loop that spins without its clock moving must not hang the tests."""

import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

import pytest

from voicebox.virtualtime import run_virtual

T = TypeVar("T")


class _Stuck(KeyboardInterrupt):
    """Of this kind because the loop lets nothing else out of a callback."""


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise _Stuck


def run_bounded(main: Coroutine[Any, Any, T], limit: float = 30.0) -> T:
    """``run_virtual``, failing after ``limit`` real seconds (many times what any test of ours takes)."""
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, limit, 1.0)  # again and again: tasks may swallow the first
    try:
        return run_virtual(main)
    except _Stuck:
        pytest.fail(f"still at it after {limit:g} s of real time")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
