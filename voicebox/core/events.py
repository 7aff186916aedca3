"""Everything that can happen to the box. Immutable values; adapters, devices and timers make them, the core reads them.

Microphone positions (``at``) count samples at 16 kHz since capture began. Reply audio is s16le mono at 24 kHz.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Source(StrEnum):
    """Who cut a reply."""

    SERVER = "server"
    WAKE_WORD = "wake_word"
    BUTTON = "button"
    SPEECH = "speech"  # the device heard somebody speak over it
    TEXT = "text"


class Timer(StrEnum):
    """The timers of the core; setting one replaces its earlier deadline."""

    OVERLAP = "overlap"  # how long a reply may be held or ducked because somebody speaks over it
    PHASE = "phase"  # how long the present phase may last
    FAULT = "fault"  # how long a passing fault stays on the light


class Device(StrEnum):
    MICROPHONE = "microphone"
    SPEAKER = "speaker"


class Category(StrEnum):
    """What kind of trouble a service reports."""

    AUTH = "auth"
    CONFIG = "config"
    NOT_FOUND = "not_found"
    RATE_LIMIT = "rate_limit"
    SERVER = "server"
    NETWORK = "network"
    PROTOCOL = "protocol"
    QUOTA = "quota"
    CLOCK = "clock"  # ours is wrong
    UPDATE = "update"  # the service wants a newer voicebox


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""


# --- what the owner does -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WakeDetected(Event):
    model: str
    score: float
    at: int  # microphone position of the last sample scored


@dataclass(frozen=True, slots=True)
class ButtonPressed(Event):
    """The button went down: acted on at once where that cannot be wrong. Then exactly one of these follows:
    ButtonTapped, or ButtonHeld and later ButtonReleased."""

    at: int  # microphone position of the press


@dataclass(frozen=True, slots=True)
class ButtonTapped(Event):
    at: int  # microphone position of the press


@dataclass(frozen=True, slots=True)
class ButtonHeld(Event):
    at: int  # microphone position of the press, not of the moment the hold was noticed


@dataclass(frozen=True, slots=True)
class ButtonReleased(Event):
    """The end of a hold (a tap has none)."""

    at: int


@dataclass(frozen=True, slots=True)
class SpeechStarted(Event):
    """The device hears someone speak. For a service that streams this only stretches the listening deadline; for one
    that takes whole utterances it opens the window. Over a reply it may be an interruption."""

    at: int = 0  # microphone position of the first sample of speech


@dataclass(frozen=True, slots=True)
class SpeechStopped(Event):
    at: int = 0  # microphone position up to which it belongs to the utterance


@dataclass(frozen=True, slots=True)
class TextAsked(Event):
    """The owner says something in writing."""

    text: str


@dataclass(frozen=True, slots=True)
class MuteChanged(Event):
    muted: bool


@dataclass(frozen=True, slots=True)
class HangUp(Event):
    """The owner wants silence: whatever conversation there is, it is over."""


@dataclass(frozen=True, slots=True)
class StopRequested(Event):
    """The process is to end."""


# --- devices and timers --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeakerDrained(Event):
    """The card has played the last sample it was given."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class DeviceLost(Event):
    device: Device
    message: str


@dataclass(frozen=True, slots=True)
class DeviceReady(Event):
    device: Device


@dataclass(frozen=True, slots=True)
class TimerExpired(Event):
    timer: Timer


# --- the session ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionReady(Event):
    """The service has accepted us; audio may flow."""

    session_id: str = ""
    participants: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionLost(Event):
    """The link broke; the session room redials in ``retry_in`` seconds."""

    message: str
    retry_in: float
    category: Category | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """Over for good: the service hung up as agreed, or it is of no use to try again (``category`` says why)."""

    message: str
    category: Category | None = None


@dataclass(frozen=True, slots=True)
class ServiceError(Event):
    """The service complains but the session lives. ``details``: what it says beside, without secrets."""

    category: Category
    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)


LAST_MINUTES = "minutes"
"""The kind of SessionWarning that says that the minutes allowed for today are nearly used up."""


@dataclass(frozen=True, slots=True)
class SessionWarning(Event):
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionUpdated(Event):
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Transcript(Event):
    """What was said, by ``role`` "user" or "assistant"; ``final``: they have finished. ``details``: what else the
    service says of it, in its own words: confidence, the time of each word, …"""

    role: str
    text: str
    speaker: str = ""
    timestamp: str = ""
    final: bool = True
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ReplyStarted(Event):
    reply_id: int


@dataclass(frozen=True, slots=True)
class ReplyText(Event):
    reply_id: int
    text: str
    timestamp: str = ""


@dataclass(frozen=True, slots=True)
class ReplyAudio(Event):
    reply_id: int
    pcm: bytes = field(repr=False)  # s16le mono 24 kHz, an even number of bytes


@dataclass(frozen=True, slots=True)
class ReplyDone(Event):
    """The service has sent all of this reply."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class Interrupted(Event):
    """The service cut the reply: everything up to ``reply_id`` is dead."""

    reply_id: int
    source: Source = Source.SERVER


@dataclass(frozen=True, slots=True)
class ParticipantChanged(Event):
    participant: Any
    action: str


@dataclass(frozen=True, slots=True)
class TaskCreated(Event):
    task: Any


@dataclass(frozen=True, slots=True)
class TurnStarted(Event):
    """The service takes what it hears for the user's turn."""

    turn_id: str = ""


@dataclass(frozen=True, slots=True)
class TurnEnded(Event):
    """… and that is over: after ``duration`` seconds, ``complete`` if it came to its natural end."""

    turn_id: str = ""
    duration: float | None = None
    complete: bool | None = None


@dataclass(frozen=True, slots=True)
class EmotionUpdated(Event):
    """How the user sounds. Scores are 0 to 1, ``top`` the strongest first; times are seconds."""

    top: tuple[tuple[str, float], ...] = ()
    all: Mapping[str, float] = field(default_factory=dict, hash=False)
    processing_time: float | None = None
    utterance_duration: float | None = None
    connection_id: str = ""
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus(Event):
    """What the service says it is doing, e.g. "processing"."""

    status: str
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class VendorRaw(Event):
    """A message no other event covers, kept whole so that nothing is lost."""

    type: str
    message: Mapping[str, Any]
