"""Who asks a running box: what the client says where nobody answers, and how long it waits."""

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.control import until, with_server
from voicebox import control
from voicebox.control import Control, ask, follow
from voicebox.errors import DeviceError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def test_the_client_says_that_nobody_answers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody() -> None:
        await ask(path, {"do": "hello"})

    async def asleep() -> None:
        with closing(socket.socket(socket.AF_UNIX)) as server:
            path.parent.mkdir()
            server.bind(str(path))
            server.listen()
            await ask(path, {"do": "hello"})

    monkeypatch.setattr(control, "PATIENCE", 0.05)
    for case in (nobody, asleep):
        with pytest.raises(DeviceError, match="is it running") as error:
            asyncio.run(case())
        assert error.value.exit_code == 69


def test_the_client_says_that_it_may_not(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "open_unix_connection", forbidden)
    with pytest.raises(DeviceError, match="join the group voicebox"):
        asyncio.run(ask(path, {"do": "hello"}))


def test_follow_ends_with_the_daemon(path: Path) -> None:
    async def test(server: Control) -> None:
        got: list[str] = []

        async def read() -> None:
            async for line in follow(path):
                got.append(line)  # noqa: PERF401  # what came before an exception counts too

        task = asyncio.ensure_future(read())
        await until(lambda: server.is_watched)
        server.publish({"number": 1})
        await until(lambda: bool(got))
        await server.stop()
        await task
        assert got == ['{"number": 1}']

    with_server(path, test)


def test_follow_outlasts_the_patience_for_an_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.05)

    async def test(server: Control) -> None:
        lines = follow(path)
        first = asyncio.ensure_future(anext(lines))
        await asyncio.sleep(0.15)
        server.publish({"number": 1})
        assert await first == '{"number": 1}'
        await lines.aclose()

    with_server(path, test)
