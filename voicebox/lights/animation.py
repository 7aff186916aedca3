"""Plays patterns on the event loop. Wakes only when the picture changes: a still light costs nothing."""

import asyncio
from collections.abc import Callable
from math import isinf

from voicebox.lights.patterns import Colour, Pattern, colour_at, next_change

_PAST = 0.001
"""Seconds by which a wake-up aims past the border of two steps: rounding must not land it before."""


class Animation:
    """Hands ``draw`` the colour of the moment, at once on ``play`` and then whenever it changes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, draw: Callable[[Colour], None]) -> None:
        self._loop = loop
        self._draw = draw
        self._timer: asyncio.TimerHandle | None = None

    def play(self, pattern: Pattern) -> None:
        """Show ``pattern`` from its beginning, in place of whatever was shown."""
        self.stop()
        self._frame(pattern, self._loop.time())

    def stop(self) -> None:
        """Freeze the picture."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _frame(self, pattern: Pattern, began: float) -> None:
        elapsed = self._loop.time() - began
        pause = next_change(pattern, elapsed)
        # Before drawing: a picture that fails must not be the last one.
        self._timer = None if isinf(pause) else self._loop.call_later(pause + _PAST, self._frame, pattern, began)
        self._draw(colour_at(pattern, elapsed))
