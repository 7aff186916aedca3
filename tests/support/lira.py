"""A simulated Lira on a thread of its own, which can go and come back; it keeps all that passes through it."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import cycle, pairwise
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from voicebox.assets import RATE, speech
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.pcm import resample, to_bytes
from voicebox.simulator import Simulator
from voicebox.simulator.brains import Answer, Heard
from voicebox.simulator.recording import Memory

Samples = NDArray[np.int16]
TOKEN = "canary-7Qm2xVw9Lb4Rt6Zk"  # noqa: S105  # of a service that lives for one test
MEETING = "mtg_e2e"


class Script:
    """A brain that gives these answers in turn, by the name of speech that ships with voicebox."""

    NAME: ClassVar[str] = "script"
    DESCRIPTION: ClassVar[str] = "gives the answers it was told"

    def __init__(self, *names: str) -> None:
        self._answers = cycle([Answer(name, to_bytes(resample(speech(name), RATE, PLAYBACK_RATE))) for name in names])

    def answer(self, heard: Heard) -> Answer:  # noqa: ARG002  # whatever it was
        return next(self._answers)


class _Counting(Simulator):
    """Counts who knocks, also those it turns away."""

    dials = 0

    def _answer_http(self, client: ServerConnection, request: Request) -> Response | None:
        self.dials += 1
        return super()._answer_http(client, request)


class Lira:
    """``with Lira() as lira``: listens at ``lira.url`` until ``stop``; ``start`` brings it back at the same address."""

    def __init__(self, *answers: str, faults: Sequence[str] = ()) -> None:
        self._answers, self._faults = answers, faults
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._before: list[Memory] = []
        self._port = 0
        self._there = False
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def start(self) -> None:
        """Does nothing while it is there."""
        if self._there:
            return
        self._simulator = _Counting(port=self._port, faults=self._faults, token=TOKEN, meeting_id=MEETING, keep=True)
        if self._answers:
            self._simulator._setup = replace(self._simulator._setup, brain=Script(*self._answers))
        self.url = self._run(self._simulator.start())
        self._there = True
        self._port = int(self.url.split(":")[2].split("/")[0])

    def stop(self) -> None:
        self._there = False
        self._run(self._simulator.stop())
        self._before += self._simulator.connections
        self._simulator.connections = []

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # whatever it returns
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    @property
    def config(self) -> str:
        """What a box needs in its file to talk to this; a section of it, so it comes last."""
        return f'[lira]\nurl = "{self.url}"\nmeeting_id = "{MEETING}"\nallow_plain = true\n'

    @property
    def dials(self) -> int:
        """How often it was dialled since it last started."""
        return self._simulator.dials

    @property
    def connections(self) -> list[Memory]:
        return self._before + self._simulator.connections

    @property
    def last(self) -> Memory:
        return self.connections[-1]

    def until(self, happened: Callable[[], bool], timeout: float = 10.0) -> None:
        """Until that is true of what came through. Raises AssertionError."""
        deadline = time.monotonic() + timeout
        while not happened():
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"Lira saw only {[noted.text or noted.size for noted in self.last.messages[-20:]]}"
                )
            time.sleep(0.01)  # between two looks; the deadline decides


def heard_by(connection: Memory) -> Samples:
    """All that the service heard, 16 kHz."""
    return np.frombuffer(bytes(connection.received_pcm), np.int16)


def sent_by(connection: Memory, reply: int) -> Samples:
    """What the service sent of this reply while it was alive, 24 kHz."""
    return np.frombuffer(bytes(connection.sent_pcm[reply]), np.int16)


def stretches(connection: Memory) -> list[Samples]:
    """What the service heard, one array for each audio_start."""
    everything, at, ends = heard_by(connection), 0, [0]
    for noted in connection.messages:
        if noted.direction != "received":
            continue
        if noted.text is None:
            at += noted.size // 2
            ends[-1] = at
        elif "audio_start" in noted.text:
            ends.append(at)
    return [everything[a:b] for a, b in pairwise(ends)]
