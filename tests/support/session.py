"""A session on its own, with someone who notes what it reports, and servers that behave as badly as a test wants."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voicebox.audio.base import BLOCK, Block
from voicebox.core.events import Event, SessionReady
from voicebox.core.state import Window
from voicebox.pumps import Surroundings
from voicebox.redact import remember
from voicebox.services import lira
from voicebox.session import Session
from voicebox.simulator import Simulator
from voicebox.uplink import Uplink

TOKEN = "canary-token-0123456789"  # noqa: S105  # made up, to be looked for where it must not be
MEETING = "mtg_test"

AROUND = {field.name for field in fields(Surroundings)}

E = TypeVar("E", bound=Event)


def open_files() -> int:
    """Of this process, and one that is the listing's own."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # names are enough


class Line:
    """A Lira session without core and devices. ``events`` holds (loop time, event)."""

    def __init__(self, url: str, *, token: str = TOKEN, meeting: str = MEETING, **options: Any) -> None:
        remember(token)
        self.token = token
        self.credentials_read = 0
        self.events: list[tuple[float, Event]] = []
        self._news = asyncio.Event()
        self.adapter = lira.Service(lira.Settings(url=url, meeting_id=meeting, allow_plain=True))
        self.uplink = Uplink()
        around = Surroundings(**{name: options.pop(name) for name in list(options) if name in AROUND})
        self.session = Session(
            self.adapter, self.uplink, self._note, credentials=self._credentials, around=around, **options
        )
        self.position = 0

    def _credentials(self) -> dict[str, str]:
        self.credentials_read += 1
        return {"lira_token": self.token}

    def _note(self, event: Event) -> None:
        self.events.append((now(), event))
        self._news.set()

    def of(self, kind: type[E]) -> list[E]:
        return [event for _, event in self.events if isinstance(event, kind)]

    async def until(self, kind: type[E], count: int = 1, within: float = 60.0) -> E:
        """The ``count``-th event of this kind. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[count - 1]

    async def joined(self) -> SessionReady:
        self.session.open()
        return await self.until(SessionReady)

    def listen(self) -> None:
        """Open the window from now on."""
        self.uplink.set_window(Window())

    def hear(self, blocks: int) -> None:
        """The microphone delivers this many blocks at once; sample value = position mod 32749 (a prime)."""
        for _ in range(blocks):
            samples = (np.arange(self.position, self.position + BLOCK) % 32749).astype("<i2")
            self.uplink.block(Block(self.position, samples.tobytes(), self.position / 16_000))
            self.position += BLOCK

    async def hang_up(self) -> float:
        """Close as the core does; returns the seconds until there was no connection."""
        began = now()
        self.session.close()
        async with asyncio.timeout(30):
            await self.session.closed()
        return now() - began


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def running(line: Line) -> AsyncIterator[Line]:
    """The session's task runs; an exception in it is raised here."""
    task = asyncio.ensure_future(line.session.run())
    try:
        yield line
    finally:
        if not task.done():
            task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def websocket(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """A WebSocket server; yields its address."""

    handling: set[asyncio.Task[Any]] = set()
    transports: list[asyncio.BaseTransport] = []  # also of clients that never became WebSockets

    class Tracked(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transports.append(transport)
            super().connection_made(transport)

    async def handle(client: ServerConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        with suppress(ConnectionClosed):
            await handler(client)
        handling.discard(task)

    settings = {
        "compression": None,
        "ping_interval": None,
        "close_timeout": 0.5,
        "create_connection": Tracked,
    } | options
    server = await serve(handle, "127.0.0.1", 0, **settings)
    try:
        scheme = "wss" if "ssl" in options else "ws"
        yield f"{scheme}://127.0.0.1:{port_of(server)}/ws"
    finally:
        server.close()
        for transport in transports:
            transport.abort()  # type: ignore[attr-defined]  # they all can
        for task in handling:
            task.cancel()
        await server.wait_closed()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round


async def welcome(client: ServerConnection) -> None:
    """Take the join and answer it."""
    await client.recv()
    await client.send('{"type":"joined","data":{"sessionId":"ses_1","participants":[]}}')


class Tcp:
    """A server below WebSocket: it notes the first bytes of each connection, answers with ``answer`` and then waits."""

    def __init__(self, answer: bytes | Callable[[bytes], bytes] = b"") -> None:
        self._answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.readers: list[asyncio.StreamReader] = []
        self.came = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        self.readers.append(reader)
        self.came.set()
        request = await reader.read(65536)
        self.requests.append(request)
        writer.write(self._answer(request) if callable(self._answer) else self._answer)


@asynccontextmanager
async def listening(server: Tcp, **options: Any) -> AsyncIterator[int]:
    """Yields the port."""
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0, **options)
    try:
        yield port_of(listener)
    finally:
        listener.close()
        for writer in server.writers:
            writer.transport.abort()
        await listener.wait_closed()


def port_of(server: asyncio.Server | Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def upgrade(request: bytes) -> bytes:
    """The answer that opens the WebSocket asked for."""
    line = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    digest = hashlib.sha1(line.split(b":", 1)[1].strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324  # RFC 6455
    accept = base64.b64encode(digest)
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """One unmasked WebSocket frame."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 65536:
        return bytes([first, 126]) + len(payload).to_bytes(2, "big") + payload
    return bytes([first, 127]) + len(payload).to_bytes(8, "big") + payload


JOINED = frame(1, b'{"type":"joined","data":{"sessionId":"s","participants":[]}}')


def line_to(simulator: Simulator, **options: Any) -> Line:
    return Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id, **options)
