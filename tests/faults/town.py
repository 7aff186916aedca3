"""A box, a service far away, and a proxy of ours on the way between them; all in virtual time, over real sockets.

``async with town() as there`` is a whole fault: the box is at rest when it begins, and when it ends the oracle is
asked.
"""

import atexit
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.faults.oracle import MOST_MORE_MEMORY, Oracle, overheard
from tests.support.certificates import Authority, served
from tests.support.house import House, living
from tests.support.proxy import Proxy, proxying
from tests.support.session import MEETING, TOKEN
from voicebox.core.events import Event, SessionEnded, SessionLost, SessionReady
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.simulator import Simulator


@lru_cache(maxsize=1)
def authority() -> Authority:
    """Whom the box trusts (conftest.py sees to it)."""
    place = TemporaryDirectory()
    atexit.register(place.cleanup)
    return Authority(Path(place.name))


BRIEF = {
    "VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3.0",
    "VOICEBOX_CONVERSATION__FOLLOW_UP_S": "0.5",
}


@dataclass
class Town:
    house: House
    proxy: Proxy
    simulator: Simulator
    oracle: Oracle
    log: io.StringIO
    stopped: bool = False
    """By the test: nothing more is asked of it."""

    @property
    def connected(self) -> bool:
        return self.house.app.session.connected

    def events(self, kind: type[Event]) -> list[tuple[float, Any]]:
        """(when, what), in order."""
        return [(at, step.event) for at, step in self.house.steps if isinstance(step.event, kind)]

    @property
    def losses(self) -> list[SessionLost]:
        return [event for _, event in self.events(SessionLost)]

    @property
    def ends(self) -> list[SessionEnded]:
        return [event for _, event in self.events(SessionEnded)]

    @property
    def sessions(self) -> int:
        return len(self.events(SessionReady))

    def fault(self) -> Fault | None:
        return self.house.app.box.state.fault

    def showed(self, scene: Scene) -> bool:
        return scene in self.house.lamp.scenes

    async def talk_in_vain(self, within: float = 120.0) -> None:
        """Somebody wakes it and asks, but nothing comes of it."""
        before = len(self.house.steps)
        await self.house.wake()
        self.house.say()
        await self.house.until(lambda: self.house.phase is Phase.IDLE, within)
        assert not any(step.after.phase is Phase.SPEAKING for _, step in self.house.steps[before:])


def far_away(url: str) -> dict[str, str]:
    """Settings of a box whose service is there."""
    return {
        "VOICEBOX_SERVICE": "lira",
        "VOICEBOX_LIRA__URL": url,
        "VOICEBOX_LIRA__ALLOW_PLAIN": "true",
        "VOICEBOX_LIRA__MEETING_ID": MEETING,
        "VOICEBOX_LIRA_TOKEN": TOKEN,
    }


def _address(url: str) -> tuple[int, str]:
    """Port and path."""
    port, _, path = url.split(":")[2].partition("/")
    return int(port), path


@asynccontextmanager
async def town(
    *,
    tls: bool = True,
    faults: Sequence[str] = (),
    brain: str = "talker",
    options: Mapping[str, str] | None = None,
    mend: Callable[[Town], object] | None = None,
    memory: int = MOST_MORE_MEMORY,
    **other: Any,
) -> AsyncIterator[Town]:
    """``mend`` is what somebody far away does before the box has to be well again."""
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(overheard())
        simulator = Simulator(brain=brain, faults=faults, token=TOKEN, meeting_id=MEETING, keep=True)
        await stack.enter_async_context(simulator)
        context = served(authority().certificate()) if tls else None
        port, path = _address(simulator.url)
        proxy = await stack.enter_async_context(proxying(port, context))
        there = far_away(f"{'wss' if tls else 'ws'}://localhost:{proxy.port}/{path}")
        chosen = {**BRIEF, **there, **(options or {})}
        house = await stack.enter_async_context(living(options=chosen, simulator=simulator, **other))
        oracle = Oracle(house, memory=memory)
        found = Town(house, proxy, simulator, oracle, log)
        yield found
        if mend is not None:
            mend(found)
        if not found.stopped:
            await oracle.survived()
