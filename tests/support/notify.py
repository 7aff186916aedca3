"""A stand-in for systemd's notify socket: collects what a daemon says about itself."""

import os
import selectors
import socket
import time
from pathlib import Path
from types import TracebackType


class NotifySocket:
    """``with NotifySocket(tmp_path) as systemd``: give ``systemd.environ`` to the daemon, read ``systemd.messages``.

    ``messages`` are the lines in the order in which they were sent, e.g. "READY=1", "STATUS=listening".
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self._lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        # A relative path keeps within the 108 bytes a socket address may have.
        self._socket.bind(os.path.relpath(self.path) if len(str(self.path)) > 100 else str(self.path))

    def __enter__(self) -> "NotifySocket":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)  # the same directory may have another daemon

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path)}

    @property
    def messages(self) -> list[str]:
        """Everything received so far; does not wait."""
        while True:
            try:
                self._lines += self._socket.recv(65_536).decode().splitlines()
            except BlockingIOError:
                return list(self._lines)

    def wait_for(self, start: str, timeout: float = 30.0, after: int = 0) -> str:
        """The first message that begins with ``start``, the first ``after`` messages aside. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while True:
                found = next((m for m in self.messages[after:] if m.startswith(start)), None)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no {start!r} within {timeout:g} s, only {self._lines}")
                selector.select(left)
