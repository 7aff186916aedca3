"""The service manager as a daemon sees it: takes what it is told at once, so that the daemon never waits for it."""

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.notify import NotifySocket


@dataclass(frozen=True)
class Told:
    moment: float  # time.monotonic()
    text: str  # e.g. "READY=1"


class ServiceManager:
    """``environ`` makes a daemon report here; ``close`` ends it."""

    def __init__(self, directory: Path) -> None:
        self._notify = NotifySocket(directory)
        self._told: list[Told] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def environ(self) -> dict[str, str]:
        return self._notify.environ

    @property
    def told(self) -> list[Told]:
        with self._changed:
            return list(self._told)

    @property
    def messages(self) -> list[str]:
        return [told.text for told in self.told]

    def wait_for(self, start: str, timeout: float = 15.0, *, since: float = 0.0, count: int = 1) -> Told:
        """The ``count``-th message since then (``time.monotonic()``) that begins so. Raises AssertionError."""

        def found() -> list[Told]:
            return [told for told in self._told if told.text.startswith(start) and told.moment >= since]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, timeout):
                raise AssertionError(f"{start!r} was not said {count} times within {timeout:g} s: {self._told}")
            return found()[count - 1]

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ourselves:
            ourselves.connect(str(self._notify.path))
            ourselves.send(_END)
        self._thread.join(5)
        self._notify.__exit__(None, None, None)

    def _read(self) -> None:
        reader = self._notify._socket
        reader.setblocking(True)
        while (data := reader.recv(65_536)) != _END:
            with self._changed:
                self._told += [Told(time.monotonic(), text) for text in data.decode().splitlines()]
                self._changed.notify_all()


_END = b"that is all"
