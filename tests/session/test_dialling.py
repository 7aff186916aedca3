"""Before the session is up: the token, refusals, nobody there, and servers that say nothing."""

import asyncio
import gc
import json
import logging
import socket
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from tests.support.session import TOKEN, Handler, Line, Tcp, line_to, listening, now, open_files, running, websocket
from voicebox.core.events import Category, ServiceError, SessionEnded, SessionLost, SessionReady
from voicebox.logs import setup
from voicebox.services.base import Dial
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual
from voicebox.websocket import CannotConnect, dial

# --- the token -----------------------------------------------------------------------------------------------------


def test_lira_03_the_token_appears_in_no_record_event_or_exception(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG the websockets library logs the request with the token in it, and so it must not be asked to."""
    caplog.set_level(logging.DEBUG)

    async def main() -> list[str]:
        told: list[str] = []
        scenes: list[tuple[list[str], type[Any]]] = [
            ([], SessionReady),
            (["unauthorized"], SessionEnded),
            (["http_503"], SessionLost),
            (["unauthorized_message"], SessionEnded),
            (["never_joined"], SessionLost),
        ]
        for faults, until in scenes:
            async with Simulator(faults=faults, token=TOKEN) as simulator:
                line = line_to(simulator)
                async with running(line):
                    line.session.open()
                    await line.until(until)
                    told += map(repr, line.events)
                    told.append(repr(vars(line.session)))
        return told

    told = run_virtual(main())
    assert len(told) >= 10
    assert not [text for text in told if TOKEN in text]
    assert not [record for record in caplog.records if TOKEN in record.getMessage() + str(record.exc_text)]


def test_lira_03_an_exception_that_holds_the_token_is_logged_without_it(tmp_path: Path) -> None:
    """What is printed to the terminal or journal when the worst happens inside a dial."""

    async def main() -> None:
        line = Line("ws://127.0.0.1:1/ws")

        def explode(*_: object) -> None:
            raise RuntimeError(f"ws://127.0.0.1:1/ws?token={TOKEN}")

        line.adapter.dial = explode  # type: ignore[method-assign,assignment]
        line.session.open()
        await line.session.run()

    printed = tmp_path / "stderr"
    with printed.open("w") as stream:
        stop = setup("debug", environ={}, stream=stream)
        with pytest.raises(RuntimeError) as raised:
            run_virtual(main())
        assert TOKEN in "".join(traceback.format_exception(raised.value))  # it is in there …
        logging.getLogger("voicebox").error("unexpected", exc_info=raised.value)
        stop()
    assert "RuntimeError" in printed.read_text()
    assert TOKEN not in printed.read_text()  # … and does not come out


def test_lira_04_the_token_is_read_anew_before_every_dial() -> None:
    async def main() -> tuple[int, int]:
        async with running(Line("ws://127.0.0.1:1/ws")) as line:
            line.session.open()
            await line.until(SessionLost, 5, within=600)
            return line.credentials_read, len(line.of(SessionLost))

    read, dials = run_virtual(main())
    assert read == dials == 5


@pytest.mark.parametrize("fault", ["unauthorized_message", "unauthorized"])
def test_lira_05_06_a_refused_token_is_not_dialled_again_until_it_is_another(fault: str) -> None:
    async def main() -> tuple[int, list[SessionEnded], list[str]]:
        async with Simulator(faults=[fault], token=TOKEN, keep=True) as bad, Simulator() as good:
            line = line_to(bad)
            async with running(line):
                line.session.open()
                await line.until(SessionEnded)
                await asyncio.sleep(3600)
                assert len(line.events) == len(line.of(SessionEnded)) == 1  # nothing was tried by itself
                line.adapter._settings = line.adapter._settings.model_copy(
                    update={"url": good.url, "meeting_id": good.meeting_id}
                )
                line.session.open()
                await line.until(SessionEnded, 2)
                ended = line.of(SessionEnded)
                line.token = good.token
                line.session.open()
                await line.until(SessionReady)
                return len(bad.connections), ended, [event.message for event in ended]

    connections, ended, messages = run_virtual(main())
    assert connections == (1 if fault == "unauthorized_message" else 0)  # the other is refused before
    assert [event.category for event in ended] == [Category.AUTH, Category.AUTH]
    assert all("lira_token" in message for message in messages)


def test_missing_meeting_is_said_and_not_retried() -> None:
    async def main() -> Line:
        async with running(Line("ws://127.0.0.1:1/ws", meeting="")) as line:
            line.session.open()
            await line.until(SessionEnded)
            await asyncio.sleep(600)
            return line

    line = run_virtual(main())
    (ended,) = line.of(SessionEnded)
    assert ended.category is Category.CONFIG
    assert "lira.meeting_id" in ended.message
    assert line.of(SessionLost) == []


# --- the join ------------------------------------------------------------------------------------------------------


def test_lira_10_no_joined_within_10_s_is_an_error_and_backs_off() -> None:
    async def main() -> tuple[Line, list[float]]:
        async with Simulator(faults=["never_joined"]) as simulator:
            line = line_to(simulator, dice=lambda: 0.5)
            async with running(line):
                line.session.open()
                await line.until(SessionLost, 2)
                return line, [at for at, _ in line.events]

    line, times = run_virtual(main())
    kinds = [type(event) for _, event in line.events]
    assert kinds == [ServiceError, SessionLost] * 2
    assert times == pytest.approx([10, 10, 21, 21], abs=0.1)  # 10 s, back-off of 1 s, 10 s
    assert "within 10 s" in line.of(ServiceError)[0].message


def test_lira_12_an_unknown_meeting_ends_it_for_good() -> None:
    async def main() -> Line:
        async with Simulator(faults=["session_not_found"], keep=True) as simulator:
            line = line_to(simulator)
            async with running(line):
                line.session.open()
                await line.until(SessionEnded)
                await asyncio.sleep(3600)
                assert len(simulator.connections) == 1
                return line

    line = run_virtual(main())
    assert [event.category for event in line.of(SessionEnded)] == [Category.NOT_FOUND]
    assert line.of(SessionLost) == []
    assert not line.session.connected


ALREADY = '{"type":"error","data":{"code":"ALREADY_JOINED","message":"client already in a session"}}'


def meeting(refusals: int, received: list[str]) -> Handler:
    """Refuses that many joins as second ones; a leave is taken in silence."""

    async def handle(client: ServerConnection) -> None:
        refused = 0
        async for message in client:
            received.append(json.loads(message)["type"])
            if received[-1] == "join" and refused < refusals:
                refused += 1
                await client.send(ALREADY)
            elif received[-1] == "join":
                await client.send('{"type":"joined","sessionId":"ses_1"}')

    return handle


def test_lira_13_already_joined_leaves_and_joins_once_more() -> None:
    async def main() -> tuple[list[str], float]:
        received: list[str] = []
        async with websocket(meeting(1, received)) as url, running(Line(url)) as line:
            await line.joined()
            return received[:3], now()

    received, at = run_virtual(main())
    assert received == ["join", "leave", "join"]
    assert at == pytest.approx(2, abs=0.1)


def test_lira_13_already_joined_for_ever_is_surfaced() -> None:
    async def main() -> tuple[Line, list[str]]:
        received: list[str] = []
        async with websocket(meeting(100, received)) as url, running(Line(url)) as line:
            line.session.open()
            await line.until(SessionEnded)
            await asyncio.sleep(600)
            return line, received

    line, received = run_virtual(main())
    assert received == ["join", "leave", "join"]
    assert [type(event) for _, event in line.events] == [SessionEnded]
    assert "already" in line.of(SessionEnded)[0].message


# --- nobody there --------------------------------------------------------------------------------------------------


def test_connection_refused_is_said_in_words() -> None:
    async def main() -> SessionLost:
        async with running(Line("ws://127.0.0.1:1/ws")) as line:
            line.session.open()
            return await line.until(SessionLost)

    lost = run_virtual(main())
    assert "refused" in lost.message.lower()
    assert lost.category is Category.NETWORK


@pytest.mark.parametrize(
    "hosts", [["127.0.0.1", "127.0.0.2"], ["255.255.255.255", "127.0.0.1"], ["127.0.0.1", "255.255.255.255"]]
)
def test_a_server_of_which_an_address_refuses_is_to_blame(hosts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the others say: a box without IPv6 reaches none of those. All boxes are turned away, and will spread."""

    def look_up(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 1)) for host in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def main() -> None:
        with pytest.raises(CannotConnect, match="connection refused") as raised:
            await dial(Dial("ws://two.addresses.invalid:1/"), max_size=1000, timeout=5, close_timeout=1)
        assert raised.value.server_side

    asyncio.run(main())


@pytest.mark.parametrize("hosts", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]], ids=["one address", "two"])
@pytest.mark.parametrize("turns", range(24))
def test_a_dial_that_nobody_wants_any_more_leaves_no_socket(
    hosts: list[str], turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it is cancelled: after each of the loop's turns that it takes. Not only once garbage is looked for."""

    async def until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(until_gone, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            open_before = open_files()
            dialling = asyncio.create_task(dial(Dial(f"ws://a.box:{port}/"), max_size=1000, timeout=5, close_timeout=1))
            for _ in range(turns):
                await asyncio.sleep(0)
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling
            await asyncio.sleep(1)
            assert open_files() == open_before

    gc.disable()
    try:
        run_virtual(main())
    finally:
        gc.enable()


def test_a_name_that_cannot_be_resolved_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)

    async def main() -> SessionLost:
        async with running(Line("wss://no-such-host.invalid/ws")) as line:
            line.session.open()
            return await line.until(SessionLost)

    assert "cannot be resolved" in run_virtual(main()).message


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5h://127.0.0.1:1", "nonsense"])
def test_a_proxy_never_stands_between_the_box_and_itself(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Without TLS the proxy would read the token."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)

    async def main() -> SessionReady:
        async with Simulator() as simulator:
            line = line_to(simulator)
            async with running(line):
                return await line.joined()

    assert run_virtual(main()).session_id


@pytest.mark.parametrize("proxy", ["socks5h://127.0.0.1:1", "nonsense", "http://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_a_reason_not_a_crash(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", proxy)

    async def main() -> SessionLost:
        async with running(Line("wss://127.0.0.1:1/ws")) as line:
            line.session.open()
            return await line.until(SessionLost)

    assert run_virtual(main()).message


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_10_s() -> None:
    async def main() -> tuple[float, SessionLost, Tcp]:
        server = Tcp()
        async with listening(server) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            lost = await line.until(SessionLost)
            at = now()
            await asyncio.sleep(0)
            assert await server.readers[0].read() == b""  # our end is closed, not left behind
            return at, lost, server

    at, lost, server = run_virtual(main())
    assert at == pytest.approx(10, abs=0.1)
    assert "in time" in lost.message
    assert server.connections == 1


# --- close before the session is up --------------------------------------------------------------------------------


async def _silence(_client: object) -> None:
    await asyncio.Event().wait()


def _no_answer() -> AbstractAsyncContextManager[int | str]:
    return listening(Tcp())


def _no_joined() -> AbstractAsyncContextManager[int | str]:
    return websocket(_silence)


@pytest.mark.parametrize("server", [_no_answer, _no_joined], ids=["dialling", "before joined"])
def test_close_before_the_session_is_up_ends_within_1_s(
    server: Callable[[], AbstractAsyncContextManager[int | str]],
) -> None:
    async def main() -> tuple[float, Line]:
        async with server() as where:
            url = f"ws://127.0.0.1:{where}/ws" if isinstance(where, int) else where
            async with running(Line(url)) as line:
                line.session.open()
                await asyncio.sleep(1)
                took = await line.hang_up()
                await asyncio.sleep(60)
                assert not line.session.connected
                return took, line

    took, line = run_virtual(main())
    assert took <= 1.0
    assert line.events == []


def test_close_then_open_while_dialling_dials_anew() -> None:
    async def main() -> int:
        silent = Tcp()
        async with listening(silent) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            await asyncio.sleep(1)
            line.session.close()
            line.session.open()
            await asyncio.sleep(1)
            return silent.connections

    assert run_virtual(main()) == 2
