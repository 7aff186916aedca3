"""A task of the box beside a real broker, with actions that only note what they are asked."""

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.mosquitto import Mosquitto
from voicebox.core.state import State
from voicebox.errors import VoiceboxError
from voicebox.mqtt.base import Address, Request
from voicebox.mqtt.homeassistant import Node
from voicebox.mqtt.task import Mqtt

PATIENCE = 10.0
KITCHEN = Node("kitchen", version="1.2.3")


def in_real_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The broker is a process of its own: its time is everybody's."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Said(logging.Handler):
    """The box's log, at its most talkative."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[int, str]] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.lines.append((record.levelno, self.format(record)))
            self._changed.notify_all()

    def clear(self) -> None:
        self.lines.clear()

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    @property
    def warnings(self) -> list[str]:
        return [line for level, line in self.lines if level == logging.WARNING]

    async def until(self, words: str) -> None:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: words in self.text, PATIENCE)

        assert await asyncio.to_thread(wait), self.text


@pytest.fixture
def said() -> Iterator[Said]:
    handler, logger = Said(), logging.getLogger()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


class Home:
    """What the box was asked, and its task."""

    def __init__(self, address: Address, node: Node, password: Callable[[], str | None]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refuse = ""
        self._news = asyncio.Event()
        names = ("mute", "unmute", "volume", "say", "talk", "stop", "session.restart")
        actions = dict.fromkeys(names, self._act)
        self.mqtt = Mqtt(address, node, password=password, actions=actions, state=State(), volume=70, dice=lambda: 0.01)

    async def _act(self, request: Request) -> dict[str, Any]:
        self.asked.append(dict(request))
        self._news.set()
        if self.refuse:
            raise VoiceboxError(self.refuse)
        return {}

    async def until_asked(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.asked) < number:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def at_home(
    address: Address, node: Node = KITCHEN, password: Callable[[], str | None] = lambda: None
) -> AsyncIterator[Home]:
    home = Home(address, node, password)
    running = asyncio.create_task(home.mqtt.run())
    try:
        yield home
    finally:
        running.cancel()
        await asyncio.wait({running}, timeout=2.0)
        assert running.cancelled()


class Relay:
    """A way to the broker at ``port`` that can be cut. It hangs up on whoever begins with what it does not take."""

    def __init__(self, port: int, takes: Callable[[bytes], bool] = lambda _: True) -> None:
        self._broker, self._takes = port, takes
        self._passing: set[asyncio.Task[Any]] = set()
        self._ends: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await self.until_all_have_left()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Without a word to either side."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def until_all_have_left(self) -> None:
        _, still_here = await asyncio.wait([*self._passing, asyncio.ensure_future(asyncio.sleep(0))], timeout=PATIENCE)
        assert not still_here

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        self._ends.append(writer)
        head = await reader.read(4096)
        if head and self._takes(head):
            there, back = await asyncio.open_connection("127.0.0.1", self._broker)
            self._ends.append(back)
            back.write(head)
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        await self._close(writer)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(4096):
                sink.write(data)
        await self._close(sink)

    @staticmethod
    async def _close(writer: asyncio.StreamWriter) -> None:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """For tests that leave it as it was but for what is kept."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """One that may be killed."""
    with Mosquitto(tmp_path / "mosquitto") as running:
        yield running


def address(broker: Mosquitto, **more: Any) -> Address:
    return Address("127.0.0.1", broker.port, **more)
