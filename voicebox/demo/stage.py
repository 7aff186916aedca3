"""The stage: the real daemon with sound from arrays and a mock button, and someone who notes all that happens."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from voicebox.app import App
from voicebox.box import Step
from voicebox.core.commands import Flush
from voicebox.core.events import ReplyDone, ReplyStarted, SessionReady, Source, WakeDetected
from voicebox.core.state import Phase, Window
from voicebox.errors import VoiceboxError

PATIENCE = 20.0
"""Seconds the script waits for anything before it says what did not happen."""


class DemoError(VoiceboxError):
    """Something the demo is to show did not happen."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, ``at`` seconds of audio after the start."""

    at: float
    text: str
    kind: str  # "phase", "wake", "speech", "session", "reply", "interruption", "button"


@dataclass(slots=True)
class Stretch:
    """Microphone samples that might leave the box; no end: still going on."""

    start: int
    end: int | None = None


class Stage:
    """Watches one App. ``clock`` gives seconds since the start, by the audio where that can be had."""

    def __init__(self, app: App, clock: Callable[[], float], tell: Callable[[Mark], None]) -> None:
        self.app = app
        self.clock = clock
        self._tell = tell
        self._changed = asyncio.Event()
        self.marks: list[Mark] = []
        self.phases: list[tuple[float, Phase]] = [(0.0, Phase.IDLE)]
        self.wakes: list[WakeDetected] = []
        self.stretches: list[Stretch] = []  # by the windows the core opened
        self.connects: list[float] = []  # seconds each session took to be ready
        self.replies: list[int] = []
        self.complete: dict[int, float] = {}  # reply id -> loop time at which all of it had been received
        self.interruptions: list[str] = []
        app.box.observers.append(self._observe)

    def mark(self, kind: str, text: str) -> None:
        mark = Mark(self.clock(), text, kind)
        self.marks.append(mark)
        self._tell(mark)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for ``condition``; DemoError naming ``what`` if it does not come true in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await self.change()
        except TimeoutError:
            raise DemoError(f"{what} did not happen within {PATIENCE:.0f} s") from None

    async def change(self) -> None:
        """Wait until something has happened."""
        self._changed.clear()
        await self._changed.wait()

    async def until_phase(self, phase: Phase) -> None:
        await self.until(lambda: self.app.box.state.phase is phase, f"the phase {phase}")

    def _observe(self, step: Step) -> None:
        event, after = step.event, step.after
        match event:
            case WakeDetected():
                self.wakes.append(event)
                self.mark("wake", f'wake word "{event.model.replace("_", " ")}", score {event.score:.3f}')
            case SessionReady():
                self.connects.append(self.app.session.connect_seconds)
                self.mark("session", f"session open after {self.app.session.connect_seconds * 1000:.0f} ms")
            case ReplyStarted():
                self.replies.append(event.reply_id)
            case ReplyDone():
                self.complete.setdefault(event.reply_id, asyncio.get_running_loop().time())
        for command in step.commands:
            if isinstance(command, Flush) and command.source is not None:
                self._note_interruption(command.source)
        self._note_window(_open(step.before.window), _open(after.window))
        if step.before.phase is not after.phase:
            self.phases.append((self.clock(), after.phase))
            self.mark("phase", str(after.phase))
        self._changed.set()

    def _note_window(self, before: Window | None, after: Window | None) -> None:
        if before == after:
            return
        now = self.app.uplink.ring.end
        if before is not None and after is not None and before.until is None:  # it goes on, now perhaps to an end
            self.stretches[-1].end = after.until
            return
        if before is not None:
            self.stretches[-1].end = now if before.until is None else min(now, before.until)
        if after is not None:
            self.stretches.append(Stretch(now if after.since is None else after.since, after.until))

    def _note_interruption(self, source: Source) -> None:
        flushed = self.app.box.last_flush
        if flushed is None or not flushed.reply_id:
            return  # nothing was being heard
        self.interruptions.append(source)
        dropped = flushed.discarded / 24_000
        self.mark("interruption", f"interrupted by {source.replace('_', ' ')}: {dropped:.1f} s of the reply dropped")


def _open(window: Window | None) -> Window | None:
    """Nothing leaves the box through a window that is only armed."""
    return None if window is None or window.armed else window
