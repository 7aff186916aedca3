"""Between the core and the speaker: gathers a little sound before a reply starts, so that bursts do not stutter."""

import asyncio
from dataclasses import replace

from voicebox.audio.base import PLAYBACK_RATE, Flushed, Speaker


class LeadIn:
    """Same promises as Speaker. ``lead`` is how many seconds of a reply are gathered before its first sample sounds;
    they are waited for no longer than ``lead`` seconds, and not at all while the speaker is still busy."""

    def __init__(self, speaker: Speaker, lead: float, loop: asyncio.AbstractEventLoop) -> None:
        self._speaker = speaker
        self._lead = lead
        self._loop = loop
        self._gathering = 0  # the reply that is gathered for, 0: none
        self._gathered: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0  # newest reply that has begun to sound

    def play(self, reply_id: int, pcm: bytes) -> None:
        if self._gathering != reply_id:
            self._release()
        if reply_id == self._started or self._lead == 0 or self._speaker.buffered > 0:
            self._started = reply_id
            self._speaker.play(reply_id, pcm)
            return
        if not self._gathering:
            self._gathering = reply_id
            self._timer = self._loop.call_later(self._lead, self._release)
        self._gathered.append(pcm)
        if sum(map(len, self._gathered)) >= self._lead * PLAYBACK_RATE * 2:
            self._release()

    def finish(self, reply_id: int) -> None:
        self._release()
        self._speaker.finish(reply_id)

    def flush(self, floor: int) -> Flushed:
        dropped = 0
        if self._gathering and self._gathering <= floor:
            dropped = sum(map(len, self._gathered)) // 2
            self._gathered.clear()
        self._release()
        flushed = self._speaker.flush(floor)
        return replace(flushed, discarded=flushed.discarded + dropped)

    def hold(self) -> None:
        self._speaker.hold()

    def resume(self) -> None:
        self._speaker.resume()

    def duck(self, on: bool) -> None:
        self._speaker.duck(on)

    @property
    def buffered(self) -> float:
        """Seconds of sound not yet handed to the card."""
        return self._speaker.buffered + sum(map(len, self._gathered)) / (PLAYBACK_RATE * 2)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            self._started = self._gathering
            self._speaker.play(self._gathering, b"".join(self._gathered))
        self._gathered = []
        self._gathering = 0
