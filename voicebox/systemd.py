"""What we tell systemd: readiness, status, watchdog, journal records. Without systemd all of it does nothing.

The library is loaded only for the journal: its notify would wait, and hold up every thread, while systemd's queue is
full.
"""

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

log = logging.getLogger(__name__)

_EXTENSION = 4
"""How many intervals a sign of life extends the time for starting by."""

_MOST_UNSENT = 16
"""Messages kept for a systemd that does not take them."""

Send = Callable[..., object]
"""``send(message, FIELD=value, …)``: one record for the journal."""


class Notifier:
    """The notify protocol of a ``Type=notify`` unit. Never raises; does nothing where $NOTIFY_SOCKET is unset."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._unsent: deque[str] = deque(maxlen=_MOST_UNSENT)
        self._status = ""
        self._started = False
        self.watchdog_interval = _watchdog_interval(environ)
        """Seconds between pings, half of what the unit allows; None if it wants none."""

    def ready(self) -> None:
        self._started = True
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def reloading(self) -> None:
        """To be followed by ``ready`` when the reload is done."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, text: str) -> None:
        """The line that ``systemctl status`` shows."""
        self._status = text
        self._send("STATUS=" + " ".join(text.split()))

    def trouble(self, text: str | None) -> None:
        """Show ``text`` in place of the status; None brings back what the status was."""
        self._send("STATUS=" + " ".join((text or self._status).split()))

    def watchdog(self) -> None:
        """A sign of life. While starting, as when a slow card loads the wake word, it asks for more time instead."""
        more = int((self.watchdog_interval or 0) * _EXTENSION * 1e6)
        self._send("WATCHDOG=1" if self._started else f"EXTEND_TIMEOUT_USEC={more}")

    def _send(self, message: str) -> None:
        """Never waits: what systemd does not take now is sent before the next message."""
        if not self._address:
            return
        self._unsent.append(message)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                while self._unsent:
                    sender.sendto(self._unsent[0].encode("utf-8", "replace"), socket.MSG_DONTWAIT, self._address)
                    self._unsent.popleft()
        except OSError as error:
            log.debug("systemd did not take %s: %s", self._unsent[0].partition("=")[0], error)


class Watchdog:
    """Pings only while the box is well, so that systemd restarts one that is deaf or stuck."""

    def __init__(
        self,
        notifier: Notifier,
        healthy: Callable[[], str | None],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``healthy``: None when all is well, otherwise why not, for the owner."""
        self._notifier = notifier
        self._healthy = healthy
        self._sleep = sleep
        self._reason: str | None = None

    async def run(self) -> None:
        """For ever; returns at once if the unit wants no pings."""
        interval = self._notifier.watchdog_interval
        while interval is not None:
            self.check()
            await self._sleep(interval)

    def check(self) -> None:
        """Ping, or say why not: in the status line, and once in the log."""
        reason = self._healthy()
        if reason is None:
            self._notifier.watchdog()
        if reason == self._reason:
            return
        self._notifier.trouble(reason and f"not well: {reason}")
        if reason:
            log.error("not well, so the watchdog is not fed: %s", reason)
        else:
            log.info("well again, the watchdog is fed")
        self._reason = reason


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    limit = environ.get("WATCHDOG_USEC", "")
    return int(limit) / 2e6 if limit.isdecimal() and int(limit) > 0 else None


def _address(name: str) -> str:
    """The socket's address from $NOTIFY_SOCKET; "" where there is none."""
    if name and name[0] not in "/@":
        log.warning("systemd waits for our readiness on %s, which is no kind of socket we know", name)
        return ""
    return "\0" + name[1:] if name.startswith("@") else name  # @: in the abstract namespace


# --- journal -------------------------------------------------------------------------------------------------------


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether this file descriptor leads to the journal, by $JOURNAL_STREAM ("device:inode")."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def journal_send() -> Send | None:
    """How to write a record with fields to the journal; None where the library is missing."""
    try:
        from systemd import journal  # type: ignore[attr-defined]  # noqa: PLC0415  # mypy sees our systemd/ folder
    except ImportError:
        return None
    send: Send = journal.send
    return send
