"""The daemon as a process of its own: started, followed by what it logs and tells systemd, and ended.

It is followed by events only: ``expect`` waits for a log line, ``systemd.wait_for`` for what systemd would be told.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.manager import ServiceManager
from tests.support.pinned import Pins
from voicebox import control

ROOT = Path(__file__).parents[2]
PATIENCE = 15.0
_LINE = re.compile(r"(\d\d):(\d\d):(\d\d)\.(\d{3}) (DEBUG|INFO|WARNING|ERROR|CRITICAL) +(.*)")
_FOREIGN = ("VOICEBOX_", "NOTIFY_SOCKET", "WATCHDOG_", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "GPIOZERO_")


@dataclass(frozen=True)
class Line:
    """A line of the log. ``moment`` is the ``time.monotonic()`` it was written at, to a millisecond."""

    moment: float
    level: str
    text: str


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what would configure a daemon, and with a log that reads the same everywhere."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**ours, "TZ": "UTC0", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT), **more}


def voicebox(*arguments: str, environ: Mapping[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run one command of voicebox to its end."""
    command = [sys.executable, "-m", "voicebox", *arguments]
    return subprocess.run(
        command,
        env=environment({"STATE_DIRECTORY": str(cwd), "VOICEBOX_CONTROL": str(cwd / "control.sock"), **environ}),
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )


class Daemon:
    """``with Daemon(directory, config) as box``. ``config`` is TOML; the log level is debug unless it says otherwise.

    ``secrets`` go into credential files. With ``pins`` it runs on mock pins, which ``box.pins`` moves and watches;
    without, it has neither light nor button. What it keeps and its control socket are in ``directory`` too.
    ``expect`` reads the log like a story: each call goes on behind the line the last one found.
    """

    def __init__(
        self,
        directory: Path,
        config: str,
        *,
        environ: Mapping[str, str],
        secrets: Mapping[str, str] | None = None,
        pins: bool = False,
        watchdog: float = 30.0,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.config = directory / "voicebox.toml"
        self.config.write_text(config, encoding="utf-8")
        for name, secret in (secrets or {}).items():
            self.store(name, secret)
        self.systemd = ServiceManager(directory)
        self.lines: list[Line] = []
        self.told = 0  # lines that ``expect`` has read
        self._environ = environment({**environ, **self.systemd.environ, "WATCHDOG_USEC": str(round(watchdog * 1e6))})
        self._environ.setdefault("VOICEBOX_LOG__LEVEL", "debug")
        self._environ.setdefault("VOICEBOX_AUDIO__ECHO_CANCELLATION", "false")  # sound is compared bit by bit
        self._environ.setdefault("VOICEBOX_SOUNDS__EARCONS", "false")  # silence is measured
        self._environ.setdefault("VOICEBOX_SOUNDS__SPOKEN", "false")
        for name in ("STATE", "RUNTIME"):
            place = directory / name.lower()
            place.mkdir(mode=0o700, exist_ok=True)
            self._environ[f"{name}_DIRECTORY"] = str(place)
        if not pins:
            self._environ |= {"VOICEBOX_LIGHTS__BACKEND": "none", "VOICEBOX_BUTTON__PIN": "false"}
        self._has_pins = pins
        self._changed = threading.Condition()
        self._ended = False

    def store(self, name: str, secret: str) -> None:
        """Put this into the credential file of that name, as an owner does who is careful."""
        folder = self.directory / "credentials"
        folder.mkdir(mode=0o700, exist_ok=True)
        fresh = folder / "fresh"
        fresh.touch(0o600)
        fresh.write_text(secret + "\n", encoding="utf-8")
        fresh.rename(folder / name)

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            prefix = ["-m", "tests.support.pinned", str(theirs.fileno())] if self._has_pins else ["-m", "voicebox"]
            self.process = subprocess.Popen(
                [sys.executable, *prefix, "run", "--config", str(self.config)],
                env=self._environ,
                cwd=self.directory,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        self.pins = Pins(ours)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        self.pins.close()
        self.systemd.close()

    # what it says

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for raw in stream:
                line = _parse(raw.decode("utf-8", "replace").rstrip("\n"))
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def expect(self, pattern: str, timeout: float = PATIENCE) -> Line:
        """The next line that ``pattern`` is found in; the story goes on behind it."""
        line, self.told = self._wait_for(pattern, self.told, timeout)
        return line

    def _wait_for(self, pattern: str, begin: int, timeout: float) -> tuple[Line, int]:
        """The first such line from this one on, and the number of the line behind it."""
        wanted = re.compile(pattern)

        def found() -> int | None:
            return next((i for i in range(begin, len(self.lines)) if wanted.search(self.lines[i].text)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or self._ended, timeout)
            at = found()
            if at is None:
                raise AssertionError(f"{pattern!r} was not logged within {timeout:g} s:\n{self.story()}")
            return self.lines[at], at + 1

    def said(self, pattern: str) -> list[Line]:
        """All lines so far that ``pattern`` is found in."""
        return [line for line in self.lines if re.search(pattern, line.text)]

    def story(self, last: int = 60) -> str:
        return "\n".join(f"{line.moment:.3f} {line.level} {line.text}" for line in self.lines[-last:])

    def ready(self) -> None:
        """Until it hears."""
        self.systemd.wait_for("READY=1", 30)
        self.expect("^ready: ")

    def idle(self) -> None:
        """Until no conversation is going on; the story goes on from there."""
        moves = r"^(\w+) → (\w+) "
        with self._changed:

            def resting() -> bool:
                last = next((m for line in reversed(self.lines) if (m := re.match(moves, line.text))), None)
                return last is None or last[2] == "idle"

            if not self._changed.wait_for(resting, 30):
                raise AssertionError(f"it does not become idle:\n{self.story()}")
            self.told = len(self.lines)

    # what is done to it

    def press(self) -> Line:
        """Push the button down; returns once the box has felt it. The story stays where it was."""
        begin = len(self.lines)
        self.pins.press()
        return self._wait_for("^ButtonPressed", begin, PATIENCE)[0]

    def release(self) -> Line:
        """Let it go; the end of a tap or of a hold."""
        begin = len(self.lines)
        self.pins.release()
        return self._wait_for("^Button(Tapped|Released)", begin, PATIENCE)[0]

    def tap(self) -> None:
        self.press()
        self.release()

    def ask(self, do: str) -> dict[str, Any]:
        """Through its control socket; it has a second."""

        async def within() -> dict[str, Any]:
            async with asyncio.timeout(1.0):
                return await control.ask(self.directory / "runtime" / "control.sock", {"do": do})

        return asyncio.run(within())

    # its end

    def reload(self) -> None:
        """As ``systemctl reload`` does."""
        self.process.send_signal(signal.SIGHUP)

    def terminate(self) -> None:
        """As ``systemctl stop`` does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float) -> int:
        """Its exit code. Raises TimeoutExpired."""
        code = self.process.wait(timeout)
        self._reader.join()
        return code


def _parse(text: str) -> Line:
    now, wall = time.monotonic(), time.time()
    match = _LINE.match(text)
    if match is None:
        return Line(now, "", text)
    hours, minutes, seconds, milliseconds = (int(match[n]) for n in range(1, 5))
    logged = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    age = (wall - logged + 43_200) % 86_400 - 43_200  # log lines know no date
    return Line(now - age, match[5], match[6])


def number(line: Line, name: str) -> int:
    """The value of ``name=…`` in a line."""
    match = re.search(rf"\b{name}=(\d+)", line.text)
    assert match, line
    return int(match[1])
