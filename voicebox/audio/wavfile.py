"""A microphone and a speaker made of arrays and WAV files, paced by the loop's own clock.

Under a VirtualTimeLoop it is as fast as the machine, elsewhere it runs in real time. Every 20 ms one microphone block
is delivered and the speaker advances by as much; its "card" holds ``latency`` seconds, as a real one does. Everything
said and heard is kept in memory (80 kB a second): it is for tests, the demo and recordings, not for years.
"""

import asyncio
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voicebox.audio import pcm as sound
from voicebox.audio.base import BLOCK, CAPTURE_RATE, PLAYBACK_RATE, Block, Flushed, Handlers
from voicebox.audio.held import Held
from voicebox.audio.pcm import Samples
from voicebox.audio.playback import Playback
from voicebox.errors import ConfigError

_PERIOD = BLOCK / CAPTURE_RATE


@dataclass(frozen=True, slots=True)
class FlushMark:
    """One flush in the recording of the speaker (24 kHz)."""

    index: int  # speaker sample that was being heard when flush was called
    floor: int
    reply_id: int  # the reply that was cut, 0 if none was being heard


def read_wav(path: Path, rate: int) -> Samples:
    """A WAV file as mono int16 at ``rate``. Raises ConfigError if it cannot be read or is not 16 bits deep."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise ConfigError(f"{path}: {8 * file.getsampwidth()} bits per sample; convert it to 16")
            interleaved = sound.from_bytes(file.readframes(file.getnframes()))
            mono = sound.pick_channel(interleaved, file.getnchannels(), None if file.getnchannels() > 1 else 0)
            return sound.resample(mono, file.getframerate(), rate)
    except (OSError, EOFError, wave.Error) as error:
        raise ConfigError(f"{path}: not a WAV file that can be read ({error}); give another file") from error


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Save mono int16 sound."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(sound.to_bytes(samples))


class _Speaker(Playback):
    """Playback on a card that advances whenever somebody looks."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._loop: asyncio.AbstractEventLoop | None = None  # none: the card is not open and does not advance
        self._handlers: Handlers | None = None
        self._start = 0.0
        self._pulled = 0
        self.recorded = bytearray()
        self.flushes: list[FlushMark] = []
        self.spoken: list[tuple[int, int, int]] = []  # (reply id, first speaker sample, one after the last)
        super().__init__(self._report_drained, clock=self._now)

    def open(self, loop: asyncio.AbstractEventLoop, handlers: Handlers) -> None:
        self._loop, self._handlers, self._start = loop, handlers, loop.time()
        self.tap = handlers.heard

    def close(self) -> None:
        """Nothing more is heard or reported."""
        self._loop = None

    def _now(self) -> float:
        return self._loop.time() if self._loop else self._start + self._pulled / PLAYBACK_RATE

    def play(self, reply_id: int, pcm: bytes) -> None:
        self.advance()
        super().play(reply_id, pcm)

    def finish(self, reply_id: int) -> None:
        self.advance()
        super().finish(reply_id)

    def flush(self, floor: int) -> Flushed:
        self.advance()
        flushed = super().flush(floor)
        self.flushes.append(FlushMark(self._index(self._now()), floor, flushed.reply_id))
        return flushed

    def hold(self) -> None:
        self.advance()
        super().hold()

    def resume(self) -> None:
        self.advance()
        super().resume()

    def duck(self, on: bool) -> None:
        self.advance()
        super().duck(on)

    def set_volume(self, level: float) -> None:
        self.advance()
        super().set_volume(level)

    @property
    def dry(self) -> float:
        self.advance()
        return super().dry

    def advance(self) -> None:
        """Hand the card what it takes until now: its buffer is always full."""
        frames = self._index(self._now() + self._latency) - self._pulled
        if frames <= 0 or self._loop is None:
            return
        self.recorded += self.pull(frames, self._start + self._pulled / PLAYBACK_RATE) or b""
        self._pulled += frames

    def _index(self, moment: float) -> int:
        return round((moment - self._start) * PLAYBACK_RATE)

    def _hand_over(self, reply_id: int, count: int, heard_at: float) -> float:
        first = self._index(heard_at)
        self.spoken.append((reply_id, first, first + count))
        return super()._hand_over(reply_id, count, heard_at)

    def _report_drained(self, reply_id: int, when: float) -> None:
        if self._loop is not None:
            self._loop.call_at(when, self._drained, reply_id)

    def _drained(self, reply_id: int) -> None:
        while self._loop is not None and self._handlers is not None and (ended := self.over(reply_id)):
            self._handlers.drained(ended)


class WavBackend:
    """``input`` is what the microphone hears from the start (any 16-bit WAV), then silence; ``say`` adds to it. What
    the speaker played is saved as ``output`` by ``stop``. ``noise`` is the microphone's own noise in dBFS."""

    def __init__(
        self,
        input: Path | None = None,  # noqa: A002  # it is the name of the setting
        output: Path | None = None,
        *,
        noise: float | None = None,
        latency: float = 0.010,
    ) -> None:
        self._output = output
        self.speaker = _Speaker(latency)
        self._noise = 0.0 if noise is None else 32768.0 * 10.0 ** (noise / 20.0)
        self._random = np.random.default_rng(1)
        self._coming = np.zeros(0, np.int32)  # what the microphone will hear from ``position`` on
        self._heard = bytearray()
        self._held = Held()
        self._timer: asyncio.TimerHandle | None = None
        self._captures = True
        self._announced = False
        if input is not None:
            self.say(read_wav(input, CAPTURE_RATE))

    @property
    def position(self) -> int:
        return len(self._heard) // 2

    @property
    def mixer(self) -> str | None:
        return None  # files have none

    @property
    def started(self) -> float:
        """Loop time of the first sample, heard or played."""
        return self._start

    @property
    def mic(self) -> Samples:
        """All the microphone heard so far, 16 kHz."""
        return sound.from_bytes(bytes(self._heard))

    @property
    def spk(self) -> Samples:
        """All the speaker played so far, 24 kHz; sample i of it belongs to the moment of microphone sample i / 1.5."""
        return sound.from_bytes(bytes(self.speaker.recorded))

    @property
    def flushes(self) -> list[FlushMark]:
        return self.speaker.flushes

    def heard_after(self, mark: FlushMark) -> int:
        """How many samples after the flush a dead reply was still heard, measured on the recording (24 kHz)."""
        recorded = self.spk
        last = mark.index
        for reply_id, first, end in self.speaker.spoken:
            if reply_id <= mark.floor and end > mark.index:
                sounding = np.flatnonzero(recorded[first:end])
                last = max(last, first + int(sounding[-1]) + 1) if sounding.size else last
        return last - mark.index

    def say(self, samples: Samples | bytes, *, delay: float = 0.0) -> int:
        """Mix 16 kHz sound into what the microphone hears, from ``delay`` seconds hence. Returns the microphone
        position of its first sample."""
        speech = sound.from_bytes(samples) if isinstance(samples, bytes) else samples
        first = round(delay * CAPTURE_RATE)
        missing = first + speech.size - self._coming.size
        if missing > 0:
            self._coming = np.concatenate([self._coming, np.zeros(missing, np.int32)])
        self._coming[first : first + speech.size] += speech
        return self.position + first

    def trouble(self) -> str | None:
        return None

    def capture(self, on: bool) -> None:
        self._announced = self._announced and on
        self._captures = on
        self._held.drop()

    def wait_for(self, position: int) -> None:
        self._held.until = position

    async def start(self, handlers: Handlers) -> None:
        self._loop = asyncio.get_running_loop()
        self._handlers = handlers
        self.speaker.open(self._loop, handlers)
        self._start = self._loop.time()
        self._ticks = 0
        self._timer = self._schedule()

    async def stop(self) -> None:
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self.speaker.close()
        if self._output is not None:
            write_wav(self._output, self.spk, PLAYBACK_RATE)

    def _schedule(self) -> asyncio.TimerHandle:
        return self._loop.call_at(self._start + (self._ticks + 1) * _PERIOD, self._tick)

    def _tick(self) -> None:
        """One block; a late loop runs the missed ticks one after another, so nothing is lost."""
        self._ticks += 1
        self._timer = self._schedule()
        self.speaker.advance()
        block = Block(self.position, sound.to_bytes(self._next()), self._start + self.position / CAPTURE_RATE)
        if self._captures:
            self._heard += block.pcm
            for due in self._held.add(block):
                self._handlers.block(due)
        else:
            self._heard += bytes(2 * BLOCK)
        if self._captures and not self._announced:
            self._announced = True
            self._handlers.ready("microphone")
        if self._ticks == 1:
            self._handlers.ready("speaker")

    def _next(self) -> Samples:
        block = np.zeros(BLOCK, np.int32)
        said = self._coming[:BLOCK]
        block[: said.size] = said
        self._coming = self._coming[BLOCK:]
        if self._noise:
            block += np.rint(self._random.normal(0.0, self._noise, BLOCK)).astype(np.int32)
        return np.clip(block, -32768, 32767).astype(np.int16)
