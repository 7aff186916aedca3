"""The monitor in a real (pseudo-)terminal: what is on its screen, and that it is left as it was."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from tests.support.daemon import environment
from tests.test_cli import Daemon

PATIENCE = 20.0


class Terminal:
    """An xterm of 80 columns and 24 rows, and a monitor in it."""

    def __init__(self, path: Path) -> None:
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        self._fd, self._far = pty.openpty()
        self.before = termios.tcgetattr(self._far)
        self._resize(80, 24)
        environ = environment({"VOICEBOX_CONTROL": str(path), "TERM": "xterm", "LC_ALL": "C.UTF-8"})
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "voicebox", "monitor"],  # so that Ctrl-C is a signal
            stdin=self._far,
            stdout=self._far,
            stderr=self._far,
            env=environ,
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._fd)
        os.close(self._far)

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self._resize(columns, rows)

    def type(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < deadline, self.text
            if select.select([self._fd], [], [], 0.05)[0]:
                new = os.read(self._fd, 65_536)
                self.output += new
                self._stream.feed(new)

    def shows(self, words: str) -> None:
        self.until(lambda: words in self.text)

    def ends(self) -> int:
        """Its exit code; the terminal is as it was."""
        self.until(lambda: self.process.poll() is not None)
        self.until(lambda: not select.select([self._fd], [], [], 0)[0])
        assert termios.tcgetattr(self._far) == self.before
        assert self.output.count(b"\x1b[?1049h") == self.output.count(b"\x1b[?1049l") == 1  # the alternate screen
        assert self.output.rindex(b"\x1b[?25h") > self.output.rindex(b"\x1b[?25l")  # the cursor
        assert b"Traceback" not in self.output
        return self.process.returncode


READING = {
    "event": "Meters",
    "before": {"level": -40.0, "peak": -30.0},
    "after": {"level": -48.0, "peak": -38.0},
    "scores": {"hey_jarvis": 0.02},
    "phase": "listening",
    "scene": "listening",
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path / "socket") as running:
        yield running


@pytest.fixture
def terminal(daemon: Daemon) -> Iterator[Terminal]:
    daemon.soon(READING, {"event": "Transcript", "role": "user", "text": "what time is it", "phase": "listening"})
    terminal = Terminal(daemon.path)
    terminal.shows("what time is it")
    yield terminal
    terminal.close()


def test_it_shows_hides_follows_the_terminals_size_and_quits(daemon: Daemon, terminal: Terminal) -> None:
    terminal.shows("● listening")
    terminal.shows("microphone    -40 dB ███")
    terminal.type(b"t")
    terminal.shows("what is said is not shown")
    terminal.resize(30, 6)
    terminal.shows("too small")
    terminal.resize(100, 30)
    terminal.shows("q quits")
    daemon.stop()
    terminal.shows("systemctl status voicebox")
    terminal.type(b"q")
    assert terminal.ends() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_terminal_clean(terminal: Terminal, number: signal.Signals, code: int) -> None:
    if number is signal.SIGINT:
        terminal.type(b"\x03")
    else:
        terminal.process.send_signal(number)
    assert terminal.ends() == code


def test_a_terminal_that_hangs_up_ends_it(terminal: Terminal) -> None:
    terminal.process.send_signal(signal.SIGHUP)
    assert terminal.process.wait(PATIENCE) != 0


def test_without_a_terminal_it_says_so(daemon: Daemon) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voicebox", "monitor"],
        env=environment({"VOICEBOX_CONTROL": str(daemon.path)}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "monitor needs a terminal (over SSH: ssh -t HOST voicebox monitor)" in done.stderr
