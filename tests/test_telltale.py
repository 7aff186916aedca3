"""The privacy lamp in the hands of who sends: lit before the first byte, dark soon after the last, no flicker."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.session import Line, now, running, websocket, welcome
from voicebox.core.events import Category, SessionEnded
from voicebox.services.base import Send
from voicebox.simulator import Simulator
from voicebox.telltale import LINGER, Telltale
from voicebox.virtualtime import run_virtual


class Lamp:
    """Notes each change, and when."""

    def __init__(self) -> None:
        self.works = True
        self.changes: list[tuple[float, bool]] = []

    def __call__(self, on: bool) -> bool:
        if not self.changes or self.changes[-1][1] is not on:
            self.changes.append((now(), on))
        return self.works


def run(test: Callable[[Lamp, Telltale, list[int]], Awaitable[None]]) -> list[tuple[float, bool]]:
    """The changes of the lamp; the list is how many bytes have not left yet."""
    lamp = Lamp()

    async def main() -> None:
        in_flight = [0]
        await test(lamp, Telltale(lamp, lambda: in_flight[0]), in_flight)

    run_virtual(main())
    return lamp.changes


def test_it_is_lit_when_on_returns_and_dark_a_moment_after_off() -> None:
    async def test(lamp: Lamp, telltale: Telltale, _: list[int]) -> None:
        assert telltale.on()
        assert lamp.changes == [(0.0, True)]
        telltale.off()
        await asyncio.sleep(1)

    ((lit, _), (dark, on)) = run(test)
    assert (lit, on) == (0.0, False)
    assert dark == pytest.approx(LINGER)


def test_one_piece_after_the_other_does_not_flicker() -> None:
    async def test(_: Lamp, telltale: Telltale, __: list[int]) -> None:
        for _piece in range(20):
            telltale.on()
            telltale.off()
            await asyncio.sleep(LINGER * 0.9)
        telltale.close()

    assert [on for _, on in run(test)] == [True, False]


def test_off_said_again_does_not_put_it_off() -> None:
    async def test(_: Lamp, telltale: Telltale, __: list[int]) -> None:
        telltale.on()
        for _time in range(20):
            telltale.off()
            await asyncio.sleep(LINGER / 4)

    (_, (dark, on)) = run(test)
    assert not on
    assert dark == pytest.approx(LINGER)


def test_while_bytes_are_on_their_way_it_stays_lit() -> None:
    async def test(_: Lamp, telltale: Telltale, in_flight: list[int]) -> None:
        in_flight[0] = 640
        telltale.on()
        telltale.off()
        await asyncio.sleep(5)
        in_flight[0] = 0
        await asyncio.sleep(1)

    (_, (dark, _on)) = run(test)
    assert 5 < dark <= 5 + LINGER


def test_a_closed_connection_is_dark_at_once_and_nothing_comes_after() -> None:
    async def test(_: Lamp, telltale: Telltale, in_flight: list[int]) -> None:
        in_flight[0] = 640
        telltale.on()
        telltale.off()
        telltale.close()
        telltale.close()
        await asyncio.sleep(1)

    assert run(test) == [(0.0, True), (0.0, False)]


def test_who_never_sent_never_touches_it() -> None:
    async def test(_: Lamp, telltale: Telltale, __: list[int]) -> None:
        telltale.off()
        telltale.close()
        await asyncio.sleep(1)

    assert run(test) == []


# --- in a session --------------------------------------------------------------------------------------------------


def test_a_conversation_between_two_windows_has_two_stretches_of_light() -> None:
    async def main() -> Lamp:
        lamp = Lamp()
        async with Simulator(keep=True) as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id, lamp=lamp)
            async with running(line):
                await line.joined()
                await asyncio.sleep(1)
                assert lamp.changes == []
                for _ in range(2):
                    line.listen()
                    for _block in range(100):
                        line.hear(1)
                        await asyncio.sleep(0.02)
                    line.uplink.set_window(None)
                    await asyncio.sleep(1)
                await line.hang_up()
        return lamp

    changes = run_virtual(main()).changes
    assert [on for _, on in changes] == [True, False, True, False]
    assert [changes[i + 1][0] - changes[i][0] for i in (0, 2)] == [pytest.approx(1.9 + LINGER, abs=0.15)] * 2


def test_a_pause_in_the_midst_of_a_stretch_is_no_flicker() -> None:
    """The microphone stutters, the window is open: it is still on the air."""

    async def main() -> Lamp:
        lamp = Lamp()
        async with Simulator(keep=True) as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id, lamp=lamp)
            async with running(line):
                await line.joined()
                line.listen()
                for _ in range(3):
                    line.hear(50)
                    await asyncio.sleep(2 * LINGER)
                await line.hang_up()
        return lamp

    assert [on for _, on in run_virtual(main()).changes] == [True, False]


def test_a_link_that_breaks_in_mid_stretch_leaves_it_dark() -> None:
    async def main() -> tuple[Lamp, float]:
        lamp, broken = Lamp(), asyncio.Event()

        async def server(client: object) -> None:
            await welcome(client)  # type: ignore[arg-type]
            await broken.wait()
            client.transport.abort()  # type: ignore[attr-defined]

        async with websocket(server) as url:
            line = Line(url, lamp=lamp)
            async with running(line):
                await line.joined()
                line.listen()
                line.hear(50)
                await asyncio.sleep(0.5)
                assert lamp.changes[-1][1]
                broken.set()
                at = now()
                await asyncio.sleep(0.1)
                return lamp, at

    lamp, broke = run_virtual(main())
    dark, on = lamp.changes[-1]
    assert not on
    assert dark == pytest.approx(broke, abs=0.05)


def test_where_the_lamp_is_required_and_fails_no_sound_leaves_and_the_session_ends() -> None:
    async def main() -> tuple[list[SessionEnded], bytes]:
        lamp = Lamp()
        lamp.works = False
        async with Simulator(keep=True) as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id, lamp=lamp)
            async with running(line):
                await line.joined()
                line.listen()
                line.adapter.audio = lambda pcm: [Send(pcm), Send(pcm)]  # type: ignore[method-assign]  # one waits
                line.hear(50)
                await line.until(SessionEnded)
                line.hear(50)
                await asyncio.sleep(2)
                return line.of(SessionEnded), bytes(simulator.connections[0].received_pcm)

    (ended,), received = run_virtual(main())
    assert ended.category is Category.CONFIG
    assert "privacy lamp" in ended.message
    assert received == b""
