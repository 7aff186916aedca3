"""An event loop whose clock jumps instead of waiting: an hour of conversation in seconds, the same on every machine.

Time advances only when nothing is ready to run. Real I/O (sockets between two parties in one process) is looked at
first and given a moment to settle, because the kernel hands a loopback packet over in microseconds of real time.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

_SETTLE = 0.0002
"""Real seconds a packet in flight inside this machine gets to arrive before the clock may jump."""

P = ParamSpec("P")
T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]  # chosen at run time
    """Never sleeps while a timer is pending: it moves the clock to the timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.settle = _SETTLE

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:  # nothing scheduled: wait for the world; something ready: only look
            return super().select(timeout)
        ready = super().select(0)
        if not ready and self.settle:
            time.sleep(self.settle)  # not as a timeout: epoll would make a whole millisecond of it
            ready = super().select(0)
        if not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop with a virtual ``time()`` that starts at 0. Work in other threads does not hold the clock: give
    it to an InlineExecutor (this loop's default)."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._default_executor = InlineExecutor()  # not set_default_executor: that one insists on a thread pool

    def hurry(self, on: bool) -> None:
        """Whether nothing can be in flight, as while nobody is connected: then the clock waits for no packets."""
        self._jumping.settle = 0.0 if on else _SETTLE

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.now


class InlineExecutor(Executor):
    """Runs submitted work at once, in the caller's thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # an executor hands every error to the future
            future.set_exception(error)
        return future


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on a VirtualTimeLoop."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
