"""The wake word's side of the microphone: hops are whole and contiguous, and a gap is a new beginning."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK, Block
from voicebox.core.events import Event, WakeDetected
from voicebox.uplink import JUDGED, MAX_LAG, STUCK_AFTER, Ring, WakeListener, silence
from voicebox.virtualtime import InlineExecutor, run_virtual
from voicebox.wake.base import HOP, Detection

T = TypeVar("T")

CODE = 32_749
"""Sample value = position mod this prime."""


def recorded(start: int, count: int) -> NDArray[np.int16]:
    return (np.arange(start, start + count) % CODE).astype(np.int16)


class Listening:
    """A WakeListener whose engine notes all it gets. ``detect(first sample)`` decides what it hears."""

    def __init__(
        self,
        executor: Executor | None = None,
        detect: Callable[[int], bool] = lambda _: False,
        own_voice: Callable[[int, int], NDArray[np.int16] | None] = silence,
    ) -> None:
        self.events: list[Event] = []
        self.hops: list[NDArray[np.int16] | str] = []
        self.playing: list[bool] = []
        self._detect = detect
        self.glances: Callable[[int], bool] = lambda _: False
        self.ring = Ring()
        self.listener = WakeListener(self, self.events.append, executor or InlineExecutor(), self.ring, own_voice)
        self.position = 0

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        self.playing.append(playing)
        self.hops.append(samples)
        return [Detection("test", 0.9)] if self._detect(int(samples[0])) else []

    def glance(self, samples: NDArray[np.int16]) -> bool:
        quiet = self.glances(int(samples[0]))
        if quiet:
            self.hops.append(samples)
        return quiet

    def hears(self, samples: NDArray[np.int16]) -> dict[str, float]:
        return {"test": float(np.abs(samples).max()) / 32768}

    @property
    def scores(self) -> dict[str, float]:
        return {}

    def reset(self) -> None:
        self.hops.append("reset")

    def hear(self, blocks: int, *, size: int = BLOCK, gap: int = 0) -> None:
        self.position += gap
        for _ in range(blocks):
            self.ring.write(self.position, recorded(self.position, size))
            self.listener.block(Block(self.position, recorded(self.position, size).tobytes(), self.position / 16_000))
            self.position += size

    async def work(self) -> None:
        """Let the listener do all it can do now."""
        task = asyncio.ensure_future(self.listener.run())
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait({task})


def heard(hops: list[NDArray[np.int16] | str]) -> list[str | tuple[int, int]]:
    """Stretches of the stream as (first sample, samples), and resets."""
    stretches: list[str | tuple[int, int]] = []
    for hop in hops:
        if isinstance(hop, str):
            stretches.append(hop)
            continue
        assert hop.shape == (HOP,)
        last = stretches[-1] if stretches else "reset"
        if not isinstance(last, str) and (last[0] + last[1]) % CODE == hop[0]:
            stretches[-1] = (last[0], last[1] + HOP)
        else:
            stretches.append((int(hop[0]), HOP))  # the first sample's value: its position mod CODE
        assert np.array_equal(hop, recorded(int(hop[0]), HOP))
    return stretches


@given(st.integers(1, 2_000), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_hops_are_exact_and_contiguous_whatever_the_blocks(size: int, blocks: int) -> None:
    async def main() -> None:
        engine = Listening()
        for _ in range(blocks):
            engine.hear(1, size=size)
            await engine.work()
        total = size * blocks // HOP * HOP
        assert heard(engine.hops) == ([(0, total)] if total else [])

    run_virtual(main())


def test_a_detection_says_where_its_last_sample_was() -> None:
    async def main() -> list[Event]:
        engine = Listening(detect=lambda first: first == 2 * HOP)
        engine.hear(20)
        await engine.work()
        return engine.events

    assert run_virtual(main()) == [WakeDetected("test", 0.9, 3 * HOP)]


def test_hops_that_need_a_glance_only_change_no_thread() -> None:
    """In their order with the others, which do."""

    async def main() -> Listening:
        class Counting(InlineExecutor):
            jobs = 0

            def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
                self.jobs += 1
                return super().submit(fn, *args, **kwargs)

        executor = Counting()
        engine = Listening(executor, detect=lambda first: first == 3 * HOP)
        engine.glances = lambda first: first != 3 * HOP
        engine.hear(40)
        await engine.work()
        assert executor.jobs == 1
        return engine

    engine = run_virtual(main())
    assert heard(engine.hops) == [(0, 10 * HOP)]
    assert engine.events == [WakeDetected("test", 0.9, 4 * HOP)]


@pytest.mark.parametrize(("said", "wakes"), [(None, True), (0, True), (1_600, True), (9_000, False)])
def test_the_boxs_own_voice_does_not_wake_it(said: int | None, wakes: bool) -> None:
    """``said``: how much like the wake word what the box itself said sounds to the engine, of 32768."""
    asked = []

    def own_voice(position: int, count: int) -> NDArray[np.int16] | None:
        asked.append((position, count))
        return None if said is None else np.full(count, said, np.int16)

    async def main() -> Listening:
        engine = Listening(detect=lambda first: first == 2 * HOP, own_voice=own_voice)
        engine.hear(20)
        await engine.work()
        return engine

    engine = run_virtual(main())
    assert bool(engine.events) == wakes
    assert engine.listener.ours == (not wakes)
    assert asked == [(3 * HOP, JUDGED)]  # not of every hop


def test_the_engine_is_told_while_the_box_plays_something() -> None:
    async def main() -> list[bool]:
        engine = Listening()
        for playing in (False, True, False):
            engine.listener.playing = playing
            engine.hear(4)
            await engine.work()
        return engine.playing

    assert run_virtual(main()) == [False, True, False]


def test_after_a_gap_the_engine_starts_afresh() -> None:
    """A33."""

    async def main() -> list[str | tuple[int, int]]:
        engine = Listening()
        engine.hear(10)
        await engine.work()
        engine.hear(10, gap=BLOCK)
        await engine.work()
        return heard(engine.hops)

    assert run_virtual(main()) == [(0, 2 * HOP), "reset", (11 * BLOCK, 2 * HOP)]


def test_an_engine_that_lags_drops_to_live() -> None:
    """S69."""

    async def main() -> Listening:
        engine = Listening()
        engine.hear(4 * (MAX_LAG + 1))  # 26 hops, none taken
        engine.hear(8)
        await engine.work()
        return engine

    engine = run_virtual(main())
    assert engine.listener.skipped == MAX_LAG + 1
    assert heard(engine.hops) == ["reset", ((MAX_LAG + 1) * HOP % CODE, 2 * HOP)]


def test_muted_it_hears_nothing_and_afterwards_nothing_of_before() -> None:
    async def main() -> list[str | tuple[int, int]]:
        engine = Listening()
        engine.hear(4)
        await engine.work()
        engine.hear(2)  # half a hop, still waiting
        engine.listener.muted = True
        engine.hear(40)
        await engine.work()
        engine.listener.muted = False
        engine.hear(8)
        await engine.work()
        return heard(engine.hops)

    assert run_virtual(main()) == [(0, HOP), "reset", (46 * BLOCK, 2 * HOP)]


class Hanging(Executor):
    """Takes work and never finishes it."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return Future()


def test_an_engine_that_hangs_is_noticed() -> None:
    async def main() -> None:
        engine = Listening(executor=Hanging())
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(engine.listener.run())
        await asyncio.sleep(100)
        assert not engine.listener.stuck(loop.time())  # it has nothing to do
        engine.hear(4)
        await asyncio.sleep(STUCK_AFTER)
        assert not engine.listener.stuck(loop.time())
        await asyncio.sleep(1)
        assert engine.listener.stuck(loop.time())
        task.cancel()

    run_virtual(main())


def test_an_engine_that_fails_is_not_swallowed() -> None:
    async def main() -> None:
        engine = Listening(detect=lambda _: bool(1 / 0))
        engine.hear(4)
        await engine.listener.run()

    with pytest.raises(ZeroDivisionError):
        run_virtual(main())
