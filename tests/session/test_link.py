"""While the session is up: goodbye, the ends of connections, dead links, back-pressure."""

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.support.session import JOINED, Line, Tcp, line_to, listening, now, running, upgrade, websocket, welcome
from voicebox.core.events import ReplyAudio, ReplyStarted, SessionEnded, SessionLost, SessionReady
from voicebox.pumps import GOODBYE
from voicebox.services.base import Effect
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual
from voicebox.websocket import SEND_TIMEOUT_MS


class Server:
    """Welcomes every client, and notes what it says and how it closes."""

    def __init__(self, *, answer_close: bool = True) -> None:
        self.received: list[list[str | int]] = []  # per client: message types, or sizes of binary ones
        self.closes: list[tuple[int, str]] = []
        self.clients: list[ServerConnection] = []
        self._answer_close = answer_close

    async def __call__(self, client: ServerConnection) -> None:
        self.clients.append(client)
        received: list[str | int] = []
        self.received.append(received)
        await welcome(client)
        received.append("join")
        try:
            while True:
                message = await client.recv()
                received.append(len(message) if isinstance(message, bytes) else json.loads(message)["type"])
                if message == '{"type":"leave"}' and not self._answer_close:
                    client.transport.pause_reading()
                    await asyncio.Event().wait()
        except ConnectionClosed as closed:
            self.closes.append((closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, ""))


# --- goodbye -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
def test_lira_22_leave_then_close_1000(streaming: bool) -> None:
    async def main() -> Server:
        server = Server()
        async with websocket(server) as url, running(Line(url)) as line:
            await line.joined()
            if streaming:
                line.listen()
                line.hear(20)
                await asyncio.sleep(0.1)
            assert await line.hang_up() <= 0.1
            await asyncio.sleep(0.1)
            assert [type(event) for _, event in line.events] == [SessionReady]  # our own leaving is no news
        return server

    server = run_virtual(main())
    stretch = ["audio_start", 3200, 3200, 3200, 3200, "audio_stop"] if streaming else []
    assert server.received == [["join", "settings", *stretch, "leave"]]
    assert server.closes == [(1000, "")]


def test_lira_22_a_server_that_never_answers_the_close_is_left_within_1_s() -> None:
    async def main() -> tuple[float, Server]:
        server = Server(answer_close=False)
        async with websocket(server) as url, running(Line(url)) as line:
            await line.joined()
            await asyncio.sleep(0.1)
            return await line.hang_up(), server

    took, server = run_virtual(main())
    assert took <= GOODBYE
    assert server.received[0][-1] == "leave"


def test_a_close_while_the_link_takes_nothing_more_ends_within_1_s() -> None:
    """Both buffers are full: the goodbye cannot be said, and is not waited for."""

    async def main() -> float:
        async with websocket(stuck) as url, running(Line(url)) as line:
            await line.joined()
            line.session.text("x" * 20_000_000)  # more than loopback's buffers take
            await asyncio.sleep(1)
            return await line.hang_up()

    assert run_virtual(main()) <= GOODBYE + 0.1


async def stuck(client: ServerConnection) -> None:
    """Reads nothing after the join."""
    await welcome(client)
    client.transport.pause_reading()
    await asyncio.Event().wait()


def test_close_then_open_at_once_gets_a_fresh_session() -> None:
    async def main() -> tuple[Line, Server]:
        server = Server()
        async with websocket(server) as url, running(Line(url)) as line:
            await line.joined()
            line.session.close()
            line.session.open()
            await line.until(SessionReady, 2)
            assert line.session.connected
            await line.hang_up()
            await asyncio.sleep(0.1)
        return line, server

    line, server = run_virtual(main())
    assert [received[-1] for received in server.received] == ["leave", "leave"]
    assert line.of(SessionLost) == []
    assert line.of(SessionEnded) == []


def test_what_breaks_after_we_left_does_not_trouble_the_next_conversation() -> None:
    async def main() -> Line:
        server = Server(answer_close=False)
        async with websocket(server) as url, running(Line(url)) as line:
            await line.joined()
            line.session.close()
            line.session.open()
            await asyncio.sleep(0.01)
            server.clients[0].transport.abort()
            await line.until(SessionReady, 2)
            assert now() < 1
            return line

    assert [type(event) for _, event in run_virtual(main()).events] == [SessionReady] * 2


# --- the ends of connections ---------------------------------------------------------------------------------------


def test_lira_42_the_meeting_has_ended() -> None:
    async def main() -> Line:
        server = Server()
        async with websocket(server) as url, running(Line(url)) as line:
            await line.joined()
            await server.clients[0].close(1000, "bye")
            await line.until(SessionEnded)
            await asyncio.sleep(3600)
            assert len(server.clients) == 1
            return line

    line = run_virtual(main())
    assert [event.category for event in line.of(SessionEnded)] == [None]
    assert line.of(SessionLost) == []


@pytest.mark.parametrize(
    ("code", "least", "most"),
    [(1001, 0, 60), (1011, 0, 60), (1012, 0, 60), (1013, 0, 60), (4000, 0, 60), (1008, 60, 60), (None, 0, 2)],
)
def test_lira_43_any_other_close_backs_off_and_rejoins_with_audio_start(
    code: int | None, least: float, most: float
) -> None:
    async def main() -> tuple[Line, Server]:
        server = Server()
        async with websocket(server) as url, running(Line(url, dice=lambda: 0.999_999)) as line:
            await line.joined()
            line.listen()
            line.hear(15)
            await asyncio.sleep(0.1)
            if code is None:
                server.clients[0].transport.abort()
            else:
                await server.clients[0].close(code)
            lost = await line.until(SessionLost)
            assert least <= lost.retry_in <= most + 0.1
            await line.until(SessionReady, 2, within=200)
            line.hear(15)
            await asyncio.sleep(0.1)
            return line, server

    _, server = run_virtual(main())
    assert server.received[0] == ["join", "settings", "audio_start", 3200, 3200, 3200]
    assert server.received[1][:4] == ["join", "settings", "audio_start", 3200]


def test_a_half_closed_connection_is_closed() -> None:
    async def main() -> tuple[float, Tcp]:
        server = Tcp(lambda request: upgrade(request) + JOINED)
        async with listening(server) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            await line.joined()
            began = now()
            server.writers[0].write_eof()
            await line.until(SessionLost)
            return now() - began, server

    took, _ = run_virtual(main())
    assert took <= GOODBYE


# --- is anybody there? ---------------------------------------------------------------------------------------------


def test_lira_44_pings_keep_an_idle_session_alive_and_measure_it() -> None:
    async def main() -> tuple[Line, int]:
        async with Simulator() as simulator:
            line = line_to(simulator, ping_interval=20)
            async with running(line):
                await line.joined()
                assert line.session.rtt is None
                await asyncio.sleep(600)
                assert line.session.connected
                return line, len(line.of(SessionLost))

    line, lost = run_virtual(main())
    assert lost == 0
    assert line.session.rtt is not None
    assert 0 <= line.session.rtt < 1


@pytest.mark.parametrize("uplink", [False, True], ids=["idle", "speaking"])
def test_lira_44_a_link_that_answers_nothing_is_dead_within_two_ping_periods(uplink: bool) -> None:
    async def main() -> tuple[float, str]:
        async with websocket(stuck) as url, running(Line(url, ping_interval=10)) as line:
            await line.joined()
            if uplink:
                line.session.text("x" * 20_000_000)  # fills the buffers: nothing can be sent any more, not even pings
            lost = await line.until(SessionLost)
            return now(), lost.message

    dead_at, message = run_virtual(main())
    assert dead_at <= 20 + GOODBYE
    assert "not answered" in message


def test_lira_44_a_busy_service_without_pongs_is_not_dead() -> None:
    async def deaf(client: ServerConnection) -> None:
        await welcome(client)
        client.transport.pause_reading()
        while True:
            await asyncio.sleep(5)
            await client.send('{"type":"participant_event","data":{}}')

    async def main() -> Line:
        async with websocket(deaf) as url, running(Line(url, ping_interval=20)) as line:
            await line.joined()
            await asyncio.sleep(300)
            return line

    assert run_virtual(main()).of(SessionLost) == []


def test_unacknowledged_data_breaks_the_link_after_5_s() -> None:
    """TCP_USER_TIMEOUT: the kernel notices what pings would only find later."""

    async def main() -> int:
        async with Simulator() as simulator:
            line = line_to(simulator)
            async with running(line):
                await line.joined()
                assert line.session._pumps is not None
                raw = line.session._pumps.connection.transport.get_extra_info("socket")
                option: int = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                return option

    assert run_virtual(main()) == SEND_TIMEOUT_MS == 5000


# --- back-pressure -------------------------------------------------------------------------------------------------


def test_com_06_without_room_reading_stops_and_nothing_is_lost() -> None:
    pieces = [bytes([number % 256]) * 32_000 for number in range(1000)]  # 32 MB: far more than any socket buffers

    async def main() -> tuple[int, list[bytes]]:
        sent = 0
        room = False

        async def flood(client: ServerConnection) -> None:
            nonlocal sent
            await welcome(client)
            for piece in pieces:
                await client.send(piece)
                sent += 1
            await client.wait_closed()

        async with websocket(flood) as url, running(Line(url, has_room=lambda: room)) as line:
            await line.joined()
            await asyncio.sleep(5)
            sent_without_room = sent
            room = True
            await line.until(ReplyAudio, len(pieces))
            assert line.session.connected
            return sent_without_room, [audio.pcm for audio in line.of(ReplyAudio)]

    sent_without_room, heard = run_virtual(main())
    assert sent_without_room < len(pieces) // 2
    assert heard == pieces


def test_a_close_without_room_ends_within_1_s() -> None:
    async def flood(client: ServerConnection) -> None:
        await welcome(client)
        while True:
            await client.send(bytes(32_000))

    async def main() -> float:
        async with websocket(flood) as url, running(Line(url, has_room=lambda: False)) as line:
            await line.joined()
            await asyncio.sleep(5)
            return await line.hang_up()

    assert run_virtual(main()) <= GOODBYE + 0.1


# --- commands ------------------------------------------------------------------------------------------------------


def test_what_an_adapter_says_to_a_command_is_reported_after_it() -> None:
    """The core's dispatch may not be entered again from within one of its commands."""

    async def main() -> tuple[int, int]:
        async with Simulator() as simulator:
            line = line_to(simulator)

            def cancel(reply_id: int) -> Sequence[Effect]:
                return [ReplyStarted(reply_id)]

            line.adapter.cancel = cancel  # type: ignore[method-assign]
            async with running(line):
                await line.joined()
                line.session.cancel(7)
                within = len(line.of(ReplyStarted))
                await line.until(ReplyStarted)
                return within, len(line.of(ReplyStarted))

    assert run_virtual(main()) == (0, 1)


@pytest.mark.parametrize("act", [lambda s: s.cancel(1), lambda s: s.text("hi"), lambda s: s.update({"a": 1})])
def test_commands_without_a_connection_do_nothing(act: Callable[[Any], None]) -> None:
    async def main() -> Line:
        async with running(Line("ws://127.0.0.1:1/ws")) as line:
            act(line.session)
            await asyncio.sleep(1)
            return line

    line = run_virtual(main())
    assert line.events == []
    assert not line.session.connected


def test_an_exception_nobody_expected_is_not_swallowed() -> None:
    async def main() -> None:
        server = Server()
        async with websocket(server) as url, running(Line(url)) as line:
            await line.joined()

            def explode(_: str | bytes) -> Sequence[Effect]:
                raise ZeroDivisionError

            line.adapter.received = explode  # type: ignore[method-assign,assignment]  # as an adapter with a defect
            await server.clients[0].send("{}")
            await asyncio.sleep(1)

    with pytest.raises(ZeroDivisionError):
        run_virtual(main())
