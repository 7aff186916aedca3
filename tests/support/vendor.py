"""A simulated service on a thread of its own, which can go and come back; it keeps all that passes through it."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import cycle
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from voicebox.assets import RATE, speech
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.pcm import resample, to_bytes
from voicebox.simulator import Simulator, liku
from voicebox.simulator.brains import Answer, Heard
from voicebox.simulator.recording import Memory

Samples = NDArray[np.int16]
TOKEN = "canary-7Qm2xVw9Lb4Rt6Zk"  # noqa: S105  # of a service that lives for one test
PLACE = "mtg_e2e"
"""The meeting, or whatever else a service calls what a box connects to."""


def cut(simulator: Simulator) -> None:
    """Break every connection without a word, as a network does. On the simulator's loop."""
    for transport in list(simulator._transports):
        transport.abort()


class Script:
    """A brain that gives these answers in turn, by the name of speech that ships with voicebox."""

    NAME: ClassVar[str] = "script"
    DESCRIPTION: ClassVar[str] = "gives the answers it was told"

    def __init__(self, *names: str) -> None:
        self.follow(*names)

    def follow(self, *names: str) -> None:
        """From now on these."""
        self._answers = cycle([Answer(name, to_bytes(resample(speech(name), RATE, PLAYBACK_RATE))) for name in names])

    def read(self, *texts: Samples) -> None:
        """From now on these sounds (16 kHz)."""
        self._answers = cycle([Answer("", to_bytes(resample(text, RATE, PLAYBACK_RATE))) for text in texts])

    def answer(self, heard: Heard) -> Answer:  # noqa: ARG002  # whatever it was
        return next(self._answers)


class _Counting(Simulator):
    """Counts who knocks, also those it turns away."""

    dials = 0

    def _answer_http(self, client: ServerConnection, request: Request) -> Response | None:
        self.dials += 1
        return super()._answer_http(client, request)


class Vendor:
    """``with Vendor("lira") as lira``: listens until ``stop``; ``start`` brings it back at the same address.

    With ``answers`` (names of shipped speech) it gives these in turn; without, it is a parrot.
    """

    def __init__(self, service: str, *answers: str, faults: Sequence[str] = ()) -> None:
        self.service = service
        self._faults = faults
        self._script = Script(*answers) if answers else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._before: list[Memory] = []
        self._port = 0
        self._there = False

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
        self._simulator = _Counting(
            self.service, port=self._port, faults=self._faults, token=TOKEN, meeting_id=PLACE, keep=True
        )
        if self._script:
            self._simulator._setup = replace(self._simulator._setup, brain=self._script)
        url = self._run(self._simulator.start())
        self._there = True
        self._port = int(url.split(":")[2].split("/")[0])

    def stop(self) -> None:
        self._there = False
        self._run(self._simulator.stop())
        self._before += self._simulator.connections
        self._simulator.connections = []

    def drop(self) -> None:
        """Break every connection without a word, as a network does."""

        async def abort() -> None:
            cut(self._simulator)

        self._run(abort())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # whatever it returns
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def will_say(self, *answers: str) -> None:
        """From the next turn on it gives these answers in turn."""
        assert self._script, "it is a parrot"
        self._script.follow(*answers)

    def will_read(self, *texts: Samples) -> None:
        """From the next turn on it gives these sounds (16 kHz) in turn."""
        assert self._script, "it is a parrot"
        self._script.read(*texts)

    @property
    def config(self) -> str:
        """What a box needs in its file to talk to this; a section of it, so it comes last."""
        section, _ = self._simulator.access
        return "\n".join([f"[{self.service}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items()), ""])

    @property
    def secrets(self) -> dict[str, str]:
        """The credentials it takes, by name."""
        return dict(self._simulator.access[1])

    @property
    def tokens(self) -> set[str]:
        """What it gave for a password."""
        return {liku._token(self._simulator._setup)} if self.service == "liku" else set()

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
                seen = [(noted.text or "")[:200] or noted.size for noted in self.last.messages[-20:]]
                raise AssertionError(f"{self.service} saw only {seen}")
            time.sleep(0.01)  # between two looks; the deadline decides


def heard_by(connection: Memory) -> Samples:
    """All that the service heard, 16 kHz."""
    return np.frombuffer(bytes(connection.received_pcm), np.int16)


def sent_by(connection: Memory, reply: int) -> Samples:
    """What the service sent of this reply while it was alive, 24 kHz (before it was encoded, if it was)."""
    return np.frombuffer(bytes(connection.sent_pcm[reply]), np.int16)
