"""A whole box in virtual time whose service is slow to reach: the real daemon, and a simulated service behind a door
that opens late. Its microphone is coded: quiet noise of which no stretch is like another, and it is kept, so that every
sample the service received can be told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from voicebox import settings
from voicebox.app import App
from voicebox.audio.wavfile import WavBackend
from voicebox.box import Step
from voicebox.core.events import Event
from voicebox.lights.none import NullLight
from voicebox.parts import Parts
from voicebox.simulator import Simulator
from voicebox.simulator.recording import Memory
from voicebox.systemd import Notifier
from voicebox.virtualtime import InlineExecutor
from voicebox.wake.base import Detection

LONGEST = 3.0
"""Seconds until the service answers, at most: name, TCP, TLS and handshake together."""
CONNECTIONS = {"liku": 3}
"""How many connections a service needs one after another, where it is not one."""

_NOISE = -60.0  # dBFS: no simulated service takes it for speech


class Ear:
    """A wake word engine that hears its phrase when it is told to."""

    def __init__(self) -> None:
        self.cue = False

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        del samples, playing
        heard, self.cue = self.cue, False
        return [Detection("cue", 1.0)] if heard else []

    def glance(self, samples: NDArray[np.int16]) -> bool:
        del samples
        return False

    def hears(self, samples: NDArray[np.int16]) -> dict[str, float]:
        del samples
        return {}

    @property
    def scores(self) -> dict[str, float]:
        return {}

    def reset(self) -> None:
        self.cue = False


class Distant(Simulator):
    """A simulator behind a door that opens only after a while, each time anew."""

    def __init__(self, service: str, chance: Random) -> None:
        super().__init__(service, keep=True)
        self._chance = chance
        self._longest = LONGEST / CONNECTIONS.get(service, 1)
        self._passing: set[asyncio.Task[None]] = set()
        self._inner: WeakSet[asyncio.StreamWriter] = WeakSet()
        self.opens_at = 0.0  # loop time before which it turns everybody away

    async def start(self) -> str:
        url = urlsplit(await super().start())
        self._inside = url.hostname, url.port
        self._door = await asyncio.start_server(self._pass, url.hostname)
        port = self._door.sockets[0].getsockname()[1]
        self.url = url._replace(netloc=f"{url.hostname}:{port}").geturl()
        return self.url

    async def stop(self) -> None:
        self._door.close()
        for task in self._passing:
            task.cancel()
        await super().stop()

    def break_off(self) -> None:
        """Everybody inside is cut off without a word."""
        for writer in self._inner:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if now() < self.opens_at:
            writer.close()
            return
        await asyncio.sleep(self._chance.uniform(0.0, self._longest))
        inner_reader, inner_writer = await asyncio.open_connection(*self._inside)
        self._inner.add(inner_writer)
        both = [asyncio.ensure_future(_pour(*way)) for way in ((reader, inner_writer), (inner_reader, writer))]
        self._passing.update(both)
        await asyncio.wait(both)
        self._passing.difference_update(both)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class ColdBox:
    """``steps`` are the core's, with their loop time."""

    def __init__(self, app: App, backend: WavBackend, ear: Ear, service: Distant) -> None:
        self.app, self.backend, self.service, self._ear = app, backend, service, ear
        self.steps: list[tuple[float, Step]] = []
        app.box.observers.append(lambda step: self.steps.append((now(), step)))

    @property
    def wire(self) -> Memory:
        """What passed over the newest connection."""
        return self.service.connections[-1]

    @property
    def received(self) -> NDArray[np.int16]:
        """What the service got of the microphone, at 16 kHz."""
        if not self.service.connections:
            return np.zeros(0, np.int16)
        return np.frombuffer(bytes(self.wire.received_pcm), np.int16)

    async def happened(self, kind: type[Event], since: int, within: float = 30.0) -> tuple[float, Event]:
        """When the first event of this kind after the first ``since`` steps was, and it. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                for at, step in self.steps[since:]:
                    if isinstance(step.event, kind):
                        return at, step.event
                await asyncio.sleep(0.02)

    def wake(self) -> None:
        """The next hop holds the wake word's end."""
        self._ear.cue = True

    def forget(self) -> None:
        """What the service received of the conversations so far."""
        self.service.connections.clear()


@asynccontextmanager
async def cold_box(service: str, chance: Random, **chosen: str) -> AsyncIterator[ColdBox]:
    """A full-duplex box at work for two seconds already, in virtual time; with other settings where ``chosen``, each
    named as in the environment."""
    with TemporaryDirectory() as home:
        environ = {
            "STATE_DIRECTORY": home,
            "RUNTIME_DIRECTORY": home,
            "VOICEBOX_AUDIO__BACKEND": "wav",
            "VOICEBOX_AUDIO__DUPLEX": "full",
            "VOICEBOX_SIMULATOR__BRAIN": "talker",
            "VOICEBOX_BUTTON__PIN": "false",
            **chosen,
        }
        backend, ear, simulator = WavBackend(noise=_NOISE), Ear(), Distant(service, chance)
        parts = Parts(backend, NullLight(), InlineExecutor(), Notifier({}), ear, simulator, environ)
        stop = asyncio.Event()
        async with App(settings.load(Path("/dev/null"), environ), parts) as app:
            running = asyncio.ensure_future(app.run(stop))
            try:
                await asyncio.sleep(2.0)
                yield ColdBox(app, backend, ear, simulator)
            finally:
                stop.set()
                await asyncio.wait_for(running, 2.0)


def now() -> float:
    return asyncio.get_running_loop().time()
