"""Pins and a loop that do only what a test tells them: gpiozero's own mock pins, and time that stands still."""

import asyncio
import heapq
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import TypeVarTuple
from unittest import mock

from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

_Ts = TypeVarTuple("_Ts")


class ManualLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that timers need; time passes only in ``advance``. ``wakeups`` counts what ran."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wakeups = 0
        self._queue: list[tuple[float, int, asyncio.Handle]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.now + delay, callback, args, self, context)
        self._push(self.now + delay, handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._push(self.now, handle)
        return handle

    @property
    def pending(self) -> int:
        """How many callbacks wait that nobody has cancelled."""
        return sum(not handle.cancelled() for _, _, handle in self._queue)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; everything due by then runs, in order, at its own time."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end + 1e-9:
            when, _, handle = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            if not handle.cancelled():
                self.wakeups += 1
                handle._run()
        self.now = max(self.now, end)

    def _push(self, when: float, handle: asyncio.Handle) -> None:
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, handle))

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio tells its loop."""


def manual_loop() -> ManualLoop:
    return ManualLoop()  # type: ignore[abstract]  # what it leaves out raises NotImplementedError at run time


@contextmanager
def mock_pins(pin_class: type[MockPin] = MockPWMPin) -> Iterator[MockFactory]:
    """gpiozero on its mock pins, by default with PWM; the pins of the last test forgotten."""
    factory = MockFactory(pin_class=pin_class)
    with mock.patch.dict(os.environ, GPIOZERO_PIN_FACTORY="mock"), mock.patch.object(Device, "pin_factory", factory):
        yield factory
        factory.reset()


@contextmanager
def no_pins() -> Iterator[None]:
    """A machine without GPIO, whatever it really is: gpiozero finds no driver of that name."""
    with mock.patch.dict(os.environ, GPIOZERO_PIN_FACTORY="nosuch"), mock.patch.object(Device, "pin_factory", None):
        yield
