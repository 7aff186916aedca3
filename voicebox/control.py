"""The control socket: one JSON object per line in, one per line out. What ``voicebox status`` and its like talk to.

Requests name what is to be done: ``{"do": "status"}``; docs/control.md lists them. The answer is ``{"ok": true, …}`` or
``{"ok": false, "error": "…"}``. ``{"do": "watch"}`` turns the line into a subscription: one object for each thing that
happens, until the client leaves.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voicebox.errors import DeviceError, VoiceboxError
from voicebox.redact import redact

_log = logging.getLogger(__name__)

GROUP = "voicebox"
LONGEST = 65_536  # bytes of one request
MOST_CLIENTS = 16
MOST_WAITING = 256  # events a slow subscriber may lag behind before it is cut off
PATIENCE = 10.0  # seconds a client may take to read an answer

Request = Mapping[str, Any]
Answer = dict[str, Any]
Action = Callable[[Request], Answer]


def socket_path(environ: Mapping[str, str]) -> Path:
    """Where the socket is: VOICEBOX_CONTROL, else in the unit's runtime directory, else /run/voicebox (root) or the
    user's own."""
    if named := environ.get("VOICEBOX_CONTROL"):
        return Path(named)
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime:
        return Path(runtime) / "control.sock"
    if os.geteuid() == 0 or "XDG_RUNTIME_DIR" not in environ:
        return Path("/run/voicebox/control.sock")
    return Path(environ["XDG_RUNTIME_DIR"]) / "voicebox" / "control.sock"


class AlreadyRunningError(DeviceError):
    """Two daemons would fight for one microphone."""


class Control:
    """The server. ``actions`` answer requests by name, at once, on the event loop; their VoiceboxErrors become error
    answers. ``publish`` sends an event to all subscribers."""

    def __init__(self, path: Path, actions: Mapping[str, Action]) -> None:
        self._path = path
        self._actions = actions
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._subscribers: set[asyncio.Queue[str]] = set()

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

    def publish(self, event: Mapping[str, Any]) -> None:
        """Tell all subscribers; one that is too slow is cut off."""
        if not self._subscribers:
            return
        line = _line(event)
        for queue in list(self._subscribers):
            try:
                queue.put_nowait(line)
            except asyncio.QueueFull:
                self._subscribers.discard(queue)

    async def _clear_the_place(self) -> None:
        """Remove what a killed daemon left behind, but never what a living one listens on."""
        if not self._path.exists():
            return
        if not stat.S_ISSOCK(self._path.stat().st_mode):
            raise DeviceError(f"{self._path} is in the way of the control socket and is no socket: remove it")
        try:
            _, writer = await asyncio.wait_for(asyncio.open_unix_connection(self._path), 1.0)
        except (OSError, TimeoutError):
            self._path.unlink()
            return
        writer.close()
        raise AlreadyRunningError(
            f"another voicebox is running (it answers on {self._path}): stop it first (sudo systemctl stop voicebox)"
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= MOST_CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, ValueError, TimeoutError) as error:  # the client left, or sent a line without end
            _log.debug("control client: %s", error)
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            request = _parse(line)
            if request.get("do") == "watch":
                await self._feed(reader, writer)
                return
            await _write(writer, _line(self._answer(request)))

    def _answer(self, request: Request) -> Answer:
        name = request.get("do")
        action = self._actions.get(name) if isinstance(name, str) else None
        if action is None:
            known = ", ".join(sorted([*self._actions, "watch"]))
            return {"ok": False, "error": f'send one JSON object per line with "do" set to one of: {known}'}
        try:
            return {"ok": True, **action(request)}
        except VoiceboxError as error:
            return {"ok": False, "error": redact(str(error))}

    async def _feed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Events until the client hangs up or lags behind."""
        queue: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._subscribers.add(queue)
        gone = asyncio.ensure_future(reader.read())
        try:
            await _write(writer, _line({"ok": True}))
            while queue in self._subscribers and not gone.done():
                news = asyncio.ensure_future(queue.get())
                await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
                if news.done():
                    await _write(writer, news.result())
                else:
                    news.cancel()
        finally:
            self._subscribers.discard(queue)
            gone.cancel()


def _parse(line: bytes) -> Request:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _line(answer: Mapping[str, Any]) -> str:
    return redact(json.dumps(answer, ensure_ascii=False, default=str)) + "\n"


async def _write(writer: asyncio.StreamWriter, line: str) -> None:
    writer.write(line.encode())
    async with asyncio.timeout(PATIENCE):
        await writer.drain()


# --- the client ----------------------------------------------------------------------------------------------------


async def ask(path: Path, request: Request) -> Answer:
    """Send one request to a running daemon. Raises DeviceError if none answers, VoiceboxError if it refuses."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST)
            writer.write(json.dumps(request).encode() + b"\n")
            answer = _parse(await reader.readline())
            writer.close()
    except PermissionError as error:
        raise DeviceError(f"you may not talk to voicebox on {path}: use sudo, or join the group {GROUP}") from error
    except (OSError, TimeoutError) as error:
        raise DeviceError(
            f"no voicebox answers on {path}: is it running? (systemctl status voicebox; VOICEBOX_CONTROL names another)"
        ) from error
    if not answer.get("ok"):
        raise VoiceboxError(str(answer.get("error", "it gave no answer")))
    return dict(answer)
