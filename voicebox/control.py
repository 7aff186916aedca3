"""The control socket: one JSON object per line in, one per line out. What ``voicebox status`` and its like talk to.

Requests name what is to be done: ``{"do": "status"}``; docs/control.md lists them. The answer is ``{"ok": true, …}`` or
``{"ok": false, "error": "…"}``. ``{"do": "watch"}`` turns the line into a subscription: one object for each thing that
happens, until the client leaves; with ``"meters": N`` also one for what is heard, N times a second.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container, Mapping
from pathlib import Path
from typing import Any

from voicebox.errors import DeviceError, VoiceboxError
from voicebox.redact import redact

_log = logging.getLogger(__name__)

GROUP = "voicebox"
SYSTEM_SOCKET = Path("/run/voicebox/control.sock")
LONGEST = 65_536  # bytes of one request
MOST_CLIENTS = 16
MOST_METERS = 10  # readings a second
MOST_WAITING = 256  # events a slow subscriber may lag behind before it is cut off
PATIENCE = 10.0  # seconds a client may take to read an answer

_UCRED = struct.Struct("iII")  # process, user, group: struct ucred

Request = Mapping[str, Any]
Answer = dict[str, Any]
Action = Callable[[Request], Answer | Awaitable[Answer]]
Metering = Callable[[], contextlib.AbstractContextManager[Callable[[], Answer]]]
"""What is measured for one subscriber, as long as it subscribes."""


def socket_path(environ: Mapping[str, str]) -> Path:
    """Where a daemon puts its socket: VOICEBOX_CONTROL, else in the unit's runtime directory, else /run/voicebox (root)
    or the user's own."""
    if named := environ.get("VOICEBOX_CONTROL"):
        return Path(named)
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime:
        return Path(runtime) / "control.sock"
    if os.geteuid() == 0 or not environ.get("XDG_RUNTIME_DIR"):
        return SYSTEM_SOCKET
    return Path(environ["XDG_RUNTIME_DIR"]) / "voicebox" / "control.sock"


def find_socket(environ: Mapping[str, str], system: Path = SYSTEM_SOCKET) -> Path:
    """Where a client finds a daemon: the user's own if there is one, else the system's."""
    own = socket_path(environ)
    return own if "VOICEBOX_CONTROL" in environ or own.exists() else system


class AlreadyRunningError(DeviceError):
    """Two daemons would fight for one microphone."""


class Control:
    """The server. ``actions`` answer requests by name, on the event loop; their VoiceboxErrors become error answers.
    Those named in ``trusted`` are for root and our own user only. ``publish`` sends an event to all subscribers,
    ``meters`` are read for those who ask."""

    def __init__(
        self,
        path: Path,
        actions: Mapping[str, Action],
        trusted: Container[str] = (),
        meters: Metering = lambda: contextlib.nullcontext(dict),
    ) -> None:
        self._path = path
        self._actions = actions
        self._trusted = trusted
        self._meters = meters
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._subscribers: set[asyncio.Queue[bytes]] = set()

    async def alone(self) -> None:
        """Raises AlreadyRunningError if another daemon has the socket."""
        with contextlib.suppress(OSError):  # then ``start`` says so
            if self._path.is_socket() and await self._answers():
                raise AlreadyRunningError(
                    f"another voicebox is running (it answers on {self._path}): stop it first (sudo systemctl stop"
                    " voicebox)"
                )

    async def start(self) -> None:
        """Raises DeviceError if the socket cannot be made, or another daemon has it."""
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            await self._clear_the_place()
            before = os.umask(0o117)
            try:
                self._server = await asyncio.start_unix_server(self._accept, self._path, limit=LONGEST)
            finally:
                os.umask(before)
        except OSError as error:
            raise DeviceError(
                f"the control socket {self._path} cannot be made ({error.strerror or error}); without it the box works,"
                " but voicebox status and voicebox say cannot reach it"
            ) from error
        with contextlib.suppress(OSError, LookupError):  # no such group, or we may not: then it is for us and root
            shutil.chown(self._path, group=GROUP)

    async def stop(self) -> None:
        """Gone within a second. Safe to call twice and before ``start``."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for client in list(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with contextlib.suppress(OSError):
            self._path.unlink()

    @property
    def is_watched(self) -> bool:
        """Somebody has subscribed."""
        return bool(self._subscribers)

    def publish(self, event: Mapping[str, Any]) -> None:
        """Tell all subscribers; one that is too slow is cut off."""
        line = _encoded(event)
        for queue in list(self._subscribers):
            self._put(queue, line)

    def _put(self, queue: asyncio.Queue[bytes], line: bytes) -> None:
        try:
            queue.put_nowait(line)
        except asyncio.QueueFull:
            self._subscribers.discard(queue)

    async def _clear_the_place(self) -> None:
        """Remove what a killed daemon left behind, but never what a living one listens on."""
        if not self._path.exists():
            return
        if not self._path.is_socket():
            raise DeviceError(f"{self._path} is in the way of the control socket and is no socket: remove it")
        await self.alone()
        self._path.unlink()

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_unix_connection(self._path), 1.0)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= MOST_CLIENTS:
            writer.write(_encoded({"ok": False, "error": f"{MOST_CLIENTS} clients are connected: try again later"}))
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError) as error:
            _log.debug("control client: %r", error)
            writer.transport.abort()  # a polite close would wait until all is read
        except asyncio.CancelledError:  # by ``stop``; asyncio's streams take it for an error if it is passed on
            writer.transport.abort()
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await _read_line(reader):
            request = _parse(line)
            if request.get("do") == "watch" and _is_rate(request.get("meters", 0)):
                await self._feed(reader, writer, request.get("meters", 0))
                return
            await _write(writer, _encoded(await self._answer(request, _peer(writer))))
        if line is None:
            await _write(writer, _encoded({"ok": False, "error": f"a request has at most {LONGEST} bytes"}))

    async def _answer(self, request: Request, peer: int) -> Answer:
        name = request.get("do")
        action = self._actions.get(name) if isinstance(name, str) else None
        if name == "watch":
            return {"ok": False, "error": f'"meters" of watch is a whole number from 0 to {MOST_METERS}, a second'}
        if action is None:
            known = ", ".join(sorted([*self._actions, "watch"]))
            return {"ok": False, "error": f'send one JSON object per line with "do" set to one of: {known}'}
        if name in self._trusted and peer not in (0, os.geteuid()):
            return {"ok": False, "error": f"{name} is for root only: use sudo"}
        try:
            answer = action(request)
            return {"ok": True, **(answer if isinstance(answer, dict) else await answer)}
        except VoiceboxError as error:
            return {"ok": False, "error": redact(str(error))}

    async def _feed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: int) -> None:
        """Events, and ``rate`` readings a second, until the client hangs up or lags behind."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
        self._subscribers.add(queue)
        measuring = asyncio.ensure_future(self._measure(queue, rate))
        gone = asyncio.ensure_future(_end_of(reader))
        news = asyncio.ensure_future(queue.get())
        try:
            await _write(writer, _encoded({"ok": True}))
            while queue in self._subscribers:
                await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                await _write(writer, news.result())
                news = asyncio.ensure_future(queue.get())
            raise TimeoutError("it lags too far behind")
        finally:
            self._subscribers.discard(queue)
            for task in (news, gone, measuring):
                task.cancel()

    async def _measure(self, queue: asyncio.Queue[bytes], rate: int) -> None:
        if not rate:
            return
        with self._meters() as read:
            while queue in self._subscribers:
                await asyncio.sleep(1 / rate)
                self._put(queue, _encoded(read()))


def _is_rate(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_METERS


def _peer(writer: asyncio.StreamWriter) -> int:
    """The user id of whoever is at the other end, by the kernel's word."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, user, _ = _UCRED.unpack(credentials)
    return int(user)


def _parse(line: bytes) -> Request:
    """Empty if it is no object, or holds what cannot be passed on: NaN, 1e400, half a surrogate pair."""
    request = _object(line)
    try:
        json.dumps(request, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return {}
    return request


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _encoded(answer: Mapping[str, Any]) -> bytes:
    line = redact(json.dumps(answer, ensure_ascii=False, default=str)) + "\n"
    return line.encode("utf-8", "backslashreplace")  # half a surrogate pair is written as JSON writes it: \udXXX


async def _read_line(reader: asyncio.StreamReader) -> bytes | None:
    """The next line, empty at the end; None if it is too long."""
    try:
        return await reader.readline()
    except ValueError:
        return None


async def _end_of(reader: asyncio.StreamReader) -> None:
    """Wait until the client has gone, whatever it still says."""
    with contextlib.suppress(OSError):
        while await reader.read(LONGEST):
            pass


async def _write(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    async with asyncio.timeout(PATIENCE):
        await writer.drain()


# --- the client ----------------------------------------------------------------------------------------------------


async def ask(path: Path, request: Request) -> Answer:
    """Send one request to a running daemon. Raises DeviceError if none answers, VoiceboxError if it refuses."""
    async with _reaching(path):
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST)
        try:
            return await _exchange(reader, writer, request)
        finally:
            writer.close()


async def follow(path: Path, *, meters: int = 0) -> AsyncGenerator[str, None]:
    """What happens in a running daemon, one JSON object each, until it ends or cuts us off; with so many readings of
    its meters a second. Raises as ``ask`` does."""
    async with _reaching(path) as limit:
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST)
        try:
            await _exchange(reader, writer, {"do": "watch"} | ({"meters": meters} if meters else {}))
            limit.reschedule(None)
            while line := await reader.readline():
                yield line.decode().rstrip("\n")
        finally:
            writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> Answer:
    writer.write(json.dumps(request).encode() + b"\n")
    answer = _object(await reader.readline())
    if not answer.get("ok"):
        raise VoiceboxError(str(answer.get("error", "it gave no answer")))
    return answer


@contextlib.asynccontextmanager
async def _reaching(path: Path) -> AsyncIterator[asyncio.Timeout]:
    """Says in the owner's words why nobody answers."""
    try:
        async with asyncio.timeout(PATIENCE) as limit:
            yield limit
    except PermissionError as error:
        raise DeviceError(f"you may not talk to voicebox on {path}: use sudo, or join the group {GROUP}") from error
    except (OSError, TimeoutError) as error:
        raise DeviceError(
            f"no voicebox answers on {path}: is it running? (systemctl status voicebox; VOICEBOX_CONTROL names another)"
        ) from error
