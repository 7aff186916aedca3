"""What the speaker really played, on a line of 16 kHz samples: what echo cancellation compares the microphone with."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import CAPTURE_RATE
from voicebox.audio.clock import StreamClock
from voicebox.audio.pcm import from_bytes

SECONDS = 8
_SILENT = 8
"""Samples no louder than this (-72 dBFS) are nothing one could hear come back."""
_WAITING = 800  # buffers kept until somebody looks: 4 s of the smallest
_GAP = 0.020  # seconds between what a buffer's time says and where the line stands: the stream rested meanwhile
_TAPS = 32
_PHASES = 512
_PASS = 0.9  # of what 16 kHz can hold passes when a card's rate is brought down to it


@dataclass(frozen=True, slots=True)
class Buffer:
    """What the card was given: ``pcm`` (s16le, mono) at ``rate`` Hz, heard from ``at`` on (seconds)."""

    pcm: bytes = field(repr=False)
    rate: int
    at: float

    def follows(self, other: "Buffer") -> bool:
        """Without a rest between them."""
        return self.rate == other.rate and self.at - other.at - len(other.pcm) / 2 / self.rate < _GAP


class Reference:
    """``heard`` may be called from the card's thread; everything else belongs to one thread.

    An index counts samples since the first buffer; while the card rests the line goes on by the clock."""

    def __init__(self) -> None:
        self._waiting: deque[Buffer] = deque(maxlen=_WAITING)
        self._line = np.zeros(SECONDS * CAPTURE_RATE, np.float32)
        self._kernels = _kernels(_TAPS)
        self._clock = StreamClock(CAPTURE_RATE)
        self._downsampler: Downsampler | None = None
        self._taken = 0.0  # where the next buffer begins
        self.runs = 0
        """How often the card has begun anew to play."""
        self.began = 0
        """Index at which it did so last."""
        self.end = 0
        """Index after the newest sample."""
        self.sounding_until = -(10**9)
        """Index after the newest sample that is not silence."""

    def heard(self, pcm: bytes, rate: int, at: float) -> None:
        """The card was given these samples, the first of which is heard at ``at``."""
        self._waiting.append(Buffer(pcm, rate, at))

    def update(self) -> None:
        """Take in what was heard since the last call."""
        while self._waiting:
            first = last = self._waiting.popleft()
            pieces = [first.pcm]
            while self._waiting and self._waiting[0].follows(last):
                last = self._waiting.popleft()
                pieces.append(last.pcm)
            self._take(Buffer(b"".join(pieces), first.rate, first.at))

    @property
    def known(self) -> bool:
        """Whether anything was ever played."""
        return self._clock.known

    def index(self, time: float) -> float:
        """What is heard at ``time``, with its fraction. Only while ``known``."""
        return self._clock.index(time)

    def read(self, start: float, count: int) -> NDArray[np.float32]:
        """``count`` samples, shape (count,), in int16's range, from between the samples where ``start`` has a fraction;
        zeros where there are none (yet, or any more)."""
        phase = round(start * _PHASES)
        whole, part = divmod(phase, _PHASES)
        around = self._stretch(whole - _TAPS // 2 + 1, count + _TAPS - 1)
        return np.convolve(around, self._kernels[part], "valid")

    def _stretch(self, start: int, count: int) -> NDArray[np.float32]:
        index = np.arange(start, start + count)
        found = self._line[index % len(self._line)]
        if start < self.end - len(self._line) or start + count > self.end or start < 0:
            found[(index >= self.end) | (index < self.end - len(self._line)) | (index < 0)] = 0
        return found

    def _take(self, buffer: Buffer) -> None:
        if self._downsampler is None or buffer.rate != self._downsampler.rate or self._rested(buffer.at):
            self._downsampler = self._begin(buffer)
        self._clock.update(self._taken, buffer.at)
        samples = from_bytes(buffer.pcm)
        self._append(self._downsampler.process(samples))
        self._taken += samples.size * CAPTURE_RATE / buffer.rate

    def _rested(self, at: float) -> bool:
        return at - self._clock.time(self._taken) > _GAP

    def _begin(self, buffer: Buffer) -> "Downsampler":
        """The card plays on after a rest, or another card does: silence in between, then a new run."""
        if self._clock.known:
            self._silence(max(0, round(self._clock.index(buffer.at)) - self.end))
        self._taken, self.began = float(self.end), self.end
        self._clock.restart()
        self.runs += 1
        return Downsampler(buffer.rate)

    def _silence(self, count: int) -> None:
        self._line[np.arange(self.end, self.end + min(count, len(self._line))) % len(self._line)] = 0
        self.end += count

    def _append(self, samples: NDArray[np.float32]) -> None:
        self._line[np.arange(self.end, self.end + samples.size) % len(self._line)] = samples
        self.end += samples.size
        loud = np.flatnonzero(np.abs(samples) > _SILENT)
        if loud.size:
            self.sounding_until = self.end - samples.size + int(loud[-1]) + 1


class Downsampler:
    """Brings a stream of int16 samples from ``rate`` to 16 kHz. It holds back only 16 samples, where soxr's holds back
    up to 40 ms: the echo of a sound may be heard before that."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        share = min(1.0, _PASS * CAPTURE_RATE / rate)
        self._width = 2 * round(_TAPS / 2 * max(1.0, rate / CAPTURE_RATE))
        self._kernels = _kernels(self._width, share)[:, ::-1]
        self._pending = np.zeros(self._width // 2 - 1, np.float32)
        self._first = 1 - self._width // 2  # input sample that ``_pending`` begins with
        self._made = 0  # samples given out

    def process(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        """The next samples, any number."""
        pending = np.concatenate([self._pending, samples.astype(np.float32)])
        ready = self._first + pending.size - self._width // 2  # input samples around which all is known
        count = max(0, -(-ready * CAPTURE_RATE // self.rate) - self._made)
        place = (self._made + np.arange(count, dtype=np.int64)) * self.rate
        whole, part = place // CAPTURE_RATE, place % CAPTURE_RATE * _PHASES // CAPTURE_RATE
        start = whole - self._width // 2 + 1 - self._first
        self._made += count
        used = self._made * self.rate // CAPTURE_RATE - self._width // 2 + 1 - self._first
        self._pending, self._first = pending[used:], self._first + used
        if not pending.any():
            return np.zeros(count, np.float32)
        around = pending[start[:, None] + np.arange(self._width)]
        return np.asarray(np.einsum("ij,ij->i", around, self._kernels[part]), np.float32)


def _kernels(width: int, share: float = 1.0) -> NDArray[np.float32]:
    """Windowed sinc functions that read a line between its samples, one for each of the _PHASES fractions, turned round
    as ``np.convolve`` wants them: shape (_PHASES, width). ``share`` of what the line can hold passes."""
    fraction = np.arange(_PHASES)[:, None] / _PHASES
    offset = np.arange(width)[None] - (width // 2 - 1) - fraction
    window = np.cos(np.pi * offset / (width + 2)) ** 2
    kernels: NDArray[np.float32] = (share * np.sinc(share * offset) * window)[:, ::-1].astype(np.float32)
    return kernels
