"""The privacy lamp in the hands of who sends: lit before the first byte of microphone audio, dark after the last."""

import asyncio
from collections.abc import Callable

LINGER = 0.3
"""Seconds for which the lamp stays lit after the last byte was handed over, so that one message is seen, too."""


class Telltale:
    """``lamp`` is told whether audio leaves the box, and says whether it may. ``in_flight`` counts the bytes that were
    handed over and have not left yet. One for each connection; all methods are called on the event loop."""

    def __init__(self, lamp: Callable[[bool], bool], in_flight: Callable[[], int]) -> None:
        self._lamp, self._in_flight = lamp, in_flight
        self._lit = False
        self._timer: asyncio.TimerHandle | None = None

    def on(self) -> bool:
        """Audio is about to be sent: whether it may. The lamp is lit when this returns."""
        self._keep()
        self._lit = True
        return self._lamp(True)  # asked each time: a lamp may fail at any

    def off(self) -> None:
        """No more audio is to be sent for now: dark LINGER later, or when all has left. Safe to say again and again."""
        if self._lit and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self._darken)

    def close(self) -> None:
        """Nothing can leave any more: dark at once."""
        self._keep()
        if self._lit:
            self._lit = False
            self._lamp(False)

    def _keep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _darken(self) -> None:
        self._timer = None
        if self._in_flight():
            self.off()
        else:
            self.close()
