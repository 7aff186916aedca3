"""Hearing, with a microphone whose samples tell their own position, and a finder that notes what it is given."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from voicebox.audio.base import BLOCK, Block
from voicebox.audio.pcm import Samples, to_bytes
from voicebox.core.events import Event, SpeechStopped
from voicebox.core.state import Phase, State, Window
from voicebox.hearing import Canceller, Hearing, SpeechFinder
from voicebox.uplink import Uplink
from voicebox.virtualtime import run_virtual


class Script:
    """A finder that notes what it is given and finds what it is told to, by position."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.searched: list[int] = []  # every sample's position
        self.finds: dict[int, Event] = {}
        self.speaking = False

    def called(self, at: int) -> None:
        pass

    def begin(self, since: int) -> None:
        self.begun.append(since)
        self.searched.clear()

    def block(self, position: int, samples: Samples) -> list[Event]:
        assert len(samples) == BLOCK
        assert samples[0] == value(position)
        self.searched += range(position, position + BLOCK)
        return [self.finds[position]] if position in self.finds else []


def value(position: int) -> int:
    return position % 32_749


class World:
    """A Hearing with a microphone whose samples tell their own position."""

    def __init__(
        self, finder: SpeechFinder, over: SpeechFinder | None = None, canceller: Canceller | None = None
    ) -> None:
        self.found: list[Event] = []
        self.uplink = Uplink()
        self.position = 0
        self.state = State()
        self.hearing = Hearing(
            self.uplink, None, finder, self.dispatch, asyncio.get_running_loop(), over=over, canceller=canceller
        )

    def dispatch(self, event: Event) -> None:
        self.found.append(event)
        if isinstance(event, SpeechStopped):  # as the core does
            self.decide(Phase.THINKING)

    def decide(self, phase: Phase, window: Window | None = None, *, muted: bool = False, written: bool = False) -> None:
        self.state = State(phase=phase, window=window, muted=muted, written=written)
        self.hearing.follow(self.state)

    def listen(self, since: int | None) -> None:
        self.decide(Phase.LISTENING, Window(since, armed=True))

    def hear(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            samples = np.array([value(at) for at in range(self.position, self.position + BLOCK)], np.int16)
            self.hearing.block(Block(self.position, to_bytes(samples), self.position / 16_000))
            self.position += BLOCK

    def sound(self, loud: bool, blocks: int) -> None:
        for _ in range(blocks):
            samples = np.tile(np.array([9000, -9000] if loud else [3, -3], np.int16), BLOCK // 2)
            self.hearing.block(Block(self.position, to_bytes(samples), self.position / 16_000))
            self.position += BLOCK


def in_world(finder: SpeechFinder, test: Callable[[World], Awaitable[None]], over: SpeechFinder | None = None) -> World:
    async def main() -> World:
        world = World(finder, over)
        await test(world)
        await asyncio.sleep(0)
        return world

    return run_virtual(main())
