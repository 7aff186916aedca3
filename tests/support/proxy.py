"""What stands on the way between a box and a server: it passes bytes on, or does to them what bad networks do."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PIECE = 16_384


@dataclass
class Passage:
    """One connection of a client, and what it has said so far."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    taken: int = 0  # bytes from the client
    given: int = 0  # … to it
    ended: bool = False  # the client has closed
    lost: bool = False  # it leads nowhere any more

    def reset(self) -> None:
        """Break it as a crashed server does: TCP RST, and nobody says goodbye."""
        raw = self.client.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.transport.abort()
        self.server.transport.abort()


@dataclass
class Proxy:
    """All of it may be changed while connections are open. ``tls``: what clients must speak, with this certificate; the
    server behind always hears plain text."""

    target: int  # port on 127.0.0.1
    tls: ssl.SSLContext | None = None
    port: int = 0
    passages: list[Passage] = field(default_factory=list)
    dials: int = 0
    rate: float = 0.0  # bytes a second towards the client, 0: as they come
    piece: int = PIECE  # bytes passed on at a time
    given_most: int = 0  # bytes towards each client, after which it falls silent; 0: no limit
    delay: Callable[[], float] = lambda: 0.0  # seconds, before each piece towards the client

    def __post_init__(self) -> None:
        self._uplink, self._downlink = asyncio.Event(), asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.thaw()

    async def open(self) -> None:
        """Take connections again; does nothing while it does."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.tls)
            self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Nobody answers here any more, and what was open is broken."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.wait_closed()

    async def present(self, tls: ssl.SSLContext | None) -> None:
        """Begin anew with another certificate, or without any."""
        await self.close()
        self.tls = tls
        await self.open()

    def freeze(self, *, up: bool = True, down: bool = True) -> None:
        """A black hole: nothing is passed on any more, and nobody is told."""
        for wanted, gate in ((up, self._uplink), (down, self._downlink)):
            if wanted:
                gate.clear()

    def thaw(self) -> None:
        self._uplink.set()
        self._downlink.set()

    def reset(self) -> None:
        """Break every connection with an RST."""
        for passage in self.passages:
            if not passage.ended:
                passage.reset()

    def lose(self) -> None:
        """What is open leads nowhere any more, as after a change of address; new connections do."""
        for passage in self.passages:
            passage.lost = True

    def half_close(self) -> None:
        """Say that nothing more will come, and go on listening (plain TCP only)."""
        self.passages[-1].client.write_eof()

    @property
    def open_passages(self) -> int:
        return sum(not passage.ended for passage in self.passages)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.dials += 1
        try:
            await self._uplink.wait()
            await self._pass_on(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onwards = await asyncio.open_connection("127.0.0.1", self.target)
        passage = Passage(writer, onwards)
        self.passages.append(passage)
        ways = [asyncio.ensure_future(self._up(reader, passage)), asyncio.ensure_future(self._down(there, passage))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            passage.ended = True
            for way in ways:
                way.cancel()
            onwards.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _up(self, reader: asyncio.StreamReader, passage: Passage) -> None:
        with suppress(OSError):
            while data := await reader.read(PIECE):
                passage.taken += len(data)
                await self._uplink.wait()
                if passage.lost:
                    continue
                passage.server.write(data)
                await passage.server.drain()

    async def _down(self, reader: asyncio.StreamReader, passage: Passage) -> None:
        with suppress(OSError):
            while data := await reader.read(self.piece):
                await asyncio.sleep(self.delay() + (len(data) / self.rate if self.rate else 0.0))
                await self._downlink.wait()
                if passage.lost or (self.given_most and passage.given >= self.given_most):
                    continue
                passage.given += len(data)
                passage.client.write(data)
                await passage.client.drain()


@asynccontextmanager
async def proxying(target: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy(target, tls)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round
