"""A session with the simulated LIKU, over real HTTP and a real WebSocket, in virtual time; without core and devices."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.simulator.client import QUESTION
from voicebox import web
from voicebox.audio.base import BLOCK, Block
from voicebox.core.events import Event, ReplyAudio
from voicebox.core.state import Window
from voicebox.keepsakes import Keepsakes
from voicebox.pumps import Surroundings
from voicebox.services.base import HttpAnswer, HttpRequest
from voicebox.services.liku import Service, Settings
from voicebox.session import Session
from voicebox.simulator import Simulator
from voicebox.uplink import Uplink
from voicebox.virtualtime import run_virtual

T = TypeVar("T")
E = TypeVar("E", bound=Event)

BLOCK_BYTES = 2 * BLOCK


class Line:
    """A session without core and devices. ``asked`` holds what was requested by HTTP."""

    def __init__(self, simulator: Simulator, store: Path, **changes: Any) -> None:
        section, self._secrets = simulator.access
        self.keepsakes = Keepsakes(store)
        self.adapter = Service(Settings(**(section | changes)))
        self.uplink = Uplink()
        self.events: list[Event] = []
        self.asked: list[HttpRequest] = []
        self._news = asyncio.Event()
        self._position = 0
        self.session = Session(
            self.adapter,
            self.uplink,
            self._note,
            credentials=lambda: self._secrets | self.keepsakes.recall(),
            around=Surroundings(remember=self.keepsakes.remember),
            exchange=self._exchange,
            dice=lambda: 0.5,
        )

    async def _exchange(self, request: HttpRequest) -> HttpAnswer:
        self.asked.append(request)
        return await web.exchange(request)

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def purposes(self) -> list[str]:
        return [request.purpose for request in self.asked]

    async def until(self, kind: type[E], count: int = 1, within: float = 120.0) -> E:
        """The ``count``-th event of this kind. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[count - 1]

    def listen(self) -> None:
        """From now on, no sample of before."""
        self.uplink.set_window(Window(self._position))

    def deaf(self) -> None:
        self.uplink.set_window(None)

    async def hear(self, pcm: bytes) -> None:
        """The microphone hears this, in real time."""
        for at in range(0, len(pcm) - BLOCK_BYTES + 1, BLOCK_BYTES):
            self.uplink.block(Block(self._position, pcm[at : at + BLOCK_BYTES], self._position / 16_000))
            self._position += BLOCK
            await asyncio.sleep(BLOCK / 16_000)

    async def ask(self, quiet: float = 1.5) -> None:
        self.listen()
        await self.hear(QUESTION + bytes(int(32_000 * quiet) // BLOCK_BYTES * BLOCK_BYTES))

    async def hang_up(self) -> None:
        self.session.close()
        async with asyncio.timeout(10):
            await self.session.closed()

    def heard(self, reply: int) -> bytes:
        return b"".join(e.pcm for e in self.of(ReplyAudio) if e.reply_id == reply)


@asynccontextmanager
async def line(simulator: Simulator, store: Path, **changes: Any) -> AsyncIterator[Line]:
    there = Line(simulator, store, **changes)
    task = asyncio.ensure_future(there.session.run())
    try:
        yield there
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()


def with_liku(
    act: Callable[[Simulator, Line], Coroutine[Any, Any, T]],
    store: Path,
    *,
    faults: Sequence[str] = (),
    brain: str = "parrot",
    **changes: Any,
) -> T:
    async def main() -> T:
        async with (
            Simulator("liku", faults=faults, brain=brain, keep=True) as simulator,
            line(simulator, store, **changes) as there,
        ):
            there.session.open()
            return await act(simulator, there)

    return run_virtual(main())
