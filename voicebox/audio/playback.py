"""The queue between the event loop, which plays and flushes, and a sound card, which pulls.

Every back-end's speaker is one of these. It knows when each sample is heard, because the card says so with every pull;
what has been *played* and *drained* is read from that, never from what was merely handed over.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from voicebox.audio import pcm as sound
from voicebox.audio.amplifier import Amplifier
from voicebox.audio.base import PLAYBACK_RATE, Flushed
from voicebox.audio.gain import Ramp, amplitude
from voicebox.audio.timeline import Timeline

FADE = 0.003
"""Seconds over which a flush or a hold falls silent, and a held reply comes back."""
DUCKED = 10 ** (-12 / 20)
"""What is left of a ducked reply's amplitude."""
_RAMP = 0.02  # seconds over which loudness changes
_TOLD_WITHIN = 0.1  # seconds
_WIDTH = 2  # bytes of one sample


@dataclass(slots=True)
class _Segment:
    """Queued sound of one reply at the card's rate."""

    reply_id: int
    pcm: bytes
    offset: int = 0  # bytes already handed over
    last: bool = False  # the reply ends here

    @property
    def left(self) -> int:
        return len(self.pcm) - self.offset


class Playback:
    """A Speaker without a card. ``drained_at(reply_id, when)`` is called, from either thread and without the lock, as
    soon as it is known when the end of a finished reply is heard; whoever then reports it must ask ``over`` first."""

    def __init__(
        self,
        drained_at: Callable[[int, float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wake: Callable[[], None] = lambda: None,
        amplifier: Amplifier | None = None,
    ) -> None:
        self._drained_at = drained_at
        self._clock = clock
        self._wake = wake
        self._amplifier = amplifier or Amplifier()
        self._lock = threading.Lock()  # held for microseconds: the card's thread waits for it
        self._rate = PLAYBACK_RATE
        self._timeline = Timeline(PLAYBACK_RATE)
        self._queue: deque[_Segment] = deque()
        self._queued = 0  # bytes
        self._ended: dict[int, float] = {}  # replies of which all was handed over, and when their end is heard
        self._held = False
        self._holding = Ramp()
        self._ducking = Ramp()
        self._volume = Ramp()
        self._resampler: tuple[int, sound.Resampler] | None = None
        self._notice = b""  # what is left of a sound of our own, at the card's rate
        self._awaited = 0  # reply of which all that came was handed over, but not its end
        self._starved = 0  # reply for which the card got silence in its middle
        self._idle = 0.0  # seconds of silence handed over since the last sound
        self.floor = 0
        self.underruns = 0
        self.asleep = False
        self.tap: Callable[[bytes, int, float], None] | None = None
        """Told what the card is given; see ``base.Handlers.heard``."""

    # --- the event loop's side: what base.Speaker promises ---------------------------------------------------------

    def play(self, reply_id: int, pcm: bytes) -> None:
        if reply_id <= self.floor:
            return
        with self._lock:
            self._unfinish(reply_id)
            self._end_resampling(unless=reply_id)
            self._append(reply_id, self._convert(reply_id, pcm))
            self.underruns += reply_id == self._starved and not self._held
            self._awaited = self._starved = 0
        self._rouse()

    def finish(self, reply_id: int) -> None:
        if reply_id <= self.floor:
            return
        with self._lock:
            self._end_resampling()
            self._awaited = self._starved = 0
            queued = self._last_of(reply_id)
            if queued is not None:
                queued.last = True
                return
            if self._queue:  # nothing of it is left, but others sound yet
                self._queue.append(_Segment(reply_id, b"", last=True))
                return
            silent_at = self._ended[reply_id] = max(self._clock(), self._timeline.until)
        self._drained_at(reply_id, silent_at)

    def flush(self, floor: int) -> Flushed:
        with self._lock:
            now = self._clock()
            reply_id, played = self._heard(now)
            if not reply_id:
                reply_id, played = self._paused()
            self.floor = max(self.floor, floor)
            before = self._queued
            fade = self._drop_dead()
            discarded = self._samples(before - self._queued)
            latency = max(0.0, self._timeline.until - now) + fade
            ended = self._let_go()
        self._tell(ended)
        return Flushed(reply_id, played, discarded, latency)

    def hold(self) -> None:
        with self._lock:
            self._held = True
            self._holding.to(0.0, self._fade_length())

    def resume(self) -> None:
        with self._lock:
            ended = self._let_go()
        self._tell(ended)
        self._rouse()

    def duck(self, on: bool) -> None:
        with self._lock:
            self._ducking.to(DUCKED if on else 1.0, self._ramp_length())

    def set_volume(self, level: float) -> None:
        with self._lock:
            self._volume.to(amplitude(level), self._ramp_length())

    def notify(self, pcm: bytes) -> None:
        notice = sound.to_bytes(sound.resample(sound.from_bytes(pcm), PLAYBACK_RATE, self._rate))
        with self._lock:
            rest = sound.fade_out(sound.from_bytes(self._notice)[: round(FADE * self._rate)])
            notice = notice.ljust(rest.nbytes, b"\0")
            self._notice = sound.to_bytes(sound.mix(sound.from_bytes(notice), rest))
        self._rouse()

    @property
    def buffered(self) -> float:
        return self._queued / (_WIDTH * self._rate)

    @property
    def playing(self) -> tuple[int, int]:
        with self._lock:
            heard = self._heard(self._clock())
            if not heard[0] and (self._held or self._holding.left):
                return self._paused()
            return heard

    @property
    def dry(self) -> float:
        with self._lock:
            starving = self._starved > self.floor and not self._held
            return max(0.0, self._clock() - self._timeline.until) if starving else 0.0

    def over(self, reply_id: int) -> int:
        """The end of this reply is heard now: which reply's end is to be reported; 0: none, else ask again. Replies end
        in their order, even where timers do not; none that was flushed, or of which more came after all, and none while
        they are held (``resume`` then calls ``drained_at`` again)."""
        with self._lock:
            if self._held or reply_id not in self._ended:
                return 0
            first = min(self._ended)
            del self._ended[first]
            return first

    # --- the card's side ---------------------------------------------------------------------------------------------

    def open_card(self, rate: int) -> None:
        """The card that will pull runs at ``rate`` Hz."""
        with self._lock:
            if rate == self._rate:
                return
            self._end_resampling()
            for segment in self._queue:
                rest = sound.from_bytes(segment.pcm[segment.offset :])
                segment.pcm, segment.offset = sound.to_bytes(sound.resample(rest, self._rate, rate)), 0
            self._queued = sum(segment.left for segment in self._queue)
            self._notice = b""
            self._rate = rate
            self._timeline.retune(rate)

    def pull(self, frames: int, heard_at: float, *, sleep_after: float = float("inf")) -> bytes | None:
        """The next ``frames`` samples, the first of which is heard at ``heard_at``; silence where there is nothing.
        None, and ``asleep``, once nothing has been played for ``sleep_after`` seconds: pull no more until woken."""
        with self._lock:
            self._amplifier.take(frames / self._rate, sound=bool(self._notice or (self._queue and not self._held)))
            pieces, ended = self._take(frames, heard_at)
            self._idle = 0.0 if pieces or self._notice else self._idle + frames / self._rate
            self.asleep = self._idle > sleep_after and self._amplifier.rests
            if self.asleep:
                self._idle = 0.0
                return None
            out = sound.to_bytes(self._sounding(b"".join(pieces).ljust(frames * _WIDTH, b"\0")))
        self._tell(ended)
        if self.tap is not None:
            self.tap(out, self._rate, heard_at)
        return out

    def xrun(self) -> None:
        """The card ran dry by itself; it tells a few periods later."""
        sounding = bool(self._queue) or (self._timeline.handed[0] > 0 and self._idle < _TOLD_WITHIN)
        self.underruns += sounding and not self._held

    def _tell(self, ended: list[tuple[int, float]]) -> None:
        for reply_id, when in ended:
            self._drained_at(reply_id, when)

    def _rouse(self) -> None:
        """Somebody wants to be heard: the card must pull again."""
        with self._lock:
            sleeping, self.asleep = self.asleep, False
        if sleeping:
            self._wake()

    # --- under the lock ----------------------------------------------------------------------------------------------

    def _last_of(self, reply_id: int) -> _Segment | None:
        return next((segment for segment in reversed(self._queue) if segment.reply_id == reply_id), None)

    def _unfinish(self, reply_id: int) -> None:
        """More of this reply comes: whatever was taken for its end is none."""
        self._ended.pop(reply_id, None)
        if (segment := self._last_of(reply_id)) is not None:
            segment.last = False

    def _append(self, reply_id: int, pcm: bytes) -> None:
        if pcm:
            self._queue.append(_Segment(reply_id, pcm))
            self._queued += len(pcm)

    def _convert(self, reply_id: int, pcm: bytes) -> bytes:
        if self._rate == PLAYBACK_RATE:
            return pcm
        if self._resampler is None:
            self._resampler = (reply_id, sound.Resampler(PLAYBACK_RATE, self._rate))
        return sound.to_bytes(self._resampler[1].process(sound.from_bytes(pcm)))

    def _end_resampling(self, *, unless: int | None = None) -> None:
        if self._resampler is not None and self._resampler[0] != unless:
            reply_id, resampler = self._resampler
            self._resampler = None
            self._append(reply_id, sound.to_bytes(resampler.flush()))

    def _take(self, frames: int, heard_at: float) -> tuple[list[bytes], list[tuple[int, float]]]:
        pieces: list[bytes] = []
        ended: list[tuple[int, float]] = []
        wanted = _WIDTH * self._takable(frames)
        while wanted and self._queue:
            segment = self._queue[0]
            piece = segment.pcm[segment.offset : segment.offset + wanted]
            pieces.append(piece)
            wanted -= len(piece)
            self._queued -= len(piece)
            heard_at = self._hand_over(segment.reply_id, len(piece) // _WIDTH, heard_at)
            segment.offset += len(piece)
            if segment.left:
                continue
            self._queue.popleft()
            if segment.last:
                self._ended[segment.reply_id] = heard_at
                ended.append((segment.reply_id, heard_at))
            self._awaited = 0 if segment.last or self._queue else segment.reply_id
        if wanted and not self._held:
            self._starved = self._awaited
        return pieces, ended

    def _takable(self, frames: int) -> int:
        """How many of so many samples replies may fill."""
        if self._amplifier.waking:
            return 0
        return min(frames, self._holding.left) if self._held else frames

    def _hand_over(self, reply_id: int, count: int, heard_at: float) -> float:
        """Note that the card got these samples; returns when they have been heard."""
        return self._timeline.note(reply_id, count, heard_at, self._clock())

    def _sounding(self, pcm: bytes) -> sound.Samples:
        """What the card gets of this sound of replies: held or ducked, our own sounds over it, all at our volume."""
        out = self._holding.apply(self._ducking.apply(sound.from_bytes(pcm)))
        if self._notice and not self._amplifier.waking:
            notice, self._notice = self._notice[: len(pcm)], self._notice[len(pcm) :]
            out = sound.mix(out, sound.from_bytes(notice))
        return self._amplifier.stir(self._volume.apply(out))

    def _let_go(self) -> list[tuple[int, float]]:
        """No more hold; returns the ends that were not reported because of it."""
        if not self._held:
            return []
        self._held = False
        self._holding.to(1.0, self._fade_length())
        now = self._clock()
        return [(reply_id, max(when, now)) for reply_id, when in self._ended.items()]

    def _heard(self, now: float) -> tuple[int, int]:
        reply_id, samples = self._timeline.heard(now)
        return reply_id, round(samples * PLAYBACK_RATE / self._rate)

    def _paused(self) -> tuple[int, int]:
        """The reply in whose middle there is silence now, as the card or the network did not keep up, and what has been
        heard of it."""
        reply_id, handed = self._timeline.handed
        more = self._awaited == reply_id or bool(self._queue and self._queue[0].reply_id == reply_id)
        if not more or reply_id <= self.floor:
            return 0, 0
        return reply_id, round(handed * PLAYBACK_RATE / self._rate)

    def _drop_dead(self) -> float:
        """Leave only living replies in the queue, behind the fade of the one being cut; returns its length in s."""
        fade = b""
        if self._queue and self._queue[0].reply_id <= self.floor and self._is_cut_off():
            head = sound.from_bytes(self._head(round(FADE * self._rate) * _WIDTH))
            fade = sound.to_bytes(sound.fade_out(head, self._holding.gain)) if self._holding.gain else b""
            self._holding.to(1.0, 0)
        faded = [_Segment(self._timeline.handed[0], fade)] if fade else []
        self._queue = deque([*faded, *(s for s in self._queue if s.reply_id > self.floor)])
        self._queued = sum(segment.left for segment in self._queue)
        self._ended = {reply_id: when for reply_id, when in self._ended.items() if reply_id > self.floor}
        if self._resampler is not None and self._resampler[0] <= self.floor:
            self._resampler = None
        return len(fade) / (_WIDTH * self._rate)

    def _is_cut_off(self) -> bool:
        """The queue goes on in the middle of a reply, not at its beginning."""
        reply_id, handed = self._timeline.handed
        return handed > 0 and bool(self._queue) and self._queue[0].reply_id == reply_id

    def _fade_length(self) -> int:
        """Samples a hold fades over: none where it does not cut a reply."""
        return round(FADE * self._rate) if self._is_cut_off() else 0

    def _ramp_length(self) -> int:
        """Samples a change of loudness takes: none where nobody hears it."""
        return 0 if self.asleep or self._idle > 0 else round(_RAMP * self._rate)

    def _head(self, size: int) -> bytes:
        """The next ``size`` bytes of the dead replies at the head of the queue, or what there is of them."""
        head = b""
        for segment in self._queue:
            if len(head) >= size or segment.reply_id > self.floor:
                break
            head += segment.pcm[segment.offset : segment.offset + size - len(head)]
        return head

    def _samples(self, size: int) -> int:
        return round(size / _WIDTH * PLAYBACK_RATE / self._rate)
