"""Lets hear what core/cues.py says is to be heard."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from voicebox.audio.base import PLAYBACK_RATE
from voicebox.core.cues import MESSAGES, OPENING, Cue, Said, cue
from voicebox.core.events import Device, Event
from voicebox.core.state import Phase, State
from voicebox.sounds.library import Library

_log = logging.getLogger(__name__)

PAUSE = 0.15
"""Seconds between an earcon and the message that follows it."""
SETTLED = 10.0
"""Seconds after start-up that a microphone may take to appear before the box says that there is none."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the owner wants to hear. ``opening``: also while the microphone is open; None: where it does not hear the
    box itself, which is where the core is allowed full duplex."""

    earcons: bool = True
    opening: bool | None = None
    messages: bool = True

    def has(self, earcon: Cue, state: State) -> bool:
        opening = state.policy.full_duplex if self.opening is None else self.opening
        return self.earcons and (opening or earcon not in OPENING)


class Sounds:
    """Earcons are heard at once, over replies too, and a newer one takes an older one's place. Messages are heard only
    while the box is idle, after whatever earcon still sounds; nothing but somebody who tries again cuts them short, and
    then they count as not said. All methods run on the event loop; files are read in its default executor."""

    def __init__(
        self,
        library: Library,
        notify: Callable[[bytes], None],
        loop: asyncio.AbstractEventLoop,
        wanted: Wanted,
    ) -> None:
        """``notify``: the speaker's."""
        self._library = library
        self._notify = notify
        self._loop = loop
        self._wanted = wanted
        self._said = Said()
        self._state = State()
        self._earcons: dict[Cue, bytes] = {}
        self._silent_at = 0.0  # loop time at which our last sound is over
        self._speaking: asyncio.Task[None] | None = None  # a message is wanted, or being said
        self._aloud = False  # … being said

    async def run(self) -> None:
        """Read the earcons, then say if there is no microphone at all. Until then there is nothing to hear."""
        if self._wanted.earcons or self._wanted.messages:
            await self._loop.run_in_executor(None, self._library.look)
        if self._wanted.earcons:
            self._earcons = await self._loop.run_in_executor(None, self._read_earcons)
        await asyncio.sleep(SETTLED)
        if self._state.phase is Phase.IDLE and Device.MICROPHONE in self._state.lost:
            self._play(Cue.NO_MICROPHONE)

    def close(self) -> None:
        """Say no more."""
        if self._speaking is not None:
            self._speaking.cancel()

    def follow(self, before: State, event: Event, after: State) -> None:
        """The core has decided."""
        self._state = after
        self._said.follow(event)
        if after.phase is not Phase.IDLE:
            self.hush()
        heard = cue(before, event, after)
        if heard is not None:
            self._play(heard)

    def say_again(self, pcm: bytes) -> None:
        """Speak this (s16le mono 24 kHz) as if it were a message: whoever wakes the box, or ``hush``, ends it."""
        self.hush()
        if Device.SPEAKER not in self._state.lost:
            self._start(self._aloud_now(pcm), "say again")

    def hush(self) -> None:
        """Silence, whatever is being said."""
        if self._speaking is None:
            return
        self._speaking.cancel()
        if self._aloud:
            self._notify(b"")
        self._speaking, self._aloud = None, False

    def _play(self, heard: Cue) -> None:
        if Device.SPEAKER in self._state.lost:
            return
        if heard not in MESSAGES:
            self._beep(heard)
        elif self._wanted.messages and self._said.due(heard, self._loop.time()):
            self._say(heard)
        else:
            self._beep(Cue.ERROR)

    def _beep(self, earcon: Cue) -> None:
        pcm = self._earcons.get(earcon)
        if pcm and self._wanted.has(earcon, self._state) and self._speaking is None:
            self._sound(pcm)

    def _sound(self, pcm: bytes) -> None:
        self._notify(pcm)
        self._silent_at = self._loop.time() + len(pcm) / (2 * PLAYBACK_RATE)

    def _say(self, message: Cue) -> None:
        if self._speaking is None:
            self._start(self._speak(message), f"say {message}")

    def _start(self, speaking: Coroutine[Any, Any, None], name: str) -> None:
        self._speaking = self._loop.create_task(speaking, name=name)
        self._speaking.add_done_callback(self._spoken)

    async def _speak(self, message: Cue) -> None:
        pcm = await self._loop.run_in_executor(None, self._library.load, message)
        await asyncio.sleep(self._silent_at + PAUSE - self._loop.time())
        _log.info("says: %s", message)
        await self._aloud_now(pcm)
        self._said.note(message, self._loop.time())

    async def _aloud_now(self, pcm: bytes) -> None:
        self._aloud = True
        self._sound(pcm)
        await asyncio.sleep(self._silent_at - self._loop.time())

    def _spoken(self, task: asyncio.Task[None]) -> None:
        if task is self._speaking:
            self._speaking, self._aloud = None, False
        if not task.cancelled():
            task.result()  # what nobody expected ends the run

    def _read_earcons(self) -> dict[Cue, bytes]:
        return {earcon: self._library.load(earcon) for earcon in Cue if earcon not in MESSAGES}
