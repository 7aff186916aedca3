"""What others run for the same purpose: wyoming-satellite, wyoming-openwakeword and a recorder, three processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from voicebox.bench import _process

NAME = "wyoming-satellite, wyoming-openwakeword and arecord together"
_FOLDER = "build/peer"
WHY_NOT = (
    "it is not installed. For each an environment, as they want different versions of one library:\n"
    f"  python3 -m venv {_FOLDER}/satellite; {_FOLDER}/satellite/bin/pip install wyoming-satellite==1.0.0\n"
    f"  python3 -m venv {_FOLDER}/openwakeword; "
    f"{_FOLDER}/openwakeword/bin/pip install wyoming-openwakeword==1.8.2 'numpy<2'\n"
    "It records with arecord (Debian: alsa-utils)"
)
_WITHIN = 30.0
"""Seconds in which a port must answer."""
_WARM = 5.0
"""Seconds in which it has loaded its networks; then as long to see whether it scores."""
_DEAF = 0.005
"""Of a core: with less nobody scores a wake word."""
_RECORDER = "arecord -q -r 16000 -c 1 -f S16_LE -t raw"
_PLAYER = "aplay -q -r 22050 -c 1 -f S16_LE -t raw"


def installed() -> bool:
    return all(_python(name).exists() for name in ("satellite", "openwakeword")) and shutil.which("arecord") is not None


@contextmanager
def listening(environ: Mapping[str, str]) -> Iterator[list[int]]:
    """The stack as its own documents start it, with the same phrase as ours, and told by its server to listen. Yields
    the process numbers. Raises RuntimeError if it does not come up."""
    wake, satellite = _free_port(), _free_port()
    ears = ["--uri", _uri(wake), "--preload-model", "hey_jarvis"]
    body = ["--name", "bench", "--uri", _uri(satellite), "--mic-command", _RECORDER, "--snd-command", _PLAYER]
    body += ["--wake-uri", _uri(wake), "--wake-word-name", "hey_jarvis"]
    with ExitStack() as stack:
        first = stack.enter_context(_running("openwakeword", ears, environ))
        stack.enter_context(_connected(wake))
        second = stack.enter_context(_running("satellite", body, environ))
        server = stack.enter_context(_connected(satellite))
        server.sendall(json.dumps({"type": "run-satellite"}).encode() + b"\n")
        time.sleep(_WARM)
        began, used = time.monotonic(), _process.cpu(first)
        time.sleep(_WARM)
        if (_process.cpu(first) - used) / (time.monotonic() - began) < _DEAF:
            raise RuntimeError("the peer stack does not listen: python -m wyoming_openwakeword --debug says why")
        yield [first, second, *_process.children(second)]


@contextmanager
def _running(name: str, options: Sequence[str], environ: Mapping[str, str]) -> Iterator[int]:
    command = ["setpriv", "--pdeathsig", "KILL", "--", str(_python(name)), "-m", f"wyoming_{name}", *options]
    with subprocess.Popen(  # noqa: S603  # what somebody installed to be compared with
        command,
        env={**os.environ, **environ},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _connected(port: int) -> Iterator[socket.socket]:
    deadline = time.monotonic() + _WITHIN
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), 1.0)
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody answers on port {port}") from None
            time.sleep(0.1)  # between two questions; the deadline decides
        else:
            break
    with connection:
        yield connection


def _python(name: str) -> Path:
    return Path(__file__).resolve().parents[2] / _FOLDER / name / "bin" / "python"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _uri(port: int) -> str:
    return f"tcp://127.0.0.1:{port}"
