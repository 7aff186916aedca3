"""The conversation at work: events come in, the core decides, the rooms act. Everything here runs on the event loop."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from voicebox.audio.base import Flushed
from voicebox.core.commands import (
    CancelReply,
    CloseSession,
    Command,
    FinishReply,
    Flush,
    ForgetSpeech,
    OpenSession,
    Play,
    SendText,
    SetTimer,
    UpdateSession,
)
from voicebox.core.events import Event, ReplyAudio, ReplyText, Timer, TimerExpired, Transcript
from voicebox.core.scenes import Scene, scene
from voicebox.core.state import Policy, State
from voicebox.core.transitions import step
from voicebox.lead import LeadIn
from voicebox.lights.base import Light
from voicebox.session import Session
from voicebox.uplink import Uplink

_log = logging.getLogger(__name__)

Observer = Callable[[State, Event, State], None]

QUIET = (ReplyAudio,)
"""Events too frequent for any log."""
PERSONAL = (Transcript, ReplyText)
"""Events that say what people said: their content is logged at DEBUG only."""


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

    def connect(self, session: Session, playback: LeadIn) -> None:
        """The two rooms that themselves need ``dispatch``."""
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
            SetTimer: self._set_timer,
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
        finally:
            self._dispatching = False
        self._log_step(before, event)
        for observer in self.observers:
            observer(before, event, self.state)

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

    def _log_step(self, before: State, event: Event) -> None:
        if isinstance(event, QUIET) and before.phase is self.state.phase:
            return
        name = type(event).__name__
        fields = {"VOICEBOX_PHASE": str(self.state.phase), "VOICEBOX_EVENT": name}
        if before.phase is not self.state.phase:
            _log.info("%s → %s (%s)", before.phase, self.state.phase, name, extra={"fields": fields})
        if before.fault is not self.state.fault:
            self._log_fault(event, fields)
        _log.debug("%r", event, extra={"fields": fields})

    def _log_fault(self, event: Event, fields: dict[str, str]) -> None:
        if self.state.fault is None:
            _log.info("fault is over", extra={"fields": fields})
            return
        why = getattr(event, "message", "")
        _log.warning("%s%s", self.state.fault, f": {why}" if why else "", extra={"fields": fields})
