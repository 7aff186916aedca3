"""When is dialled again: the delays as a pure function (COM-04), and what may shorten the wait."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.session import Line, now, running
from voicebox.core.events import SessionEnded, SessionLost, SessionReady
from voicebox.redial import HEALTHY, JUMP_EVERY, backoff, explain
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual

ALMOST_ONE = 0.999_999


@pytest.mark.parametrize(
    ("attempt", "server_side", "lowest", "highest"),
    [
        (0, False, 0, 2),
        (1, False, 0, 4),
        (2, False, 0, 8),
        (5, False, 0, 60),
        (100_000, False, 0, 60),
        (0, True, 0, 60),
        (1, True, 10, 70),
        (2, True, 10, 130),
        (100_000, True, 10, 130),
    ],
)
def test_com_04_delays_grow_to_a_cap(attempt: int, server_side: bool, lowest: float, highest: float) -> None:
    """EVI-69: doubles and is spread."""

    def delay(dice: float) -> float:
        return backoff(attempt, server_side=server_side, retry_after=0, dice=dice)

    assert delay(0.0) == lowest
    assert delay(ALMOST_ONE) == pytest.approx(highest, rel=1e-4)


@given(st.integers(0, 5000), st.booleans(), st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_com_04_never_shorter_than_asked_nor_longer_than_the_cap(
    attempt: int, server_side: bool, retry_after: float, dice: float
) -> None:
    delay = backoff(attempt, server_side=server_side, retry_after=retry_after, dice=dice)
    assert delay >= retry_after
    assert delay <= max(retry_after, 130 if server_side else 60)
    assert delay >= (10 if server_side and attempt else 0)


@given(st.integers(0, 50), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_com_04_the_jitter_is_full(attempt: int, server_side: bool, dice: float) -> None:
    """The delay is linear in the dice: uniform dice spread a fleet of boxes evenly."""
    low, mid, high = (backoff(attempt, server_side=server_side, retry_after=0, dice=d) for d in (0.0, dice, ALMOST_ONE))
    assert mid == pytest.approx(low + (high - low) * dice / ALMOST_ONE, rel=1e-9, abs=1e-9)


NOWHERE = "ws://127.0.0.1:1/ws"
"""Nobody listens on loopback's port 1."""


def dialled_at(line: Line) -> list[float]:
    """When each attempt ended: on loopback a refused connection takes no time."""
    return [at for at, event in line.events if isinstance(event, SessionLost)]


def test_com_04_a_dead_server_is_dialled_ever_more_rarely() -> None:
    async def main() -> list[float]:
        async with running(Line(NOWHERE, dice=lambda: 0.5)) as line:
            line.session.open()
            await line.until(SessionLost, 8, within=600)
            return dialled_at(line)

    times = run_virtual(main())
    gaps = [round(b - a, 3) for a, b in pairwise(times)]
    assert gaps == [30, 40, 70, 70, 70, 70, 70]  # spread: many boxes are refused at once


def test_someone_waking_the_box_jumps_the_queue_once_per_5_s() -> None:
    async def main() -> tuple[int, float]:
        async with running(Line(NOWHERE, dice=lambda: ALMOST_ONE)) as line:
            line.session._redial.attempt = 10
            line.session.open()
            await line.until(SessionLost, 1)
            for _ in range(200):  # impatient: ten times a second for twenty seconds
                line.session.open()
                await asyncio.sleep(0.1)
            return len(dialled_at(line)), now()

    attempts, seconds = run_virtual(main())
    assert seconds == pytest.approx(20, abs=0.1)
    assert attempts == 20 / JUMP_EVERY


def test_hanging_up_and_asking_again_does_not_jump_the_queue_either() -> None:
    async def main() -> int:
        async with running(Line(NOWHERE, dice=lambda: ALMOST_ONE)) as line:
            line.session._redial.attempt = 10
            line.session.open()
            await line.until(SessionLost, 1)
            for _ in range(40):
                line.session.close()
                line.session.open()
                await asyncio.sleep(0.1)
            return len(dialled_at(line))

    assert run_virtual(main()) == 1


@pytest.mark.parametrize(("healthy_for", "attempt"), [(HEALTHY - 5, 4), (HEALTHY + 1, 1)])
def test_com_04_the_back_off_starts_anew_after_30_s_of_health(healthy_for: float, attempt: int) -> None:
    async def main() -> int:
        async with Simulator() as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id, dice=lambda: 0.0)
            async with running(line):
                line.session._redial.attempt = 3
                await line.joined()
                await asyncio.sleep(healthy_for)
                await simulator.stop()
                await line.until(SessionLost)
                return line.session._redial.attempt

    assert run_virtual(main()) == attempt


def test_com_04_short_conversations_that_end_well_are_healthy_too() -> None:
    """A box that is only ever asked the time must not slow down for the blips of a year."""

    async def main() -> tuple[int, int]:
        async with Simulator() as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id)
            async with running(line):
                line.session._redial.attempt = 7
                await line.joined()
                await line.hang_up()
                await asyncio.sleep(0)
                return line.session._redial.attempt, len(line.of(SessionLost))

    assert run_virtual(main()) == (0, 0)


def test_a_jump_that_succeeds_ends_the_waiting() -> None:
    """The service is back: the next conversation need not wait for the time the last failure had set."""

    async def main() -> float:
        async with Simulator(faults=["http_503=300"]) as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id)
            async with running(line):
                line.session.open()
                lost = await line.until(SessionLost)
                assert lost.retry_in >= 300
                await asyncio.sleep(JUMP_EVERY)
                line.session.open()  # jumps
                await line.until(SessionReady)
                await line.hang_up()
                line.session.open()
                began = now()
                await line.until(SessionReady, 2)
                return now() - began

    assert run_virtual(main()) < 0.1


def test_com_04_retry_after_is_honoured() -> None:
    async def main() -> tuple[float, float]:
        async with Simulator(faults=["http_503=30"]) as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id, dice=lambda: 0.0)
            async with running(line):
                line.session.open()
                lost = await line.until(SessionLost)
                await line.until(SessionReady)
                return lost.retry_in, now()

    retry_in, ready_at = run_virtual(main())
    assert retry_in == 30
    assert ready_at == pytest.approx(30, abs=0.1)


def test_a_close_while_waiting_ends_the_waiting() -> None:
    async def main() -> list[SessionEnded]:
        async with running(Line(NOWHERE)) as line:
            line.session._redial.attempt = 10
            line.session.open()
            await line.until(SessionLost)
            line.session.close()
            await asyncio.sleep(300)
            assert len(line.of(SessionLost)) == 1
            return line.of(SessionEnded)

    assert run_virtual(main()) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connect call failed"), "connection refused"),
        (OSError("Multiple exceptions: [Errno 111] …"), "Multiple exceptions"),
        (ValueError("ws://h/?token=abcdefgh is bad"), r"ws://h/?token=*** is bad"),
        (ValueError(), "ValueError"),
    ],
)
def test_failures_are_explained_without_secrets(error: Exception, words: str) -> None:
    assert words in explain(error)
