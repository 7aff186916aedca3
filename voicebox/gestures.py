"""What a press means: the owner's table from tap, double tap, hold and long hold to what is to be done.

"talk" and "push_to_talk" are the core's: it is told of each press at once, since whoever interrupts will not wait for
what kind of press it becomes. Everything else is done when the kind is known.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from voicebox.core.events import ButtonHeld, ButtonPressed, ButtonReleased, ButtonTapped, Event

TALK, PUSH_TO_TALK = "talk", "push_to_talk"


@dataclass(frozen=True, slots=True)
class Meaning:
    """Names of actions; None: nothing. Times in seconds from when the button went down."""

    tap: str | None = TALK
    double_tap: str | None = None
    hold: str | None = PUSH_TO_TALK
    long_hold: str | None = None
    between: float = 0.35  # from the end of one tap to the next press, if they are a double tap
    hold_after: float = 0.4  # what the button itself takes for a hold
    long_after: float = 5.0


class Gestures:
    """Takes what one button reports, tells the core what concerns it, and has ``act`` do the rest, by name.

    A double tap is also a tap where tapping talks: the second one has just ended what the first began. Where tapping
    does something else it waits until no second tap can come."""

    def __init__(
        self,
        meaning: Meaning,
        *,
        act: Callable[[str], None],
        dispatch: Callable[[Event], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._meaning = meaning
        self._act = act
        self._dispatch = dispatch
        self._loop = loop
        self._tapped: asyncio.TimerHandle | None = None  # a first tap: until then a second may come
        self._is_second = False
        self._long: asyncio.TimerHandle | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case ButtonPressed():
                self._pressed(event)
            case ButtonTapped():
                self._was_tapped(event)
            case ButtonHeld():
                self._held(event)
            case ButtonReleased():
                self._released(event)

    def close(self) -> None:
        """Nothing more is done. Safe to call twice."""
        self._stop(self._tapped)
        self._stop(self._long)

    def _pressed(self, event: ButtonPressed) -> None:
        self._is_second = self._tapped is not None
        self._stop(self._tapped)
        self._tapped = None
        if self._meaning.tap == TALK:
            self._dispatch(event)

    def _was_tapped(self, event: ButtonTapped) -> None:
        meaning = self._meaning
        if meaning.tap == TALK:
            self._dispatch(event)
        if self._is_second:
            self._do(meaning.double_tap)
        elif meaning.double_tap:
            self._tapped = self._loop.call_later(meaning.between, self._no_second)
        elif meaning.tap != TALK:
            self._do(meaning.tap)

    def _no_second(self) -> None:
        self._tapped = None
        if self._meaning.tap != TALK:
            self._do(self._meaning.tap)

    def _held(self, event: ButtonHeld) -> None:
        meaning = self._meaning
        if self._is_second and meaning.tap != TALK:
            self._do(meaning.tap)  # the tap before was no half of a double tap after all
        if meaning.hold == PUSH_TO_TALK:
            if meaning.tap != TALK:
                self._dispatch(ButtonPressed(event.at))
            self._dispatch(event)
            return
        if meaning.tap == TALK:  # the core waits for what kind of press it was
            self._dispatch(ButtonTapped(event.at))
        self._do(meaning.hold)
        if meaning.long_hold:
            self._long = self._loop.call_later(meaning.long_after - meaning.hold_after, self._do, meaning.long_hold)

    def _released(self, event: ButtonReleased) -> None:
        self._stop(self._long)
        if self._meaning.hold == PUSH_TO_TALK:
            self._dispatch(event)

    def _do(self, action: str | None) -> None:
        if action:
            self._act(action)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()
