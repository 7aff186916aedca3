"""The button: edges on a GPIO pin become events of the core.

A press says so at once (ButtonPressed); what kind of press it was follows: ButtonTapped if it is over before ``hold``
seconds, else ButtonHeld and, when it ends, ButtonReleased. Edges only say that it is time to look at the pin's level.
It is looked at anyway now and then, so a lost edge can neither leave the button pressed nor deaf; and a press that is
over before a busy loop gets round to looking is known by the times of its edges.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from voicebox import pins
from voicebox.core.events import ButtonHeld, ButtonPressed, ButtonReleased, ButtonTapped, Event

_log = logging.getLogger(__name__)

SETTLE = 0.05
"""Seconds after a change in which the contact may bounce as it likes. Also the limit of 20 events a second."""

POLL = 0.1
"""Seconds between two looks at a button that is down."""

SLOW_POLL = 1.0
"""Seconds between two looks at a button that is up, or a switch."""


class _Is(Enum):
    UP = "up"
    PRESSED = "pressed"  # a tap, unless it lasts
    HELD = "held"
    IGNORED = "ignored"  # stuck, or down from the beginning: until it is let go


@dataclass(frozen=True, slots=True)
class ButtonOptions:
    """What the owner may set."""

    pin: int  # BCM number
    pull_up: bool = True  # the button connects the pin to ground; False: to 3.3 V
    hold: float = 0.4  # seconds from which a press is no tap
    max_hold: float = 60.0  # seconds from which a button that is down is stuck
    name: str = "button"  # the section of the settings


class _Stopwatch:
    """How long presses last that nobody has seen yet. Told on gpiozero's thread, asked on the loop's."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._longest = 0.0

    def edge(self, ticks: float, *, down: bool) -> None:
        """``ticks``: seconds, by the kernel's clock."""
        if down:
            self._began = ticks
        elif self._began is not None:
            self._longest, self._began = max(self._longest, ticks - self._began), None

    def look(self, *, down: bool) -> float:
        """The longest press since the last look, in seconds. One that goes on has now been seen."""
        longest, self._longest = self._longest, 0.0
        if down:
            self._began = None
        return longest


class Button:
    """Watches one button.

    ``position`` gives the microphone position; it is also called on gpiozero's thread, so it must be a plain read.
    ``dispatch`` is called on the loop's thread. After ``max_hold`` seconds a hold ends and the button is ignored until
    it really is let go, and so is one that is down from the beginning. Raises DeviceError if the pin cannot be had.
    """

    def __init__(
        self,
        options: ButtonOptions,
        *,
        position: Callable[[], int],
        dispatch: Callable[[Event], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._options = options
        self._position, self._dispatch, self._loop = position, dispatch, loop
        self._since = loop.time()  # when it went down
        self._at = 0  # … in microphone samples
        self._posted = self._complained = self._closed = False
        self._settling: asyncio.TimerHandle | None = None
        self._watching: asyncio.TimerHandle | None = None
        self._stopwatch = _Stopwatch()
        self._device = _open(options)
        self._device.pin.when_changed = self._edge
        self._is = _Is.IGNORED if self._device.is_active else _Is.UP
        self._watch(POLL)

    @property
    def is_down(self) -> bool:
        return bool(self._device.is_active)

    def close(self) -> None:
        """Give the pin back; no event comes after it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for timer in (self._settling, self._watching):
            if timer:
                timer.cancel()
        self._device.pin.when_changed = None
        self._device.close()

    def _edge(self, ticks: float, level: int) -> None:
        """On gpiozero's thread. However many edges there are, one post at a time wakes the loop."""
        self._stopwatch.edge(ticks, down=bool(level) is not self._options.pull_up)
        if self._posted or self._settling or self._closed:
            return
        at = self._position()
        self._posted = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._noticed, at)

    def _noticed(self, at: int) -> None:
        self._posted = False
        self._look(at)

    def _look(self, at: int) -> None:
        """Compare the level with what we know; after a change, let the contact settle and look again."""
        if self._closed or self._settling:
            return
        down = bool(self._device.is_active)
        was_down, missed = self._is is not _Is.UP, self._stopwatch.look(down=down) >= SETTLE
        if down is was_down and (was_down or not missed):
            return
        self._settling = self._loop.call_later(SETTLE, self._settled)
        if not was_down:
            self._press(at)
        if not down:
            self._release(at)

    def _settled(self) -> None:
        self._settling = None
        self._look(self._position())

    def _press(self, at: int) -> None:
        self._is, self._at, self._since = _Is.PRESSED, at, self._loop.time()
        self._watch(min(POLL, self._options.hold))
        self._dispatch(ButtonPressed(at))

    def _release(self, at: int) -> None:
        was, self._is = self._is, _Is.UP
        self._complained = False
        self._watch(SLOW_POLL)
        if was is not _Is.IGNORED:
            self._dispatch(ButtonReleased(at) if was is _Is.HELD else ButtonTapped(self._at))

    def _watch(self, seconds: float) -> None:
        if self._watching:
            self._watching.cancel()
        self._watching = self._loop.call_later(seconds, self._look_again)

    def _look_again(self) -> None:
        """See what an edge would have told that was lost; and a press that lasts: a hold, a button that is stuck."""
        self._look(self._position())
        if not self._closed:
            self._go_on_watching()

    def _go_on_watching(self) -> None:
        if self._is is _Is.UP:
            self._watch(SLOW_POLL)
            return
        age = self._loop.time() - self._since
        to_hold = self._options.hold - age if self._is is _Is.PRESSED else POLL
        self._watch(min(POLL, max(to_hold, 0.001)))  # at least 1 ms: rounding must not make it wait for nothing
        if to_hold <= 0:
            self._is = _Is.HELD
            self._dispatch(ButtonHeld(self._at))
        elif age >= self._options.max_hold and self._is is not _Is.PRESSED:
            self._stuck()

    def _stuck(self) -> None:
        was, self._is = self._is, _Is.IGNORED
        if not self._complained:
            self._complained = True
            _log.warning(
                "The button on GPIO%d has been down for %.0f s: ignored until it is let go. If nobody is pressing it, "
                "look at its wiring and at %s.pull_up.",
                self._options.pin,
                self._options.max_hold,
                self._options.name,
            )
        if was is _Is.HELD:
            self._dispatch(ButtonReleased(self._position()))


class MuteSwitch:
    """Watches a switch: ``told(closed)`` is called on the loop's thread, once before this returns and at every change.

    ``closed``: the contact connects the pin (to ground with ``pull_up``, else to 3.3 V). The level is looked at once a
    second anyway, so a lost edge delays it by no more. Raises DeviceError if the pin cannot be had.
    """

    def __init__(
        self, pin: int, *, pull_up: bool, told: Callable[[bool], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._told, self._loop = told, loop
        self._closed: bool | None = None
        self._watching: asyncio.TimerHandle | None = None
        self._device = _open_pin(f"The mute switch on GPIO{pin}", "mute_switch", pin, pull_up=pull_up)
        self._device.pin.when_changed = self._edge
        self._look()

    def close(self) -> None:
        """Give the pin back; nothing is told after it. Safe to call twice."""
        if self._watching:
            self._watching.cancel()
        self._told = lambda _closed: None
        if not self._device.closed:
            self._device.pin.when_changed = None
            self._device.close()

    def _edge(self, _ticks: object, _state: object) -> None:
        """On gpiozero's thread. The contact may still bounce: look when it has settled."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(self._soon)

    def _soon(self) -> None:
        if not self._device.closed:
            self._look_in(SETTLE)

    def _look(self) -> None:
        self._look_in(SLOW_POLL)
        closed = bool(self._device.is_active)
        if closed is not self._closed:
            self._closed = closed
            self._told(closed)

    def _look_in(self, seconds: float) -> None:
        if self._watching:
            self._watching.cancel()
        self._watching = self._loop.call_later(seconds, self._look)


def _open(options: ButtonOptions) -> Any:  # noqa: ANN401 # gpiozero has no types
    return _open_pin(f"The button on GPIO{options.pin}", options.name, options.pin, pull_up=options.pull_up)


def _open_pin(what: str, section: str, pin: int, *, pull_up: bool) -> Any:  # noqa: ANN401 # as above
    with pins.opening(what, f"Mend that, or set {section}.pin = false.", [pin]):
        from gpiozero import InputDevice  # noqa: PLC0415 # 50 ms and 11 MB, only for those who have a button

        return InputDevice(pin, pull_up=pull_up)
