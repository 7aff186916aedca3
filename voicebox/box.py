"""The conversation at work: events come in, the core decides, the rooms act. Everything here runs on the event loop."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voicebox.audio.base import Flushed
from voicebox.core.circumstances import under
from voicebox.core.commands import (
    CancelReply,
    Capture,
    CloseSession,
    Command,
    Duck,
    FinishReply,
    Flush,
    ForgetSpeech,
    Hold,
    OpenSession,
    Play,
    Resume,
    SendText,
    SetTimer,
    UpdateSession,
)
from voicebox.core.events import Event, ReplyAudio, Timer, TimerExpired
from voicebox.core.scenes import Scene, flash, scene
from voicebox.core.state import Policy, State
from voicebox.core.transitions import step
from voicebox.lead import LeadIn
from voicebox.lights.base import Light
from voicebox.session import Session
from voicebox.uplink import Uplink

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One event and what came of it."""

    before: State
    event: Event
    after: State
    commands: tuple[Command, ...]


Observer = Callable[[Step], None]

TOO_MANY = (ReplyAudio,)
"""Events too frequent for any log. All others are logged at DEBUG, the only level for what people said."""


class Box:
    """Owns the state. ``dispatch`` is the one door for everything that happens."""

    def __init__(self, policy: Policy, loop: asyncio.AbstractEventLoop, *, uplink: Uplink, light: Light) -> None:
        self.state = State(policy)
        self.observers: list[Observer] = []
        self.last_flush: Flushed | None = None
        self._loop = loop
        self._uplink = uplink
        self._light = light
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._dispatching = False

    def connect(self, session: Session, playback: LeadIn, capture: Callable[[bool], None]) -> None:
        """The rooms that themselves need ``dispatch``. ``capture`` opens and closes the microphone."""
        self._perform: dict[type[Command], Callable[[Any], object]] = {
            OpenSession: lambda _: session.open(),
            CloseSession: lambda _: session.close(),
            ForgetSpeech: lambda _: self._uplink.forget(),
            CancelReply: lambda c: session.cancel(c.reply_id),
            SendText: lambda c: session.text(c.text),
            UpdateSession: lambda c: session.update(c.settings),
            Play: lambda c: playback.play(c.reply_id, c.pcm),
            FinishReply: lambda c: playback.finish(c.reply_id),
            Flush: lambda c: self._flush(playback, c),
            Hold: lambda _: playback.hold(),
            Resume: lambda _: playback.resume(),
            Duck: lambda c: playback.duck(c.on),
            SetTimer: self._set_timer,
            Capture: lambda c: capture(c.on),
        }

    def dispatch(self, event: Event) -> None:
        """Let the core decide, then do at once what it says."""
        if self._dispatching:
            raise RuntimeError(f"{type(event).__name__} was dispatched from within a command")
        self._dispatching = True
        try:
            before = self.state
            self.state, commands = step(before, event)
            for command in commands:
                self._perform[type(command)](command)
            self._uplink.set_window(self.state.window)
            self._light.show(scene(self.state))
            if (passing := flash(before, event, self.state)) is not None:
                self._light.flash(passing)
        finally:
            self._dispatching = False
        taken = Step(before, event, self.state, commands)
        self._log(taken)
        for observer in self.observers:
            observer(taken)

    @property
    def waits(self) -> bool:
        """A deadline runs, whatever of."""
        return bool(self._timers)

    def set_policy(self, policy: Policy) -> None:
        """From the next event on the core goes by this one."""
        self.state = under(self.state, policy)
        self._uplink.set_window(self.state.window)

    def show(self, shown: Scene) -> None:
        """Light a scene that is not of the conversation: starting."""
        self._light.show(shown)

    def _flush(self, playback: LeadIn, command: Flush) -> None:
        self.last_flush = playback.flush(command.floor)
        if command.source is not None and self.last_flush.reply_id:
            flushed = self.last_flush
            _log.info(
                "interrupted by %s after %d ms of the reply: %d ms dropped, silent within %d ms",
                command.source,
                flushed.played / 24,
                flushed.discarded / 24,
                flushed.latency * 1000,
                extra={"fields": {"VOICEBOX_INTERRUPTION": str(command.source), "VOICEBOX_REPLY": flushed.reply_id}},
            )

    def _set_timer(self, command: SetTimer) -> None:
        if command.timer in self._timers:
            self._timers.pop(command.timer).cancel()
        if command.seconds is not None:
            self._timers[command.timer] = self._loop.call_later(command.seconds, self._expire, command.timer)

    def _expire(self, timer: Timer) -> None:
        self._timers.pop(timer, None)
        self.dispatch(TimerExpired(timer))

    def _log(self, taken: Step) -> None:
        before, event, after = taken.before, taken.event, taken.after
        name = type(event).__name__
        fields = {"fields": {"VOICEBOX_PHASE": str(after.phase), "VOICEBOX_EVENT": name}}
        if before.phase is not after.phase:
            _log.info("%s → %s (%s)", before.phase, after.phase, name, extra=fields)
        if before.fault is not after.fault:
            why = getattr(event, "message", "")
            level = logging.INFO if after.fault is None else logging.WARNING
            text = str(after.fault or "fault is over")
            _log.log(level, "%s", f"{text}: {why}" if why and after.fault else text, extra=fields)
        if before.muted is not after.muted:
            _log.info("muted: the microphone is closed" if after.muted else "no longer muted", extra=fields)
        if not isinstance(event, TOO_MANY):
            _log.debug("%.2000r", event, extra=fields)  # a service may send a megabyte of text
