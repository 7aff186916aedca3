"""A service that has gone mad: it opens the session as it should, and then sends what no service should."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.faults.town import Town
from tests.support.session import JOINED, frame, upgrade

Attack = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Hostile:
    attack: Attack
    attacked: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        attack: asyncio.Task[None] | None = None
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(upgrade(request) + JOINED)
                attack = asyncio.ensure_future(self._attack(writer))
                while await reader.read(65_536):
                    pass
        finally:
            if attack is not None:
                attack.cancel()
            writer.transport.abort()
            self.tasks.discard(task)

    async def _attack(self, writer: asyncio.StreamWriter) -> None:
        self.attacked.set()
        with suppress(OSError):
            await self.attack(writer)


@asynccontextmanager
async def instead(there: Town, attack: Attack) -> AsyncIterator[Hostile]:
    """It stands where the service was, until the end."""
    hostile = Hostile(attack)
    server = await asyncio.start_server(hostile.serve, "127.0.0.1", 0)
    before, there.proxy.target = there.proxy.target, server.sockets[0].getsockname()[1]
    try:
        yield hostile
    finally:
        there.proxy.target = before
        server.close()
        there.proxy.reset()
        for task in hostile.tasks:
            task.cancel()
        await asyncio.gather(*hostile.tasks, return_exceptions=True)
        await server.wait_closed()


def sends(once: bytes, *, times: int = 1, then: bytes = b"") -> Attack:
    """This, as fast as it is taken: so many times over, or once, and so many times ``then``."""

    async def attack(writer: asyncio.StreamWriter) -> None:
        if then:
            writer.write(once)
        again = then or once
        many = max(1, min(times, 2**16 // len(again)))
        for _ in range(0, times, many):
            writer.write(again * many)
            await writer.drain()

    return attack


def texts(messages: Iterable[str | bytes]) -> bytes:
    return b"".join(frame(1, text.encode() if isinstance(text, str) else text) for text in messages)
