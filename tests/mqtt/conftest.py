"""A task of the box beside a real broker, with actions that only note what they are asked."""

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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
