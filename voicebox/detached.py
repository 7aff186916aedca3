"""Threads nobody waits for: a name look-up that hangs must not keep the process from ending."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Detached(ThreadPoolExecutor):
    """For ``loop.set_default_executor``, which insists on this base class: a daemon thread for each piece of work."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  # an executor hands every error to the future
                future.set_exception(error)

        threading.Thread(target=work, daemon=True, name="detached").start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # their signature
        """Returns at once; what still runs ends with the process."""
        del wait
        super().shutdown(wait=False, cancel_futures=cancel_futures)
