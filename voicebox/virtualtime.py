"""An event loop whose clock jumps instead of waiting: an hour of conversation in seconds, the same on every machine.

Time advances only when nothing is ready to run and nothing is on its way. Where both ends of every connection are in
this loop, the kernel knows; anything else gets a moment of real time before each jump.
"""

import asyncio
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

_MOMENT = 0.0002
"""Real seconds."""
_MOMENTS = 50
"""That segments on their way are waited for."""
_SEGMENTS = struct.Struct("136x2I")
"""Where tcp_info (linux/tcp.h) has how many went out and came in."""

P = ParamSpec("P")
T = TypeVar("T")

_Name = Any  # of a socket, as the socket module has it: its form depends on the family
_Pair = tuple[int, int]
"""File descriptors of both ends of a TCP connection."""


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]  # chosen at run time
    """Never sleeps while a timer is pending: it moves the clock to the timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._changed = False  # who is connected, since ``_pairs`` were found
        self._pairs: list[_Pair] | None = []  # None: not all that happens is ours

    def register(self, *arguments: Any) -> selectors.SelectorKey:
        self._changed = True
        return super().register(*arguments)

    def unregister(self, *arguments: Any) -> selectors.SelectorKey:
        self._changed = True
        return super().unregister(*arguments)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:  # nothing scheduled: wait for the world; something ready: only look
            return super().select(timeout)
        ready = super().select(0)
        if not ready and self._others():
            ready = self._moment()
        moments = 0
        while not ready and any(_on_its_way(pair) for pair in self._pairs or ()):
            ready = self._moment()
            moments += 1
            if moments == _MOMENTS:
                self._pairs = None  # it never comes, or is counted otherwise by this kernel
        if not ready:
            self.now += timeout
        return ready

    def _moment(self) -> list[tuple[selectors.SelectorKey, int]]:
        time.sleep(_MOMENT)  # not as a timeout: epoll would make a whole millisecond of it
        return super().select(0)

    def _others(self) -> bool:
        """Whether something may happen that no pair of ours tells of."""
        if self._changed:
            self._changed, self._pairs = False, _pairs(key.fd for key in self.get_map().values())
            return True  # who connects or leaves tells the other end so
        return self._pairs is None or threading.active_count() > 1


def _pairs(files: Iterable[int]) -> list[_Pair] | None:
    """The TCP connections; None if one of the files is not a socket, or connected to somebody else."""
    try:
        ends = {names: file for file in files if (names := _names(file))}
    except OSError:
        return None
    if any((there, here) not in ends for here, there in ends):
        return None
    tcp = {end: file for end, file in ends.items() if isinstance(end[0], tuple)}  # the rest is there when it is sent
    return [(file, tcp[there, here]) for (here, there), file in tcp.items() if here < there]


def _names(file: int) -> tuple[_Name, _Name] | None:
    """Its own and its peer's; None if it listens. OSError: it is not connected, or no socket."""
    borrowed = socket.socket(fileno=file)
    try:
        listens = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return None if listens else (borrowed.getsockname(), borrowed.getpeername())
    finally:
        borrowed.detach()


def _on_its_way(pair: _Pair) -> bool:
    """Whether one end has sent what has not come out at the other. The end that was called does not count the segment
    by which it answered."""
    (out, came), (others_out, others_came) = map(_segments, pair)
    return out + others_out != came + others_came - 1


def _segments(file: int) -> tuple[int, int]:
    """How many went out, and came in."""
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=file)
    try:
        out, came = _SEGMENTS.unpack(borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS.size))
    finally:
        borrowed.detach()
    return out, came


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop with a virtual ``time()`` that starts at 0. Work in other threads does not hold the clock: give
    it to an InlineExecutor (this loop's default)."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._default_executor = InlineExecutor()  # not set_default_executor: that one insists on a thread pool

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
