"""What every fault leaves behind: the same box as before, idle, awake, and telling the truth."""

import asyncio
import gc
import io
import re
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tests.support.house import House
from tests.support.session import TOKEN, open_files
from voicebox import control, heap, logs
from voicebox.box import Step
from voicebox.core.events import HangUp
from voicebox.core.scenes import Scene, scene
from voicebox.core.state import Phase

MOST_MORE_MEMORY = 8_000_000
"""Bytes."""
STATUS_WITHIN = 1.0
"""Seconds."""
_AUDIO = re.compile(r"(?:\\x[0-9a-f]{2}.{0,3}){12}|[A-Za-z0-9+/]{400}")
"""What sound looks like in a log: Python's bytes, or base64."""


@contextmanager
def thrifty(most: int = MOST_MORE_MEMORY) -> Iterator[None]:
    """Never are more bytes taken in between. Counted where Python and numpy take them: what is resident depends on how
    the heap was torn before, and on the pages of libraries that the kernel drops and fetches again."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= most, f"{peak} bytes at once"


def _settled() -> int:
    """Resident bytes that no file stands behind, once what is free was given back to the system."""
    gc.collect()
    heap.give_back()
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _holdings() -> dict[str, int]:
    return {"fds": open_files(), "threads": threading.active_count()}


def _recorded(house: House) -> int:
    """Bytes of what the test itself keeps of the sound."""
    wires = house.simulator.connections
    far = sum(len(wire.received_pcm) + sum(map(len, wire.sent_pcm.values())) for wire in wires)
    near = len(house.backend._heard) + len(house.backend.speaker.recorded)
    return (far + near) * 9 // 8  # how much more than it needs an array that grows may take


class LieError(AssertionError):
    """The light showed something else than what the box does."""


class Oracle:
    """Watches one box from before the fault until it is over."""

    def __init__(self, house: House, *, memory: int = MOST_MORE_MEMORY) -> None:
        """``memory``: bytes it may need more than before, when all is over."""
        self._house = house
        self._most = memory
        self._memory = _settled() - _recorded(house)
        self._held = _holdings()
        house.app.box.observers.append(self._look)

    def _look(self, step: Step) -> None:
        shown = self._house.lamp.scenes[-1]
        if shown is not scene(step.after):
            raise LieError(f"{shown} is shown in {step.after}")

    async def survived(self) -> None:
        """The box is idle by itself, answers a question, and holds no more than before."""
        house = self._house
        await house.until(self._at_rest, within=900)
        assert house.lamp.scenes[-1] is Scene.IDLE
        await self.answers_status()
        before = len(house.phases)
        await house.ask(within=120)
        house.app.box.dispatch(HangUp())
        await house.until(self._at_rest, within=900)
        assert Phase.SPEAKING in house.phases[before:]
        assert not house.running.done()
        assert house.app.hearing.trouble() is None
        await house.app.session.closed()
        await asyncio.sleep(5)  # the other side lets go, too
        self._nothing_left()

    async def answers_status(self) -> None:
        async with asyncio.timeout(STATUS_WITHIN):
            answer = await control.ask(control.socket_path(self._house.app.environ), {"do": "status"})
        state = self._house.app.box.state
        assert (answer["phase"], answer["fault"], answer["muted"]) == (state.phase, state.fault, state.muted)

    def _at_rest(self) -> bool:
        state = self._house.app.box.state
        return state.phase is Phase.IDLE and state.fault is None

    def _nothing_left(self) -> None:
        more = _settled() - _recorded(self._house) - self._memory
        held = _holdings()
        assert all(held[what] <= most for what, most in self._held.items()), (held, self._held)
        assert more <= self._most, f"{more} bytes more than before"


@asynccontextmanager
async def overheard() -> AsyncIterator[io.StringIO]:
    """All that a daemon at its most talkative would write down; no secret and no sound may be in it."""
    written = io.StringIO()
    stop = logs.setup("debug", environ={}, stream=written)
    try:
        yield written
    finally:
        stop()
    assert_discreet(written.getvalue(), TOKEN)


def assert_discreet(log: str, secret: str) -> None:
    """There is a log, and neither the secret nor any sound is in it."""
    assert log
    assert secret not in log
    assert not (sound := _AUDIO.search(log)), sound
