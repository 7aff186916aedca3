"""Between the core and the speaker: gathers a little sound before a reply starts, so that bursts do not stutter."""

import asyncio
from dataclasses import replace

from voicebox.audio.base import PLAYBACK_RATE, Flushed, Speaker

MOST = 0.8
"""Seconds beyond which no network makes an answer wait."""
AGAIN = 0.12
"""Seconds gathered, at most, before a reply that ran dry goes on."""
_STEP = 0.08  # seconds the lead grows by at least: a short silence is heard as well as a long one
_FORGETS = 0.03  # of what was added, with each reply that never ran dry: half of it in 23 replies


class Lead:
    """How many ``seconds`` of a reply to gather before it sounds: at least ``least``; more after it ran dry, up to
    ``most``; and slowly less again."""

    def __init__(self, least: float, most: float = MOST) -> None:
        self.seconds = self._least = least
        self._most = max(least, most)

    def ran_dry(self, gap: float) -> None:
        """There was silence for ``gap`` seconds. What is far beyond jitter says nothing of the next reply: the lead
        doubles at most."""
        self.seconds = min(self._most, self.seconds + min(max(gap, _STEP), self.seconds))

    def went_well(self) -> None:
        """A reply was played from its beginning to its end without a gap."""
        self.seconds -= (self.seconds - self._least) * _FORGETS


class LeadIn:
    """Same promises as Speaker. ``lead`` is gathered before the first sample of a reply sounds; it is waited for no
    longer than it lasts, and not at all while the speaker is still busy. Of a reply that ran dry a little is gathered
    again, so that it goes on with one pause rather than many."""

    def __init__(self, speaker: Speaker, lead: Lead, loop: asyncio.AbstractEventLoop) -> None:
        self._speaker = speaker
        self._lead = lead
        self._loop = loop
        self._gathering = 0  # the reply that is gathered for, 0: none
        self._gathered: list[bytes] = []
        self._wanted = 0.0  # seconds to gather
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0  # newest reply that has begun to sound
        self._smooth = True  # it has not run dry

    def play(self, reply_id: int, pcm: bytes) -> None:
        if self._gathering != reply_id:
            self._release()
        if not self._gathering:
            seconds = self._needed(reply_id)
            if not seconds:
                self._begin(reply_id, pcm)
                return
            self._gather(reply_id, seconds)
        self._gathered.append(pcm)
        if self._gathered_seconds >= self._wanted:
            self._release()

    def finish(self, reply_id: int) -> None:
        self._release()
        self._speaker.finish(reply_id)
        if reply_id == self._started and self._smooth:
            self._lead.went_well()

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
        return self._speaker.buffered + self._gathered_seconds

    @property
    def lead(self) -> float:
        """Seconds that the next reply will be gathered for."""
        return self._lead.seconds

    @property
    def _gathered_seconds(self) -> float:
        return sum(map(len, self._gathered)) / (PLAYBACK_RATE * 2)

    def _needed(self, reply_id: int) -> float:
        """Seconds to gather before this reply sounds, or goes on."""
        if reply_id != self._started:
            return 0.0 if self._speaker.buffered > 0 else self._lead.seconds
        gap = self._speaker.dry
        if not gap:
            return 0.0
        self._smooth = False
        self._lead.ran_dry(gap)
        return min(AGAIN, self._lead.seconds)

    def _gather(self, reply_id: int, seconds: float) -> None:
        self._gathering, self._wanted = reply_id, seconds
        self._timer = self._loop.call_later(seconds, self._release)

    def _begin(self, reply_id: int, pcm: bytes) -> None:
        if reply_id != self._started:
            self._started, self._smooth = reply_id, True
        self._speaker.play(reply_id, pcm)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            self._begin(self._gathering, b"".join(self._gathered))
        self._gathered = []
        self._gathering = 0
