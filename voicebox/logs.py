"""Logging: to the journal with fields, or as plain text; secrets never in it, and nobody ever waits for it.

Records pass through a bounded queue to a thread of their own. If that cannot keep up (a stalled terminal), records are
dropped and counted, and the count is logged as soon as there is room again.
"""

import asyncio
import contextlib
import io
import logging
import logging.handlers
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TextIO

from voicebox import systemd
from voicebox.errors import VoiceboxError
from voicebox.redact import redact

log = logging.getLogger(__name__)

_ROOM = 2_000
"""Records that may wait."""
_PATIENCE = 1.0
"""Seconds that ``stop`` gives the last records."""
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def setup(
    level: str = "info", *, environ: Mapping[str, str] = os.environ, stream: TextIO | None = None
) -> Callable[[], None]:
    """Send logging and unhandled exceptions to the journal or to ``stream`` (standard error). Returns how to stop it.

    ``level`` is for voicebox itself; libraries are heard from "warning" on. Call it again after ``stop`` to change it.
    """
    handler = _output(environ, stream or sys.stderr)
    inlet = _Inlet(queue.Queue(_ROOM))
    outlet = _Outlet(inlet, handler)
    root, ours = logging.getLogger(), logging.getLogger("voicebox")
    before = (root.level, ours.level, sys.excepthook, threading.excepthook)
    root.addHandler(inlet)
    root.setLevel(logging.WARNING)
    ours.setLevel(level.upper())
    sys.excepthook = _unhandled
    threading.excepthook = lambda args: _unhandled(args.exc_type, args.exc_value, args.exc_traceback)
    outlet.start()

    def stop() -> None:
        root.removeHandler(inlet)
        outlet.stop()
        root.setLevel(before[0])
        ours.setLevel(before[1])
        sys.excepthook, threading.excepthook = before[2:]

    return stop


def fields(**values: object) -> dict[str, Mapping[str, object]]:
    """For ``log.info(…, extra=fields(phase="idle"))``: a journal field VOICEBOX_PHASE."""
    return {"fields": {f"VOICEBOX_{name.upper()}": value for name, value in values.items()}}


def loop_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001  # their signature
    """For ``loop.set_exception_handler``."""
    log.error("%s", context["message"], exc_info=context.get("exception"))


def _unhandled(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log.critical("unexpected error, please report it", exc_info=(kind, error or kind(), traceback))


# --- the queue -----------------------------------------------------------------------------------------------------


class _Inlet(logging.handlers.QueueHandler):
    """Called by whoever logs, on any thread: never blocks, never raises."""

    def __init__(self, waiting: "queue.Queue[Any]") -> None:
        super().__init__(waiting)
        self._dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Arguments may change later, so the message is made now; the rest can wait for the other thread."""
        record = logging.makeLogRecord(record.__dict__)
        record.msg, record.args = record.getMessage(), None
        record.exc_text = None  # another handler may have left its own, unredacted
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """A message that does not fit its arguments: say where it is, not what it holds."""
        mistake = f"a log message at {record.pathname}:{record.lineno} does not fit its arguments"
        self.enqueue(logging.makeLogRecord({**record.__dict__, "msg": mistake, "args": None}))

    def dropped(self) -> int:
        """How many records found no room since the last call."""
        count, self._dropped = self._dropped, 0
        return count


class _Outlet(logging.handlers.QueueListener):
    """The thread that writes."""

    def __init__(self, inlet: _Inlet, output: logging.Handler) -> None:
        super().__init__(inlet.queue, output)
        self._inlet = inlet
        self._output = output

    def handle(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # one record that cannot be written must not end the thread
            self._output.handle(record)
        dropped = self._inlet.dropped()
        if dropped:
            level = logging.WARNING
            words = f"{dropped} log records were dropped: the log could not keep up"
            self._output.handle(logging.LogRecord(__name__, level, __file__, 0, words, None, None))

    def stop(self) -> None:
        """Write what waits, but do not wait for ever for a log that is stuck."""
        thread = self._thread
        with contextlib.suppress(queue.Full):
            self.queue.put(self._sentinel, timeout=_PATIENCE)  # type: ignore[attr-defined]  # typeshed lacks it
        if thread is not None:
            thread.join(_PATIENCE)
        self._thread = None


# --- where it goes -------------------------------------------------------------------------------------------------


class Formatter(logging.Formatter):
    """Readable lines without secrets. An expected error is told in one line, without a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401  # logging's name and type
        if isinstance(ei[1], VoiceboxError):
            return str(ei[1])
        return super().formatException(ei)


class Plain(logging.StreamHandler[TextIO]):
    """Readable lines for a terminal or a file."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.setFormatter(Formatter("%(asctime)s.%(msecs)03d %(levelname)-8s %(message)s", "%H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Nobody can be told that standard error is gone, and logging's own report would show secrets."""


class Journal(logging.Handler):
    """Writes records with their fields. Standard error is the way out if the journal refuses one."""

    def __init__(self, send: systemd.Send, stream: TextIO) -> None:
        super().__init__()
        self._send = send
        self._stream = stream
        self.setFormatter(Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        message = self.format(record)
        extra = {name: redact(str(value)) for name, value in getattr(record, "fields", {}).items()}
        try:
            self._send(
                message,
                PRIORITY=str(_PRIORITIES.get(record.levelno, 6)),
                LOGGER=record.name,
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=record.funcName,
                THREAD_NAME=record.threadName,
                SYSLOG_IDENTIFIER="voicebox",
                **extra,
            )
        except (OSError, ValueError):
            print(message, file=self._stream, flush=True)


def _output(environ: Mapping[str, str], stream: TextIO) -> logging.Handler:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, io.UnsupportedOperation):
        descriptor = -1
    send = systemd.journal_send() if systemd.is_journal(environ, descriptor) else None
    if send is not None:
        return Journal(send, stream)
    return Plain(stream)
