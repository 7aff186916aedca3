"""What the core asks of the rooms. Performed at once, in order, on the event loop; none of them may block."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicebox.core.events import Source, Timer


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""


@dataclass(frozen=True, slots=True)
class OpenSession(Command):
    """Dial now; where a redial is already waiting, stop waiting."""


@dataclass(frozen=True, slots=True)
class CloseSession(Command):
    """Say goodbye and hang up. Closing a closed session does nothing."""


@dataclass(frozen=True, slots=True)
class ForgetSpeech(Command):
    """Drop microphone audio not yet sent: it belongs to a conversation that broke off."""


@dataclass(frozen=True, slots=True)
class Play(Command):
    reply_id: int
    pcm: bytes = field(repr=False)  # s16le mono 24 kHz


@dataclass(frozen=True, slots=True)
class FinishReply(Command):
    """No more audio of this reply will come: report when it has been heard to its end."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class Flush(Command):
    """Silence, now: drop all queued sound of replies up to ``floor``."""

    floor: int
    source: Source | None  # None: nobody interrupted, the conversation is over


@dataclass(frozen=True, slots=True)
class Hold(Command):
    """Silence, now, but keep the reply where it is: ``Resume`` or ``Flush`` follows."""


@dataclass(frozen=True, slots=True)
class Resume(Command):
    """End a hold: the reply goes on with exactly the next sample."""


@dataclass(frozen=True, slots=True)
class Duck(Command):
    """Replies softer, or as loud as before."""

    on: bool


@dataclass(frozen=True, slots=True)
class CancelReply(Command):
    """Tell the service that its reply was cut here, and have its late audio dropped."""

    reply_id: int


@dataclass(frozen=True, slots=True)
class SendText(Command):
    text: str


@dataclass(frozen=True, slots=True)
class UpdateSession(Command):
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Capture(Command):
    """Open the microphone, or close it: while it is closed the device itself records nothing."""

    on: bool


@dataclass(frozen=True, slots=True)
class SetTimer(Command):
    """Start ``timer`` anew, or stop it (``seconds`` None)."""

    timer: Timer
    seconds: float | None
