"""Blocks that may wait are kept in their order, for no longer than a step of the wake word engine."""

import pytest

from voicebox.audio.base import BLOCK, Block
from voicebox.audio.held import MOST, Held


def fed(held: Held, count: int, first: int = 0) -> list[list[int]]:
    """The positions that came together, block by block."""
    blocks = [Block((first + index) * BLOCK, bytes(2 * BLOCK), 0.0) for index in range(count)]
    return [[block.position // BLOCK for block in held.add(block)] for block in blocks]


def test_each_comes_at_once_unless_it_may_wait() -> None:
    assert fed(Held(), 3) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("until", "expected"), [(1, [[0], [1]]), (BLOCK + 1, [[], [0, 1]]), (3 * BLOCK, [[], [], [0, 1, 2]])]
)
def test_they_come_with_the_one_that_reaches_what_is_waited_for(until: int, expected: list[list[int]]) -> None:
    held = Held()
    held.until = until
    assert fed(held, len(expected)) == expected


def test_whatever_is_waited_for_they_wait_no_longer_than_a_step() -> None:
    held = Held()
    held.until = 10**9
    assert fed(held, 2 * MOST) == [[], [], [], [0, 1, 2, 3], [], [], [], [4, 5, 6, 7]]


def test_what_waited_comes_with_the_next_once_all_are_needed() -> None:
    held = Held()
    held.until = 10**9
    fed(held, 2)
    held.until = 0
    assert fed(held, 1, first=2) == [[0, 1, 2]]


def test_what_was_heard_before_a_reopening_is_gone() -> None:
    held = Held()
    held.until = 10**9
    fed(held, 2)
    held.drop()
    assert fed(held, 4, first=9) == [[], [], [], [9, 10, 11, 12]]
