"""The simulator itself: a WebSocket server on loopback. The room's only importer of websockets."""

import asyncio
import contextlib
import errno
import json
import logging
import secrets
import socket
import struct
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakSet

from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from voicebox.errors import DeviceError
from voicebox.redact import remember
from voicebox.simulator.base import Gone, HttpAnswer, Request, Service, Setup, find_service
from voicebox.simulator.brains import find_brain
from voicebox.simulator.faults import Faults
from voicebox.simulator.http import Door
from voicebox.simulator.pacing import SMOOTH, Pace
from voicebox.simulator.recording import Direction, Disk, Memory, Noted, Recorder
from voicebox.wire.lira import Envelope

HOST = "127.0.0.1"
"""Nobody else is served: without TLS no box would talk to it over a network."""
CLOSE_TIMEOUT = 0.5
"""Seconds a client gets to answer our close."""
STOP_TIMEOUT = 0.8
"""Seconds after which ``stop`` breaks what is still connected."""
MAX_MESSAGE = 2**20

log = logging.getLogger(__name__)
_websockets_log = log.getChild("websockets")
_websockets_log.setLevel(logging.WARNING)  # below that it shows every header and message, the token among them


class Connection:
    """One client: the link its service speaks through, and what passed over it."""

    def __init__(self, socket: ServerConnection, recorders: Sequence[Recorder]) -> None:
        self._socket = socket
        self._recorders = recorders
        self._tasks = asyncio.TaskGroup()
        self._spawned: set[asyncio.Task[None]] = set()

    # the link

    @property
    def request(self) -> Request:
        assert self._socket.request is not None  # noqa: S101  # it has been answered
        return _read(self._socket.request)

    async def send(self, message: str | bytes) -> None:
        self._note("sent", message)
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            raise Gone from None

    async def close(self, code: int, reason: str = "") -> None:
        await self._socket.close(code, reason)

    def reset(self) -> None:
        raw = self._socket.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.transport.abort()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._tasks.create_task(_until_gone(work))
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step, it was never awaited
        return task

    def note_heard(self, pcm: bytes) -> None:
        for recorder in self._recorders:
            recorder.heard(pcm)

    def note_reply_audio(self, reply: int, pcm: bytes, *, late: bool) -> None:
        for recorder in self._recorders:
            recorder.said(reply, pcm, late=late)

    # the server's side

    async def serve(self, service: Service) -> None:
        """Hand messages to the service until the client is gone."""
        async with self._tasks:
            await _until_gone(self._pump(service))
            for task in list(self._spawned):
                task.cancel()

    async def _pump(self, service: Service) -> None:
        await service.opened()
        try:
            async for message in self._socket:
                self._note("received", message)
                await service.received(message)
        except ConnectionClosed:
            raise Gone from None

    def _note(self, direction: Direction, message: str | bytes) -> None:
        text = message if isinstance(message, str) else None
        noted = Noted(asyncio.get_running_loop().time(), direction, text, len(message))
        for recorder in self._recorders:
            recorder.message(noted)


class Simulator:
    """Plays a service on loopback.

    ``token`` and ``meeting_id`` are random unless given. ``faults`` are names from the table, with ``=amount`` if need
    be. ``record`` is a directory that everything received and sent is written to; with ``keep`` it is also kept in
    ``connections``, one entry for each client. Raises ConfigError for a service, brain or fault that there is not.
    """

    def __init__(
        self,
        service: str = "lira",
        *,
        brain: str = "parrot",
        port: int = 0,
        faults: Sequence[str] = (),
        envelope: Envelope = "data",
        pace: Pace = SMOOTH,
        token: str | None = None,
        meeting_id: str | None = None,
        record: Path | None = None,
        keep: bool = False,
    ) -> None:
        self.service = service
        self._service = find_service(service)
        self._port = port
        self._record, self._keep = record, keep
        self.token = token or secrets.token_urlsafe(24)
        self.meeting_id = meeting_id or f"mtg_{secrets.token_hex(4)}"
        self.url = ""
        self.connections: list[Memory] = []
        self._setup = Setup(
            self.token, self.meeting_id, envelope, Faults(faults), find_brain(brain), pace, self._time_of_day
        )
        self._server: Server | None = None
        self._transports: WeakSet[asyncio.Transport] = WeakSet()  # of everybody who has come, until forgotten
        self._started = datetime.now(UTC)

    async def start(self) -> str:
        """Listen; returns the address to connect to. Raises DeviceError if the port or the directory cannot be had."""
        remember(self.token)
        self._started = datetime.now(UTC) - timedelta(seconds=asyncio.get_running_loop().time())
        if self._record is not None:
            _make_directory(self._record)
        try:
            self._server = await self._listen()
        except OSError as error:
            raise DeviceError(_why_not(error, self._port)) from error
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://{HOST}:{port}{self._service.PATH}"
        return self.url

    async def stop(self) -> None:
        """Close all connections with 1001 and stop listening, within a second. Safe to call twice and before start."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await server.wait_closed()
        for transport in list(self._transports):
            transport.abort()
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def access(self) -> tuple[dict[str, Any], dict[str, str]]:
        """What a box needs to talk to this simulator: its section of the settings, and its secrets by name."""
        return self._service.access(self.url, self._setup)

    @property
    def owner_hint(self) -> str:
        """The same in words for the owner; holds the secrets."""
        section, secrets_ = self.access
        lines = [f"{key} = {json.dumps(value)}" for key, value in section.items()]
        environment = [f"VOICEBOX_{name.upper()}={value}" for name, value in secrets_.items()]
        return "\n".join(
            [
                "Put this into voicebox.toml:",
                "",
                f'service = "{self.service}"',
                "",
                f"[{self.service}]",
                *lines,
                "",
                "and start voicebox with this in its environment:",
                "",
                *environment,
            ]
        )

    async def _listen(self) -> Server:
        return await listen(
            self._handle,
            HOST,
            self._port,
            process_request=self._answer_http,
            compression=None,
            ping_interval=None,  # on loopback a dead client is noticed at once
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_MESSAGE,
            logger=_websockets_log,
            create_connection=cast("type[ServerConnection]", self._receive),  # any protocol will do
        )

    def _receive(self, *args: Any, **options: Any) -> Door:  # handed on as they are
        return Door(ServerConnection(*args, **options), self._answer, self._transports)

    def _answer(self, request: Request) -> HttpAnswer | None:
        return self._service.answer_http(request, self._setup)

    def _answer_http(self, client: ServerConnection, request: HttpRequest) -> Response | None:
        answer = self._answer(_read(request))
        if answer is None:
            return None
        response = client.respond(answer.status, answer.text)
        for name, value in answer.headers.items():
            response.headers[name] = value
        return response

    async def _handle(self, client: ServerConnection) -> None:
        with contextlib.ExitStack() as stack:
            connection = Connection(client, [stack.enter_context(contextlib.closing(r)) for r in self._recorders()])
            await connection.serve(self._service(self._setup, connection))

    def _recorders(self) -> list[Recorder]:
        recorders: list[Recorder] = []
        if self._keep:
            self.connections.append(Memory())
            recorders.append(self.connections[-1])
        if self._record is not None:
            recorders.append(Disk(self._record))
        return recorders

    def _time_of_day(self) -> str:
        now = self._started + timedelta(seconds=asyncio.get_running_loop().time())
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(request: HttpRequest) -> Request:
    parts = urlsplit(request.path)
    return Request(parts.path, dict(parse_qsl(parts.query)), dict(request.headers.raw_items()))


async def _until_gone(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(Gone):
        await work


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeviceError(f"the simulator cannot record to {path}: {error.strerror or error}") from error


def _why_not(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"the simulator cannot listen on port {port}: something else does already"
            f" (see: ss -ltnp 'sport = :{port}'); stop that, or choose another port (0 takes any free one)"
        )
    return (
        f"the simulator cannot listen on port {port}: {error.strerror or error}; choose another (0 takes any free one)"
    )
