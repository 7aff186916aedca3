"""The control socket: who may talk to it, what it answers, and that no client can harm the box."""

import asyncio
import json
import os
import socket
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.control import ACTIONS, SECRET, until, with_server
from voicebox import control
from voicebox.control import AlreadyRunningError, Control, ask, find_socket, socket_path
from voicebox.errors import DeviceError, VoiceboxError
from voicebox.redact import remember

HELLO = b'{"do": "hello"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


async def say(path: Path, *lines: bytes) -> list[Any]:
    """Send these lines at once, and read an answer to each (fewer where it hangs up)."""
    reader, writer = await asyncio.open_unix_connection(path)
    answers = []
    with suppress(ConnectionError):
        writer.write(b"".join(lines))
        for _ in lines:
            line = await reader.readline()
            answers += [json.loads(line)] if line else []
    writer.close()
    return answers


async def watch(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"do": "watch"}\n')
    assert json.loads(await reader.readline()) == {"ok": True}
    return reader, writer


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- the socket ----------------------------------------------------------------------------------------------------


def test_it_is_for_its_owner_and_group_alone_and_gone_at_the_end(path: Path) -> None:
    async def test(_: Control) -> None:
        assert mode(path) == 0o660
        assert mode(path.parent) & 0o007 == 0

    before = os.umask(0)
    try:
        with_server(path, test)
    finally:
        os.umask(before)
    assert not path.exists()


def test_making_it_leaves_the_umask_as_it_was(path: Path) -> None:
    async def test(_: Control) -> None:
        before = os.umask(0o022)
        assert os.umask(before) == 0o022
        assert before == 0o027

    outer = os.umask(0o027)
    try:
        with_server(path, test)
    finally:
        os.umask(outer)


def test_a_second_daemon_is_refused_and_the_first_goes_on(path: Path) -> None:
    async def test(_: Control) -> None:
        with pytest.raises(AlreadyRunningError, match="systemctl stop voicebox"):
            await Control(path, ACTIONS).start()
        assert (await ask(path, {"do": "hello"}))["ok"] is True

    with_server(path, test)


def test_what_a_killed_daemon_left_behind_is_replaced(path: Path) -> None:
    """S69."""
    path.parent.mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))

    async def test(_: Control) -> None:
        assert await say(path, HELLO) == [{"ok": True, "echo": ""}]

    with_server(path, test)


def test_what_is_no_socket_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(DeviceError, match="remove it"):
        with_server(path, lambda _: asyncio.sleep(0))
    assert path.read_text() == "precious"


def test_a_place_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file, no directory")
    with pytest.raises(DeviceError, match="cannot be made"):
        with_server(tmp_path / "run" / "control.sock", lambda _: asyncio.sleep(0))


def test_stop_is_safe_before_start_and_twice(path: Path) -> None:
    async def main() -> None:
        server = Control(path, ACTIONS)
        await server.stop()
        await server.start()
        await server.stop()
        await server.stop()

    asyncio.run(main())


def test_stop_does_not_wait_for_clients(path: Path) -> None:
    async def test(server: Control) -> None:
        reader, writer = await watch(path)
        other, idle = await asyncio.open_unix_connection(path)
        idle.write(HELLO)
        await other.readline()
        async with asyncio.timeout(1):
            await server.stop()
        assert await reader.read() == b""
        assert await other.read() == b""
        writer.close()
        idle.close()

    with_server(path, test)


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({"VOICEBOX_CONTROL": "/x/y.sock", "RUNTIME_DIRECTORY": "/run/voicebox"}, "/x/y.sock"),
        ({"RUNTIME_DIRECTORY": "/run/a:/run/b"}, "/run/a/control.sock"),
        ({}, "/run/voicebox/control.sock"),
    ],
)
def test_where_it_is(environ: dict[str, str], where: str) -> None:
    assert socket_path(environ) == Path(where)


def test_a_user_has_a_place_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert socket_path({"XDG_RUNTIME_DIR": "/run/user/1000"}) == Path("/run/user/1000/voicebox/control.sock")
    assert socket_path({"XDG_RUNTIME_DIR": ""}) == control.SYSTEM_SOCKET


def test_a_client_finds_the_users_own_box_or_else_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    own = socket_path(environ)
    assert find_socket(environ) == control.SYSTEM_SOCKET
    assert find_socket({"VOICEBOX_CONTROL": "/nowhere.sock"}) == Path("/nowhere.sock")
    own.parent.mkdir()
    own.touch()
    assert find_socket(environ) == own


# --- requests ------------------------------------------------------------------------------------------------------

GARBAGE = [
    b"\n",
    b"hello\n",
    b"[1, 2]\n",
    b"null\n",
    b'{"do": 7}\n',
    b'{"do": ["hello"]}\n',
    b'{"do": null}\n',
    b'{"do": "shutdown"}\n',
    b"{}\n",
    b"\xff\xfe\x00\n",
    b'{"do": "hello", "what": NaN}\n',
    b'{"do": "hello", "what": 1e400}\n',
    b'{"do": "hello", "what": "\\ud83d"}\n',
    b"[" * 5000 + b"\n",
    b'{"do": "hello", "what": ' + b"[" * 5000 + b"]" * 5000 + b"}\n",
]


@pytest.mark.parametrize("line", GARBAGE, ids=lambda line: repr(line[:24]))
def test_garbage_is_answered_with_what_can_be_asked_and_the_line_lives(path: Path, line: bytes) -> None:
    async def test(_: Control) -> None:
        refused, answered = await say(path, line, HELLO)
        assert refused["ok"] is False
        assert all(name in refused["error"] for name in ("hello", "refuse", "watch"))
        assert answered == {"ok": True, "echo": ""}

    with_server(path, test)


def test_a_line_that_is_too_long_is_refused_and_ends_it(path: Path) -> None:
    async def test(_: Control) -> None:
        answers = await say(path, b'{"do": "hello", "what": "' + b"x" * control.LONGEST + b'"}\n', HELLO)
        assert [answer["ok"] for answer in answers] == [False]
        assert str(control.LONGEST) in answers[0]["error"]
        assert await say(path, HELLO) == [{"ok": True, "echo": ""}]

    with_server(path, test)


def test_a_client_that_leaves_in_mid_line_does_no_harm(path: Path) -> None:
    async def test(server: Control) -> None:
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"do": "hel')
        writer.close()
        await writer.wait_closed()
        assert await say(path, HELLO) == [{"ok": True, "echo": ""}]
        await until(lambda: not server._clients)

    with_server(path, test)


def test_refusals_are_said_and_secrets_are_not(path: Path) -> None:
    remember(SECRET)

    async def test(server: Control) -> None:
        with pytest.raises(VoiceboxError, match="no tea here") as refused:
            await ask(path, {"do": "refuse", "what": "tea"})
        answer = await ask(path, {"do": "secret"})
        reader, writer = await watch(path)
        server.publish({"text": SECRET, "details": {"deep": [SECRET]}})
        news = await reader.readline()
        writer.close()
        everything = f"{refused.value}{answer}{news!r}"
        assert everything.count("***") >= 5
        assert SECRET not in everything

    with_server(path, test)


def test_as_many_clients_as_there_is_room_for_are_served_and_the_next_is_told(path: Path) -> None:
    async def test(server: Control) -> None:
        clients = [await asyncio.open_unix_connection(path) for _ in range(control.MOST_CLIENTS)]
        for reader, writer in clients:
            writer.write(HELLO)
            assert json.loads(await reader.readline())["ok"] is True
        (refused,) = await say(path, HELLO)
        assert refused["ok"] is False
        assert "later" in refused["error"]
        for _, writer in clients:
            writer.close()
            await writer.wait_closed()
        await until(lambda: not server._clients)
        assert await say(path, HELLO) == [{"ok": True, "echo": ""}]

    with_server(path, test)


# --- subscriptions -------------------------------------------------------------------------------------------------


def test_subscribers_get_everything_in_order(path: Path) -> None:
    async def test(server: Control) -> None:
        states = [server.is_watched]
        lines = [await watch(path) for _ in range(3)]
        states.append(server.is_watched)
        assert states == [False, True]
        for number in range(200):
            server.publish({"number": number, "half": "\ud83d"})
        for reader, writer in lines:
            got = [json.loads(await reader.readline()) for _ in range(200)]
            assert [event["number"] for event in got] == list(range(200))
            writer.close()
            await writer.wait_closed()
        await until(lambda: not server.is_watched)

    with_server(path, test)


def test_a_subscriber_that_does_not_read_is_cut_off_and_keeps_nobody_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.05)

    async def test(server: Control) -> None:
        with closing(socket.socket(socket.AF_UNIX)) as sleeper:
            sleeper.connect(str(path))
            sleeper.send(b'{"do": "watch"}\n')
            reader, writer = await watch(path)
            await until(lambda: len(server._subscribers) == 2)
            for number in range(1000):
                server.publish({"number": number, "padding": "x" * 1000})
                assert json.loads(await reader.readline())["number"] == number
            await until(lambda: len(server._clients) == 1)
            assert len(server._subscribers) == 1
            writer.close()

    with_server(path, test)


def test_what_a_subscriber_still_says_is_thrown_away(path: Path) -> None:
    async def test(server: Control) -> None:
        reader, writer = await watch(path)
        for _ in range(100):
            writer.write(b"x" * control.LONGEST)
            await writer.drain()
        server.publish({"number": 1})
        assert json.loads(await reader.readline()) == {"number": 1}
        writer.close()

    with_server(path, test)
