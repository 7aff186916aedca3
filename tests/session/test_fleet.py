"""Many boxes and one service that was down: they come back spread out, and soon."""

import random

import pytest

from tests.support.session import Line, running
from voicebox.bench.fleet import MOST_AT_ONCE, OUTAGES, fall_and_return
from voicebox.core.events import SessionLost
from voicebox.redial import backoff
from voicebox.virtualtime import run_virtual


@pytest.mark.parametrize("outage", OUTAGES)
def test_ten_thousand_boxes_do_not_come_at_once(outage: int) -> None:
    seen = fall_and_return(10_000, outage)
    assert len(seen.back) == 10_000
    assert seen.peak() <= MOST_AT_ONCE
    assert seen.all_but(1) - outage <= 130


def test_two_boxes_of_the_same_second_are_uncorrelated() -> None:
    """Each process begins with a seed of the system's own: what one draws says nothing of the other."""
    one, other = random.Random(), random.Random()  # noqa: S311  # the very kind that the box uses
    pairs = [(one.random(), other.random()) for _ in range(4_000)]
    mean = [sum(column) / len(pairs) for column in zip(*pairs, strict=True)]
    products = sum((a - mean[0]) * (b - mean[1]) for a, b in pairs) / len(pairs)
    assert abs(products * 12) < 0.1  # a uniform variable's variance is 1/12; six standard deviations


def test_a_refused_connection_counts_as_the_services_doing() -> None:
    """As the simulation of many boxes has it: all of them are refused while a service is down."""

    async def main() -> list[float]:
        async with running(Line("ws://127.0.0.1:1/ws", dice=lambda: 0.5)) as line:
            line.session.open()
            return [(await line.until(SessionLost, n, within=400)).retry_in for n in (1, 2, 3)]

    expected = [backoff(n, server_side=True, retry_after=0, dice=0.5) for n in range(3)]
    assert run_virtual(main()) == pytest.approx(expected)
