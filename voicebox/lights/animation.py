"""Plays patterns on the event loop. Wakes only when the picture changes: a still light costs nothing."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf, isinf

from voicebox.core.scenes import Scene
from voicebox.lights.base import LightOptions
from voicebox.lights.patterns import BLACK, FRAME, MAGENTA, PATTERNS, Colour, Pattern, colour_at, dimmed, next_change

_log = logging.getLogger(__name__)

_PAST = 0.001
"""Seconds by which a wake-up aims past the border of two steps: rounding must not land it before."""

SEEN = 0.25
"""Seconds for which a passing pattern is seen, whatever comes meanwhile."""

LEAST_LAMP = 0.2
"""The privacy lamp is never dimmed below this."""


class Animation:
    """Hands ``draw`` the colour of the moment, at once on ``play`` and then whenever it changes. ``look_again`` says in
    how many seconds a picture that stands still, and is lit, is to be drawn anew; ``inf``: never."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        draw: Callable[[Colour], object],
        *,
        frame: float = FRAME,
        look_again: Callable[[], float] = lambda: inf,
    ) -> None:
        self._loop, self._draw, self._frame_seconds, self._look_again = loop, draw, frame, look_again
        self._timer: asyncio.TimerHandle | None = None
        self._steady: Pattern | None = None
        self._passing: Pattern | None = None
        self._began = 0.0  # loop time, of what is shown
        self._over = 0.0  # loop time at which what passes is over

    def play(self, pattern: Pattern) -> None:
        """Show ``pattern`` from its beginning, in place of whatever was shown; what passes is seen for SEEN first."""
        self._steady = pattern
        if self._passing is None:
            self._began = self._loop.time()
        else:
            self._over = min(self._over, self._began + SEEN)
        self._frame()

    def flash(self, pattern: Pattern) -> None:
        """Show ``pattern`` once, then the one last given to ``play``, from its beginning."""
        self._passing = pattern
        self._began = self._loop.time()
        self._over = self._began + pattern.seconds
        self._frame()

    def stop(self) -> None:
        """Freeze the picture."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _frame(self) -> None:
        self.stop()
        now = self._loop.time()
        if self._passing is not None and now >= self._over:
            self._passing, self._began = None, now
        pattern = self._passing or self._steady
        if pattern is None:
            self._draw(BLACK)
            return
        colour = colour_at(pattern, now - self._began)
        pause = self._pause(pattern, now, lit=any(colour))
        # Before drawing: a picture that fails must not be the last one.
        self._timer = None if isinf(pause) else self._loop.call_later(pause + _PAST, self._frame)
        self._draw(colour)

    def _pause(self, pattern: Pattern, now: float, *, lit: bool) -> float:
        pause = next_change(pattern, now - self._began, self._frame_seconds)
        if pattern is self._passing:
            return min(pause, self._over - now)
        return min(pause, self._look_again()) if lit and isinf(pause) else pause


class AnimatedLight(ABC):
    """A light that is a colour at a time: all but how its hardware is told. ``paint`` may raise: that is logged once,
    and tried again with the next picture."""

    name = "its pins"
    """Where the light hangs, for the log."""

    def __init__(self, options: LightOptions, loop: asyncio.AbstractEventLoop, frame: float = FRAME) -> None:
        self._dimmer = options.dimmer
        self._tells = options.tells_sending
        self._sending = self._closed = self._failed = False
        self._scene: Scene | None = None
        self._colour = BLACK
        self._animation = Animation(loop, self._draw, frame=frame, look_again=options.dimmer.next_change)

    @abstractmethod
    def paint(self, colour: Colour, lamp: Colour | None) -> None:
        """Show ``colour``, as the eye sees it, and the privacy ``lamp`` (black: dark; None: it is not shown here)."""

    @abstractmethod
    def release(self) -> None:
        """Give the hardware back."""

    def show(self, scene: Scene) -> None:
        if not self._closed and scene is not self._scene:
            self._scene = scene
            self._animation.play(PATTERNS[scene])

    def flash(self, scene: Scene) -> None:
        if not self._closed:
            self._animation.flash(PATTERNS[scene])

    def sending(self, on: bool) -> bool:
        if self._closed or not self._tells:
            return False
        self._sending = on
        return self._draw(self._colour)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._animation.stop()
        self._sending = False
        self._draw(BLACK)
        self._guarded(self.release)

    def _draw(self, colour: Colour) -> bool:
        self._colour = colour
        level = self._dimmer.level()
        lit = dimmed(MAGENTA, max(level, LEAST_LAMP)) if self._sending else BLACK
        return self._guarded(lambda: self.paint(dimmed(colour, level), lit if self._tells else None))

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Whether ``work`` went well. A light that fails must not stop a conversation."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 # lgpio's errors have no base class but Exception
            if not self._failed:
                _log.warning("The light on %s fails: %s: %s", self.name, type(error).__name__, error)
            self._failed = True
            return False
        return True
