"""What is to be heard of what happens: a table, pure as the lights' scenes are.

Earcons say what the box does. Messages say what is wrong, to somebody who has just tried to use it: they answer an
attempt and never come by themselves, so none is heard at three in the morning."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from voicebox.core.circumstances import why
from voicebox.core.events import (
    LAST_MINUTES,
    ButtonHeld,
    ButtonPressed,
    ButtonTapped,
    Category,
    Device,
    DeviceLost,
    DeviceReady,
    Event,
    MuteChanged,
    SessionEnded,
    SessionReady,
    SessionWarning,
    StopRequested,
    TimerExpired,
    WakeDetected,
)
from voicebox.core.moves import device_fault, waited_for
from voicebox.core.state import Fault, Phase, State


class Cue(StrEnum):
    """Each is the name of a sound's file."""

    WAKE = "wake"  # the wake word was heard: go on
    BUTTON = "button"  # so was the button
    END = "end"  # the microphone is closed: the conversation is over
    ERROR = "error"  # … because something went wrong
    MUTE = "mute"
    UNMUTE = "unmute"
    LAST_MINUTE = "last_minute"
    # spoken
    NO_NETWORK = "no_network"
    WRONG_TOKEN = "wrong_token"  # noqa: S105  # a file's name
    CLOCK_WRONG = "clock_wrong"
    SERVER_BUSY = "server_busy"
    NO_MICROPHONE = "no_microphone"
    USED_UP = "used_up"
    UPDATE_NEEDED = "update_needed"


MESSAGES = frozenset(
    {
        Cue.NO_NETWORK,
        Cue.WRONG_TOKEN,
        Cue.CLOCK_WRONG,
        Cue.SERVER_BUSY,
        Cue.NO_MICROPHONE,
        Cue.USED_UP,
        Cue.UPDATE_NEEDED,
    }
)
"""The spoken ones; the others are earcons."""

OPENING = frozenset({Cue.WAKE, Cue.BUTTON})
"""Those heard while the microphone is open: without echo cancellation the service hears them too."""

FAULTS: dict[Fault, Cue] = {
    Fault.NO_MICROPHONE: Cue.NO_MICROPHONE,
    Fault.NO_SPEAKER: Cue.ERROR,
    Fault.REFUSED: Cue.ERROR,  # a refused token has a message of its own
    Fault.OFFLINE: Cue.NO_NETWORK,
    Fault.NO_REPLY: Cue.ERROR,
    Fault.BUSY: Cue.SERVER_BUSY,
    Fault.USED_UP: Cue.USED_UP,
    Fault.CLOCK_WRONG: Cue.CLOCK_WRONG,
    Fault.UPDATE_NEEDED: Cue.UPDATE_NEEDED,
}
"""What is heard of a conversation that a fault has ended."""


def _always(_before: State, _event: Event, _after: State) -> bool:
    return True


def _opened(before: State, _event: Event, after: State) -> bool:
    """Somebody here has got the box to listen."""
    deaf = (Phase.IDLE, Phase.THINKING, Phase.SPEAKING)
    return before.phase in deaf and after.phase in (Phase.CONNECTING, Phase.LISTENING)


def _in_vain(before: State, _event: Event, after: State) -> bool:
    return before.phase is Phase.IDLE is after.phase


def _without_microphone(before: State, event: Event, after: State) -> bool:
    return _in_vain(before, event, after) and Device.MICROPHONE in after.lost


def _muted(before: State, _event: MuteChanged, after: State) -> bool:
    return after.muted and not before.muted


def _unmuted(before: State, _event: MuteChanged, after: State) -> bool:
    return before.muted and not after.muted


def _while_muted(before: State, event: Event, after: State) -> bool:
    return _in_vain(before, event, after) and after.muted


def _last_minute(_before: State, event: SessionWarning, _after: State) -> bool:
    return event.kind == LAST_MINUTES


def _over(before: State, _event: Event, after: State) -> bool:
    return before.phase is not Phase.IDLE and after.phase is Phase.IDLE


def _token_refused(before: State, event: SessionEnded, after: State) -> bool:
    return _over(before, event, after) and event.category is Category.AUTH


def _failed(before: State, event: Event, after: State) -> bool:
    return _over(before, event, after) and _fault(before, event) is not None


def _fault(before: State, event: Event) -> Fault | None:
    """The fault that this event is; an older one may hide it on the light."""
    match event:
        case SessionEnded():
            return why(event)
        case TimerExpired():
            return waited_for(before)
        case DeviceLost():
            return device_fault(frozenset({event.device}))
        case _:
            return None


Row = tuple[type[Event], Callable[[State, Any, State], bool], Cue | None]

TABLE: tuple[Row, ...] = (
    (StopRequested, _always, None),
    (MuteChanged, _muted, Cue.MUTE),
    (MuteChanged, _unmuted, Cue.UNMUTE),
    (WakeDetected, _opened, Cue.WAKE),
    (ButtonPressed, _opened, Cue.BUTTON),
    (ButtonTapped, _opened, Cue.BUTTON),
    (ButtonHeld, _opened, Cue.BUTTON),
    (ButtonPressed, _without_microphone, Cue.NO_MICROPHONE),
    (ButtonPressed, _while_muted, Cue.MUTE),
    (SessionWarning, _last_minute, Cue.LAST_MINUTE),
    (SessionEnded, _token_refused, Cue.WRONG_TOKEN),
    (Event, _failed, Cue.ERROR),
    (Event, _over, Cue.END),
)
"""What happened, on which condition, and what is heard; the first row that fits counts. An ERROR here is heard as
FAULTS says of its fault."""


def cue(before: State, event: Event, after: State) -> Cue | None:
    """What the step from ``before`` to ``after`` sounds like. A conversation in writing sounds like nothing."""
    for kind, fits, heard in TABLE:
        if isinstance(event, kind) and fits(before, event, after):
            fault = _fault(before, event) if heard is Cue.ERROR else None
            silent = before.written and kind is not MuteChanged
            return None if silent else FAULTS[fault] if fault else heard
    return None


AGAIN_AFTER = 1800.0
"""Seconds after which a message may be said once more though its fault was never cured."""


class Said:
    """Sees to it that no message is said in a loop. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._at: dict[Cue, float] = {}

    def due(self, message: Cue, now: float) -> bool:
        """Not said since its fault was last cured, or a long while ago."""
        return message not in self._at or now - self._at[message] >= AGAIN_AFTER

    def note(self, message: Cue, now: float) -> None:
        """It was heard to its end."""
        self._at[message] = now

    def follow(self, event: Event) -> None:
        """Forget what is cured: by a session, all but the microphone."""
        if isinstance(event, SessionReady):
            self._at = {cue: at for cue, at in self._at.items() if cue is Cue.NO_MICROPHONE}
        elif isinstance(event, DeviceReady) and event.device is Device.MICROPHONE:
            self._at.pop(Cue.NO_MICROPHONE, None)
