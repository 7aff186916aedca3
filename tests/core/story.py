"""Telling the core a story, and looking at what it does."""

from typing import Any

from voicebox.core.commands import Command
from voicebox.core.events import (
    Event,
    ReplyAudio,
    ReplyStarted,
    SessionReady,
    Timer,
    TimerExpired,
    Transcript,
    WakeDetected,
)
from voicebox.core.state import Phase, Policy, State, Window
from voicebox.core.transitions import step

POLICY = Policy()
FULL = Policy(full_duplex=True)
AT = 100_000  # microphone position of whatever someone does first
LATER = 200_000
PCM = b"\1\0" * 240


def wake(at: int = AT) -> WakeDetected:
    return WakeDetected("hey_jarvis", 0.98, at)


class Story:
    """A state, and every command given since it was last asked."""

    def __init__(self, *events: Event, policy: Policy = POLICY) -> None:
        self.state = State(policy)
        self.commands: list[Command] = []
        self.then(*events)

    def then(self, *events: Event) -> "Story":
        for event in events:
            self.commands = []
            self.state, commands = step(self.state, event)
            self.commands.extend(commands)
        return self

    @property
    def phase(self) -> Phase:
        return self.state.phase

    @property
    def window(self) -> Window | None:
        return self.state.window

    def told(self, kind: type[Command]) -> list[Any]:
        """The commands of this kind that the last event led to."""
        return [c for c in self.commands if isinstance(c, kind)]


LISTENING = (wake(), SessionReady())
THINKING = (*LISTENING, Transcript("user", "what time is it"))
SPEAKING = (*THINKING, ReplyStarted(1), ReplyAudio(1, PCM))
PHASE_TIMER = TimerExpired(Timer.PHASE)
