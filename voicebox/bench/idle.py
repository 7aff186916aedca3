"""What the whole daemon costs while nobody talks to it, beside bare inference of the wake word's networks."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from voicebox.audio.base import BLOCK, CAPTURE_RATE
from voicebox.bench import _peer, _process, _reference, _rig
from voicebox.bench._figures import Figure, Options, at_most, stated
from voicebox.bench.wake import noise
from voicebox.wake.base import HOP

_KNOWS_THE_ROOM = 14  # seconds
_TURNS = 7
_HOPS = CAPTURE_RATE / HOP  # in a second
_CAPTURE = f"""import pyaudio, sys
stream = pyaudio.PyAudio().open({CAPTURE_RATE}, 1, pyaudio.paInt16, input=True, frames_per_buffer={BLOCK},
                                stream_callback=lambda *_: (None, pyaudio.paContinue))
print("it hears", flush=True)
sys.stdin.read()"""


def run(options: Options) -> list[Figure]:
    pulse = _rig.pulse()
    if _rig.daemon() is None or pulse is None or not pulse.available():
        options.left_out("the idle daemon", f"{_rig.WHY_NOT}; and PulseAudio")
        return []
    _process.pin()
    seconds = options.times(6)
    rooms = {
        "unsteady noise, always scored": (_swinging(noise(_hops(seconds), -40, 1, 1)), 0.7),
        "quiet room, -60 dBFS": (noise(_hops(seconds), -60, 1, 2), 0.25),
    }
    figures: list[Figure] = []
    for name, (room, limit) in rooms.items():
        with pulse.PulseServer() as server:
            figures += _figures(name, server, room.reshape(-1), seconds, limit)
        if _peer.installed():
            with pulse.PulseServer() as server:
                figures.append(_peers_figure(name, server, room.reshape(-1), seconds))
    if not _peer.installed():
        options.left_out(_peer.NAME, _peer.WHY_NOT)
    return figures


def _hops(seconds: int) -> int:
    return round((_KNOWS_THE_ROOM + _TURNS * (seconds + 1.5)) * _HOPS)


def _swinging(sound: "np.typing.NDArray[np.int16]") -> "np.typing.NDArray[np.int16]":
    """12 dB up and down every 1.6 s."""
    swing = np.repeat(10.0 ** (np.array([0, -12]) / 20), 10)
    swung: np.typing.NDArray[np.int16] = (sound * np.resize(swing, len(sound))[:, None]).astype(np.int16)
    return swung


def _figures(name: str, server: object, room: object, seconds: int, limit: float) -> list[Figure]:
    bare, hop = _reference.bare(), noise(200, -40, 1, 3)
    shares, wakeups, bares, captures = list[float](), list[float](), list[float](), list[float]()
    with (
        tempfile.TemporaryDirectory() as folder,
        _process.daemon(Path(folder), server.env) as box,  # type: ignore[attr-defined]  # of the tests
        _capturing(server.env) as capture,  # type: ignore[attr-defined]
    ):
        pid = box.process.pid
        sounding = threading.Thread(target=_say, args=(server, room), daemon=True)
        sounding.start()
        time.sleep(_KNOWS_THE_ROOM)
        for _ in range(_TURNS):
            cpu, woken, began = _process.cpu(pid), _process.wakeups(pid), time.monotonic()
            captured = _process.cpu(capture)
            time.sleep(seconds)
            took = time.monotonic() - began
            captures.append((_process.cpu(capture) - captured) / took)
            shares.append((_process.cpu(pid) - cpu) / took)
            wakeups.append((_process.wakeups(pid) - woken) / took)
            bares.append(_bare(bare, hop))
    used, yardstick = float(np.median(shares)), float(np.median(bares))
    return [
        at_most(f"{name}: daemon with echo canceller, of bare inference", used / yardstick, "x", limit),
        stated(f"{name}: daemon, CPU of one core", used * 100, "%"),
        stated(f"{name}: bare inference, CPU of one core", yardstick * 100, "%"),
        stated(
            f"{name}: a bare PyAudio stream of 20 ms blocks, CPU of one core", float(np.median(captures)) * 100, "%"
        ),
        stated(f"{name}: daemon wakes, all threads", float(np.median(wakeups)), "times/s"),
    ]


def _peers_figure(name: str, server: object, room: object, seconds: int) -> Figure:
    shares = list[float]()
    with _peer.listening(server.env) as processes:  # type: ignore[attr-defined]  # of the tests
        threading.Thread(target=_say, args=(server, room), daemon=True).start()
        time.sleep(_KNOWS_THE_ROOM)
        for _ in range(_TURNS):
            cpu, began = sum(map(_process.cpu, processes)), time.monotonic()
            time.sleep(seconds)
            shares.append((sum(map(_process.cpu, processes)) - cpu) / (time.monotonic() - began))
    return stated(f"{name}: {_peer.NAME}, CPU of one core", float(np.median(shares)) * 100, "%")


def _say(server: object, room: object) -> None:
    with suppress(subprocess.CalledProcessError):  # the server is gone before the sound is over
        server.say(room)  # type: ignore[attr-defined]  # of the tests


@contextmanager
def _capturing(environ: Mapping[str, str]) -> Iterator[int]:
    """A process that hears what the daemon hears and throws it away: what no daemon can go below. Yields its number."""
    command = [sys.executable, "-c", _CAPTURE]
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        command,
        env={**os.environ, **environ},
        stdin=subprocess.PIPE,  # it ends when that does, and with us
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # ALSA complains of all the cards that are not there
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101  # for the type checker
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def _bare(score: _reference.Score, hops: "np.typing.NDArray[np.int16]") -> float:
    """Its share of a core."""
    began = time.process_time()
    for hop in hops:
        score(hop)
    return (time.process_time() - began) / len(hops) * _HOPS
