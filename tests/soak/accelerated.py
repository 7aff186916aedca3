"""A day in virtual time: the whole box, a simulated service, and everything of it over and over."""

import asyncio
import gc
import os
from collections.abc import Callable, Mapping
from dataclasses import astuple, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.faults.oracle import Oracle
from tests.soak.course import MOST_GROWTH, Look, growth, held, look, unchanged
from tests.support.house import NO_FILE, Ear, House, assert_privacy, living, now
from tests.support.vendor import cut
from voicebox import heap, logs
from voicebox.audio.wavfile import WavBackend
from voicebox.bench import Figure, at_least, at_most
from voicebox.core.events import SessionReady
from voicebox.core.state import Phase
from voicebox.parts import detector
from voicebox.settings import load
from voicebox.virtualtime import VirtualTimeLoop, run_virtual
from voicebox.wake.base import Detection

SESSIONS = 2000
DAY = 86_400.0
WATCHDOG = 30.0
"""Seconds after which systemd would restart the box, as its unit says."""
_WARM, _EVERY = 40, 20  # sessions: until everything was used, and between two looks
_OPTIONS = {
    "VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "4.0",
    "VOICEBOX_CONVERSATION__FOLLOW_UP_S": "1.0",
    "VOICEBOX_INTERRUPTION__DUCK": "true",
    "VOICEBOX_SOUNDS__EARCONS": "true",
}


class _Length(bytearray):
    """A recording of which only the length is kept."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0

    def __iadd__(self, more: Any) -> "_Length":  # type: ignore[misc]  # noqa: ANN401  # whatever it takes
        self._length += len(more)
        return self

    def __len__(self) -> int:
        return self._length


class _Attentive(Ear):
    """The real networks hear everything; the phrase is heard on cue besides."""

    def __init__(self) -> None:
        super().__init__()
        engine = detector(load(NO_FILE, {}))
        assert engine is not None
        self._engine = engine

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        return self._engine.process(samples, playing=playing) + super().process(samples, playing=playing)

    def glance(self, samples: NDArray[np.int16]) -> bool:
        return not self.cue and self._engine.glance(samples)

    def hears(self, samples: NDArray[np.int16]) -> dict[str, float]:
        return self._engine.hears(samples)

    @property
    def scores(self) -> Mapping[str, float]:  # type: ignore[override]
        return self._engine.scores

    def reset(self) -> None:
        super().reset()
        self._engine.reset()


class Day:
    def __init__(self, house: House, looks: int) -> None:
        self.house, self._oracle = house, Oracle(house)
        self.sessions = self.reconnects = self.interruptions = 0
        self._seen = np.zeros((looks, len(fields(Look))), np.int64)  # all at once: what is noted must not grow, either
        self._taken = 0
        self.fed, self.starved = now(), 0.0
        """When the watchdog was, at last, and the longest time for which it was not. To keep each would be a growth of
        our own: 11 KiB in 100 sessions."""

    async def plain(self) -> None:
        await self.house.ask()

    async def dropped(self) -> None:
        """The network goes in mid-sentence; asked again, the box has found its way back."""
        await self.house.wake()
        await self.house.until_phase(Phase.LISTENING)
        self.house.say("ask_time")
        await asyncio.sleep(0.5)
        cut(self.house.simulator)
        await self.house.until(lambda: self._opened() == 2)
        self.reconnects += 1
        await asyncio.sleep(1.5)  # it has been said
        if self.house.phase is Phase.LISTENING:
            self.house.say("ask_time")
        await self.house.until_phase(Phase.SPEAKING)

    async def interrupted(self) -> None:
        """In mid-answer, by the wake word."""
        await self.house.ask()
        await asyncio.sleep(2.0)
        cuts = len(self.house.cuts)
        await self.house.wake()
        await self.house.until(lambda: len(self.house.cuts) > cuts)
        self.interruptions += 1

    def _opened(self) -> int:
        return sum(isinstance(step.event, SessionReady) for _, step in self.house.steps)

    async def session(self) -> None:
        """From rest to rest."""
        _hurry(on=False)
        await (self.plain, self.dropped, self.plain, self.interrupted)[self.sessions % 4]()
        await self.house.until_phase(Phase.IDLE, within=900)
        await self.house.app.session.closed()
        await asyncio.sleep(2.0)  # the other side lets go, too
        await self._oracle.answers_status()
        _hurry(on=True)
        self.sessions += 1
        assert_privacy(self.house)
        self.forget()

    def forget(self) -> None:
        """What the test keeps of it."""
        house = self.house
        for at, text in house.systemd.told:
            if text == "WATCHDOG=1":
                self.starved, self.fed = max(self.starved, at - self.fed), at
        self.starved = max(self.starved, now() - self.fed)
        speaker, lamp, wires = house.backend.speaker, house.lamp, house.simulator.connections
        for kept in (house.steps, house.systemd.told, house.privacy.changes, speaker.flushes, speaker.spoken, wires):
            kept.clear()
        lamp.flashes.clear()
        del house.lamp.scenes[:-1]

    def look(self) -> None:
        gc.collect()
        heap.give_back()
        self._seen[self._taken] = astuple(look(self.sessions, os.getpid(), held()))
        self._taken += 1

    @property
    def looks(self) -> list[Look]:
        return [Look(*map(int, row)) for row in self._seen[: self._taken]]

    def figures(self, asked: int, hours: float) -> list[Figure]:
        name = f"{hours:.3g} h in virtual time"
        return [
            at_least(f"{name}: sessions", self.sessions, "", asked),
            at_least(f"{name}: connections lost and found again", self.reconnects, "", asked // 4),
            at_least(f"{name}: answers interrupted", self.interruptions, "", asked // 4),
            at_most(f"{name}: memory in use, growth for 100 sessions", growth(self.looks, "held"), "KiB", MOST_GROWTH),
            at_most(f"{name}: resident, growth for 100 sessions", growth(self.looks, "resident"), "KiB", MOST_GROWTH),
            *unchanged(self.looks, name),
            at_most(f"{name}: longest time without feeding the watchdog", self.starved, "s", WATCHDOG),
        ]


def _hurry(*, on: bool) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.hurry(on)


Progress = Callable[[int], object]


async def _live(sessions: int, seconds: float, progress: Progress) -> tuple[list[Figure], list[Look]]:
    backend = WavBackend(noise=-75.0)
    backend._heard, backend.speaker.recorded = _Length(), _Length()
    warm = min(_WARM, sessions // 4)
    parts: dict[str, Any] = {"backend": backend, "detector": _Attentive()}
    async with living(options=_OPTIONS, watchdog=WATCHDOG / 2, **parts) as house:
        day, began = Day(house, sessions), now()
        while day.sessions < sessions:
            await day.session()
            await asyncio.sleep(max(0.0, began + day.sessions * seconds / sessions - now()))
            if day.sessions >= warm and not day.sessions % min(_EVERY, warm):
                day.look()
                progress(day.sessions)
        day.forget()
        _hurry(on=False)
        return day.figures(sessions, (now() - began) / 3600), day.looks


def live(
    sessions: int = SESSIONS, seconds: float = DAY, progress: Progress = lambda _: None
) -> tuple[list[Figure], list[Look]]:
    """So many sessions in so many virtual seconds (43 each leave time to rest). Every fourth loses its connection, and
    every fourth is interrupted. Raises AssertionError for what must never happen."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  # as it says
        stop = logs.setup("debug", environ={}, stream=nowhere)
        try:
            return run_virtual(_live(sessions, seconds, progress))
        finally:
            stop()
