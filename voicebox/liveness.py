"""Whether a conversation will end by itself, as each should: its deadline runs, or the speaker plays on."""

import asyncio

from voicebox.audio.base import Speaker
from voicebox.box import Box
from voicebox.core.state import Phase

STILL_AFTER = 10.0
"""Seconds. A card drains what it holds in far less, and one that is gone is known to be."""

At = tuple[Phase, int, tuple[int, int]]


class Liveness:
    """``trouble`` is asked every few seconds. All on the event loop."""

    def __init__(self, box: Box, speaker: Speaker, loop: asyncio.AbstractEventLoop) -> None:
        self._box = box
        self._speaker = speaker
        self._loop = loop
        self._seen: At | None = None
        self._since = 0.0  # loop time

    def trouble(self) -> str | None:
        """What is stuck, for the owner; None: nothing."""
        state = self._box.state
        if state.phase is Phase.IDLE or self._box.waits:
            self._seen = None
            return None
        now, at = self._loop.time(), (state.phase, state.newest, self._speaker.playing)
        if at != self._seen:
            self._seen, self._since = at, now
        if now - self._since < STILL_AFTER:
            return None
        return "the speaker does not play on" if state.phase is Phase.SPEAKING else "the conversation has no end"
