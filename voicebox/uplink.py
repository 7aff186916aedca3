"""Microphone audio on its way out: to the wake word engine always, to the session while the core's window is open.

Audio is kept in a ring by microphone position, and everyone who reads it does so at a position of their own; nothing is
copied into queues, so nothing can be sent twice and what was not sent is known exactly.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK, CAPTURE_RATE, Block
from voicebox.audio.pcm import Resampler, from_bytes, to_bytes
from voicebox.core.events import Event, WakeDetected
from voicebox.core.state import Window
from voicebox.wake.base import HOP, Detection, Detector, Scored

RING_SECONDS = 30
STALE = 2 * CAPTURE_RATE
"""Samples a session may lag behind once it has caught up; beyond that the oldest are dropped."""
MAX_LAG = 25
"""Hops (2 s) the wake word may lag behind before it drops to live."""
STUCK_AFTER = 5.0
"""Seconds for one hop after which the engine counts as hung."""


JUDGED = 36 * HOP
"""Samples (2.9 s) of the box's own voice that are searched for the wake word it seems to have heard."""
OURS = 0.1
"""Score from which on it was the box's own voice: what comes back through the room may score higher than it did."""


class Mark(Enum):
    """Begin and end of a stretch of uplink audio."""

    START = "start"
    STOP = "stop"


class Ring:
    """The last ``capacity`` samples (int16) by position."""

    def __init__(self, capacity: int = RING_SECONDS * CAPTURE_RATE) -> None:
        self._samples = np.zeros(capacity, np.int16)
        self.end = 0  # position after the newest sample

    @property
    def oldest(self) -> int:
        return max(0, self.end - len(self._samples))

    def write(self, position: int, samples: NDArray[np.int16]) -> None:
        """Append. Where ``position`` lies beyond the end, the gap reads as silence."""
        gap = position - self.end
        if gap > 0:
            self._put(np.zeros(min(gap, len(self._samples)), np.int16), position - min(gap, len(self._samples)))
        self._put(samples, position)

    def _put(self, samples: NDArray[np.int16], position: int) -> None:
        capacity = len(self._samples)
        start = position % capacity
        first = min(len(samples), capacity - start)
        self._samples[start : start + first] = samples[:first]
        self._samples[: len(samples) - first] = samples[first:]
        self.end = position + len(samples)

    def read(self, start: int, count: int) -> NDArray[np.int16]:
        """``count`` samples from ``start``, which must lie within the ring."""
        index = start % len(self._samples)
        if index + count <= len(self._samples):
            return self._samples[index : index + count].copy()
        return np.concatenate((self._samples[index:], self._samples[: index + count - len(self._samples)]))


@dataclass(slots=True)
class Counts:
    sent: int = 0  # samples handed to sessions
    dropped: int = 0  # samples inside a window that were never sent


class Uplink:
    """All methods run on the event loop."""

    def __init__(self, seconds: float = RING_SECONDS) -> None:
        """``seconds`` are kept: what was said longest ago that a session may still want."""
        self.ring = Ring(round(seconds * CAPTURE_RATE))
        self.counts = Counts()
        self.available = asyncio.Event()  # something may be there for ``take``
        self._window: Window | None = None
        self._cursor = 0  # next sample to send
        self._settled = 0  # position after the last sample that was sent or dropped: none is sent twice
        self._streaming = False  # START was taken, STOP was not
        self.started_at: float | None = None  # loop time the present stretch began to leave; whoever takes it notes it
        self._stop_due = False  # what comes next does not follow on what was sent
        self._catching_up = False  # what was said before anybody took it may all be sent, however old

    def block(self, block: Block) -> None:
        """The next microphone block."""
        self.ring.write(block.position, np.frombuffer(block.pcm, np.int16))
        if self._window is not None:
            self._trim()
            self.available.set()

    @property
    def is_open(self) -> bool:
        """The service may hear something of what comes."""
        return self._window is not None

    def set_window(self, window: Window | None) -> None:
        """What the service may hear. Closing (None) drops what was not sent; an end (``until``) lets it be sent.
        An armed window is none yet."""
        if window is not None and window.armed:
            window = None
        if window == self._window:
            return
        before, self._window = self._window, window
        self.available.set()
        if before is not None and before.until is None and window is not None:
            self._extend_back(window.since)
            return  # it goes on, now perhaps to an end
        start = self.ring.end if window is None or window.since is None else window.since
        if before is not None and (window is None or start > self._cursor):
            self._drop_to(min(start, self._end(before)))
            self._stop_due = self._streaming
        if window is not None:
            self._cursor = max(self._cursor, start)
            self._drop_to(self.ring.oldest)
            self._catching_up = True

    def _extend_back(self, since: int | None) -> None:
        """A window of which nothing has left yet may begin earlier than it was opened."""
        if since is not None:
            self._cursor = max(min(self._cursor, since), self._settled, self.ring.oldest)

    def forget(self) -> None:
        """Drop what was not sent. What comes next is as a conversation's first words: all of it may be sent."""
        self._drop_to(self._end(self._window))
        self._catching_up = True

    def reconnected(self) -> None:
        """A new connection knows of no stretch yet."""
        self._streaming = self._stop_due = False

    def take(self, chunk: int) -> Mark | bytes | None:
        """The next thing to send: a mark, up to ``chunk`` samples of s16le audio, or None: nothing yet.

        Chunks are whole, but for the last of a stretch.
        """
        if self._stop_due:
            return self._mark(Mark.STOP)
        ended = self._window is None or (self._window.until is not None and self.ring.end >= self._window.until)
        count = self._end(self._window) - self._cursor
        if count >= chunk or (ended and count > 0):
            return self._take_audio(min(count, chunk)) if self._streaming else self._mark(Mark.START)
        if ended and self._streaming:
            return self._mark(Mark.STOP)
        self._catching_up = False
        return None

    def _end(self, window: Window | None) -> int:
        """Position up to which audio of this window may be sent now."""
        if window is None:
            return self._cursor
        return self.ring.end if window.until is None else min(self.ring.end, window.until)

    def _mark(self, mark: Mark) -> Mark:
        self._streaming = mark is Mark.START
        self._stop_due = False
        return mark

    def _take_audio(self, count: int) -> bytes:
        pcm = self.ring.read(self._cursor, count).tobytes()
        self._cursor = self._settled = self._cursor + count
        self.counts.sent += count
        return pcm

    def _trim(self) -> None:
        """Speech that nobody could take in time is stale: drop the oldest."""
        limit = self.ring.oldest if self._catching_up else self.ring.end - STALE
        self._drop_to(min(limit, self._end(self._window)))

    def _drop_to(self, position: int) -> None:
        """What is before ``position`` and was not sent never will be."""
        if position > self._cursor:
            self.counts.dropped += position - self._cursor
            self._cursor = self._settled = position


def silence(_position: int, _count: int) -> None:
    """The own voice of a box that does not know what it says."""


class WakeListener:
    """Feeds the wake word engine hop by hop, in a thread of its own, and reports what it hears. It reads the ring at an
    offset of its own."""

    def __init__(
        self,
        detector: Detector,
        dispatch: Callable[[Event], None],
        executor: Executor,
        ring: Ring,
        own_voice: Callable[[int, int], NDArray[np.int16] | None] = silence,
    ) -> None:
        """``own_voice``: the last so many samples of what the box itself played, up to a microphone position; None
        where it was silent. Called in the engine's thread."""
        self._detector = detector
        self._dispatch = dispatch
        self._executor = executor
        self._ring = ring
        self._own_voice = own_voice
        self._cursor = 0  # next sample to score
        self._expected = 0  # position the next block should have
        self._reset = False
        self._more = asyncio.Event()
        self._busy_since: float | None = None  # loop time
        self._behind_since: float | None = None  # … since when hops have waited, and none was scored
        self.skipped = 0  # hops dropped because the engine was too slow
        self.muted = False
        self.playing = False
        """Set by others: what the box plays may be in what is heard."""
        self.ours = 0  # detections that were the box's own voice
        self.scored: list[Scored] = []
        """Told the newest score of every phrase, hop by hop, on the event loop, before anything detected is dispatched.
        ``playing``: what the box plays may be in it."""

    def stuck(self, now: float) -> bool:
        """Whether hops wait, and none was scored for longer than any hop can take (loop time ``now``)."""
        since = [at for at in (self._busy_since, self._behind_since) if at is not None]
        return bool(since) and now - min(since) > STUCK_AFTER

    def listen_with(self, detector: Detector) -> None:
        """Another engine takes over; it has heard nothing yet."""
        self._detector = detector
        self._reset = True

    def block(self, block: Block) -> None:
        """This block is in the ring now."""
        end = block.position + len(block.pcm) // 2
        if block.position != self._expected or self.muted:
            self._start_afresh(end if self.muted else block.position)
            self._behind_since = None
        self._expected = end
        if self._waiting > MAX_LAG:
            self.skipped += self._waiting
            self._start_afresh(end)
        if self._waiting > 0:
            self._more.set()
            if self._behind_since is None:
                self._behind_since = asyncio.get_running_loop().time()

    @property
    def _waiting(self) -> int:
        """Whole hops that were not scored yet."""
        return (self._expected - self._cursor) // HOP

    @property
    def due(self) -> int:
        """Position with which the next hop will be whole."""
        return self._cursor + max(0, self._waiting + 1) * HOP

    def _start_afresh(self, position: int) -> None:
        """After a gap nothing of before may count."""
        self._cursor = position
        self._reset = True

    async def run(self) -> None:
        """Score for ever."""
        loop = asyncio.get_running_loop()
        while True:
            while self._waiting <= 0:
                self._more.clear()
                await self._more.wait()
            samples = self._ring.read(self._cursor, HOP)
            self._cursor = position = self._cursor + HOP
            if self._reset:
                self._reset = False
                self._detector.reset()
            detections: list[Detection] = []
            if not self._detector.glance(samples):  # a quiet room is not worth two changes of thread
                self._busy_since = loop.time()
                detections = await loop.run_in_executor(self._executor, self._heard, samples, position)
                self._busy_since = None
            self._behind_since = None
            if self.scored:
                self._tell(self._detector.scores)
            for detection in detections:
                self._dispatch(WakeDetected(detection.model, detection.score, position))

    def _tell(self, scores: Mapping[str, float]) -> None:
        for told in self.scored:
            told(scores, playing=self.playing)

    def _heard(self, samples: NDArray[np.int16], position: int) -> list[Detection]:
        """What somebody else than the box itself said. In the engine's thread."""
        heard = self._detector.process(samples, playing=self.playing)
        spoken = self._own_voice(position, JUDGED) if heard else None
        if spoken is None:
            return heard
        scores = self._detector.hears(spoken)
        others = [detection for detection in heard if scores.get(detection.model, 0.0) < OURS]
        self.ours += len(heard) - len(others)
        return others


class Converter:
    """Uplink audio at the rate and in the chunks that a service wants: 16 kHz in, pieces of ``samples`` samples at
    ``rate`` out, and what is left at the end of a stretch."""

    def __init__(self, rate: int, samples: int) -> None:
        self._rate = rate
        self._size = samples * 2
        self.chunk = samples if rate == CAPTURE_RATE else BLOCK
        """Samples to take from the uplink at a time. A resampler lags behind: taken in whole pieces, nearly all of one
        would wait for the next."""
        self.begin()

    def begin(self) -> None:
        """A new stretch knows nothing of the last."""
        self._resampler = Resampler(CAPTURE_RATE, self._rate)
        self._pending = b""

    def convert(self, pcm: bytes) -> list[bytes]:
        if self._rate == CAPTURE_RATE:
            return [pcm]
        self._pending += to_bytes(self._resampler.process(from_bytes(pcm)))
        whole = len(self._pending) - len(self._pending) % self._size
        pieces = [self._pending[at : at + self._size] for at in range(0, whole, self._size)]
        self._pending = self._pending[whole:]
        return pieces

    def end(self) -> list[bytes]:
        if self._rate == CAPTURE_RATE:
            return []
        rest = self._pending + to_bytes(self._resampler.flush())
        self.begin()
        return [rest[at : at + self._size] for at in range(0, len(rest), self._size)]
