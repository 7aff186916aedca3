"""When to dial again after a connection failed or broke, and how to tell the owner why."""

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import Callable

from voicebox.redact import redact
from voicebox.services.base import Verdict

JUMP_EVERY = 5.0  # somebody waking the box may jump the queue this often (seconds)
HEALTHY = 30.0  # a session that lived this long starts the back-off anew

_ERRNO = re.compile(r"\[Errno (-?\d+)\]")
_LONGEST_EXPONENT = 16  # the delays have long reached their limit; a box that runs for a year must not overflow


def backoff(attempt: int, *, server_side: bool, retry_after: float, dice: float) -> float:
    """Seconds to wait before redialling; ``attempt`` counts from 0, ``dice`` is uniform in [0, 1).

    Our link went: quickly, U(0, 2 s), doubling to a minute. The service ended it: all its boxes will come back at once,
    so first spread over a minute, then 10 s and more.
    """
    doubled = 2.0 ** min(attempt, _LONGEST_EXPONENT)
    if not server_side:
        delay = dice * min(60.0, 2.0 * doubled)
    elif attempt == 0:
        delay = dice * 60.0
    else:
        delay = 10.0 + dice * min(120.0, 30.0 * doubled)
    return max(delay, retry_after)


def essence(error: Exception) -> Exception:
    """Of the one error that asyncio makes of what all of a server's addresses said, the part that counts: that somebody
    refused, otherwise the first. Any other error as it is."""
    if not isinstance(error, OSError) or error.errno is not None:
        return error
    numbers = [int(number) for number in _ERRNO.findall(str(error))]
    if not numbers:
        return error
    number = errno.ECONNREFUSED if errno.ECONNREFUSED in numbers else numbers[0]
    return OSError(number, os.strerror(number))


def explain(error: Exception) -> str:
    """Why a connection failed, for the owner."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not valid: {error.verify_message} (is this box's clock right?)"
    if isinstance(error, socket.gaierror):
        return "the server's name cannot be resolved: no network, or a typing error in the url"
    if isinstance(error, ConnectionRefusedError):
        return "nobody answers at the server's address (connection refused)"
    if isinstance(error, OSError):
        return redact(error.strerror or str(error))
    return redact(str(error)) or type(error).__name__


class Redial:
    """Waits for the time to dial again. All times are loop times in seconds."""

    def __init__(self, dice: Callable[[], float]) -> None:
        """``dice``: uniform in [0, 1)."""
        self.attempt = 0
        self._dice = dice
        self._not_before = 0.0
        self._last_jump = float("-inf")
        self._jump = asyncio.Event()

    def jump(self) -> None:
        """Somebody stands there and asks: dial now, if that was not asked for a moment ago."""
        now = asyncio.get_running_loop().time()
        if now - self._last_jump >= JUMP_EVERY:
            self._last_jump = now
            self._jump.set()

    async def turn(self, unwanted: asyncio.Event) -> None:
        """Wait until it is time, somebody jumps the queue, or ``unwanted`` is set."""
        delay = self._not_before - asyncio.get_running_loop().time()
        if delay > 0 and not self._jump.is_set():
            waiters = {asyncio.ensure_future(event.wait()) for event in (self._jump, unwanted)}
            try:
                await asyncio.wait(waiters, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for waiter in waiters:
                    waiter.cancel()
        self._jump.clear()

    def ready(self) -> None:
        """A session is up: whoever jumped the queue has shown that there is none."""
        self._not_before = 0.0

    def ended(self, lived: float, *, in_good_order: bool) -> None:
        """A session that was up for ``lived`` seconds is over."""
        if lived > HEALTHY or in_good_order:
            self.attempt = 0

    def failed(self, verdict: Verdict) -> float:
        """Plan the next attempt; returns the seconds until then."""
        delay = backoff(
            self.attempt, server_side=verdict.server_side, retry_after=verdict.retry_after, dice=self._dice()
        )
        self.attempt += 1
        self._not_before = asyncio.get_running_loop().time() + delay
        return delay
