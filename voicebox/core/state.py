"""What the box knows of itself: one frozen value, from which everything else (microphone gate, lights) is derived."""

from dataclasses import dataclass, field
from enum import StrEnum

from voicebox.core.events import Device, Source


class Phase(StrEnum):
    IDLE = "idle"
    CONNECTING = "connecting"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


class Link(StrEnum):
    DOWN = "down"
    UP = "up"
    BACKOFF = "backoff"


class Fault(StrEnum):
    """What is wrong, for the light and the status line."""

    NO_MICROPHONE = "no microphone"
    NO_SPEAKER = "no speaker"
    REFUSED = "refused by the service"  # token or configuration: stays until a session succeeds
    OFFLINE = "service cannot be reached"
    NO_REPLY = "the service did not answer"
    BUSY = "the service is busy"
    USED_UP = "the minutes allowed for today are used up"
    CLOCK_WRONG = "this box's clock is wrong"
    UPDATE_NEEDED = "the service wants a newer voicebox"


LASTING = frozenset({Fault.NO_MICROPHONE, Fault.NO_SPEAKER, Fault.REFUSED, Fault.UPDATE_NEEDED})
"""Faults that only the thing itself can clear; the others fade by the FAULT timer."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings the core needs. Samples are at 16 kHz, the rest are seconds."""

    full_duplex: bool = False
    interrupted_by: frozenset[Source] = frozenset({Source.SERVER, Source.WAKE_WORD, Source.BUTTON})  # while it is heard
    duck: bool = False  # a reply that speech may not cut is softer while somebody speaks over it
    endpointing: bool = False  # the service takes whole utterances: speech opens the window, its end closes it
    preroll: int = 24_000  # samples sent from before a wake word's last sample
    press_preroll: int = 4_800  # … from before a button press
    release_tail: int = 3_200  # … from after its release
    speech_preroll: int = 4_800  # … from before speech that opens the window
    near: int = 8_000  # … and so much more where the window then begins where it may
    connect_timeout: float = 15.0
    listen_timeout: float = 10.0
    utterance_timeout: float = 60.0
    reply_timeout: float = 30.0
    stall_timeout: float = 5.0
    fault_shown: float = 6.0
    follow_up: float = 8.0  # how long it listens after a reply; 0: the reply ends the conversation
    guard: float = 0.4  # speech over a reply that has stopped again by then was none


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of microphone audio the service may hear, in microphone positions.

    ``since`` None: from the moment the window opens. ``until`` None: no end yet; it may lie in the future.
    """

    since: int | None = None
    until: int | None = None
    armed: bool = False  # nothing may leave yet: speech will open it, not before ``since``


@dataclass(frozen=True, slots=True)
class Overlap:
    """Somebody speaks over a reply, from microphone position ``since`` on."""

    since: int
    held: bool  # the reply is silent meanwhile; else it is softer


@dataclass(frozen=True, slots=True)
class State:
    policy: Policy = field(default_factory=Policy, hash=False)  # seldom changes
    phase: Phase = Phase.IDLE
    link: Link = Link.DOWN
    trouble: Fault | None = None  # what keeps the link from coming up, if more is known than that it does not
    window: Window | None = None  # None: no microphone audio may leave the box
    muted: bool = False
    fault: Fault | None = None
    lost: frozenset[Device] = frozenset()
    newest: int = 0  # newest reply id heard of
    floor: int = 0  # newest dead reply id: audio at or below it is never heard
    complete: bool = True  # the service has sent all of ``newest``
    held: bool = False  # the button is down long enough to be push-to-talk
    texts: tuple[str, ...] = ()  # written turns that wait for the session
    written: bool = False  # the conversation is in writing: the microphone stays closed
    press_used: bool = False  # the press has already done something: its tap means nothing more
    follow_up: bool = False  # a reply was heard, and nobody has spoken since: LISTENING in case there is more to say
    overlap: Overlap | None = None  # somebody speaks over the reply

    @property
    def holding(self) -> bool:
        """The reply is silent until it is known whether somebody speaks."""
        return self.overlap is not None and self.overlap.held
