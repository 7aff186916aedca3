"""Arithmetic on sound: s16le samples in numpy arrays (every machine we run on is little-endian)."""

import math
from collections import deque
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK

Samples = NDArray[np.int16]

SILENCE = -100.0
"""The level of digital silence in dBFS; nothing is quieter."""


def from_bytes(pcm: bytes) -> Samples:
    """s16le bytes as a read-only array, shape (n,). Raises ValueError on an odd number of bytes."""
    return np.frombuffer(pcm, dtype=np.int16)


def to_bytes(samples: Samples) -> bytes:
    return samples.tobytes()


def to_int16(samples: NDArray[np.float32]) -> Samples:
    """Floats of full scale 1.0 as int16, rounded and clipped."""
    return np.asarray(np.clip(np.rint(samples * 32768.0), -32768, 32767), np.int16)


def level(samples: Samples) -> float:
    """RMS level in dBFS (a full-scale square wave is 0), without any DC offset; SILENCE at the least."""
    if not samples.size:
        return SILENCE
    deviation = float(np.std(samples, dtype=np.float64)) / 32768.0
    return max(SILENCE, 20.0 * math.log10(deviation)) if deviation > 0 else SILENCE


def peak(samples: Samples) -> float:
    """The highest sample in dBFS; SILENCE at the least."""
    highest = int(np.max(np.abs(samples.astype(np.int32)), initial=0))
    return 20.0 * math.log10(highest / 32768.0) if highest else SILENCE


def fade_out(samples: Samples, gain: float = 1.0) -> Samples:
    """The same samples, falling from ``gain`` to nothing along half a cosine: no click at either end."""
    ramp = (0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, samples.size, dtype=np.float32))) * np.float32(gain)
    return np.asarray(np.rint(samples * ramp), np.int16)


def mix(one: Samples, other: Samples) -> Samples:
    """Both at once, as long as ``one`` (``other`` may be shorter), clipped."""
    sum_ = one.astype(np.int32)
    sum_[: other.size] += other
    return np.asarray(np.clip(sum_, -32768, 32767), np.int16)


def scale(samples: Samples, gain: float) -> Samples:
    """The same sound ``gain`` times as strong, clipped."""
    return to_int16(samples * np.float32(gain / 32768.0))


def pick_channel(interleaved: Samples, channels: int, channel: int | None = 0) -> Samples:
    """One channel of interleaved sound, shape (n,); ``channel`` None: the mean of all of them."""
    frames = interleaved.reshape(-1, channels)
    if channel is None:
        return np.asarray(np.rint(frames.mean(axis=1)), np.int16)
    return frames[:, min(channel, channels - 1)].copy()


def to_channels(mono: Samples, channels: int) -> Samples:
    """The same sound on every channel, interleaved."""
    return np.repeat(mono, channels)


class Resampler:
    """Converts a stream of mono sound from one rate to another with soxr; equal rates pass through."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._stream: Any = None
        if from_rate != to_rate:
            import soxr  # noqa: PLC0415  # only boxes whose cards need it pay for loading it

            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")

    def process(self, samples: Samples) -> Samples:
        """The next samples; what comes out lags a few ms behind until ``flush``."""
        return self._run(samples, last=False)

    def flush(self) -> Samples:
        """The tail still inside. The resampler is used up."""
        return self._run(np.empty(0, np.int16), last=True)

    def _run(self, samples: Samples, *, last: bool) -> Samples:
        if self._stream is None:
            return samples
        return to_int16(self._stream.resample_chunk(samples.astype(np.float32) / 32768.0, last=last))


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """All of a finite sound at once."""
    resampler = Resampler(from_rate, to_rate)
    return np.concatenate([resampler.process(samples), resampler.flush()]) if from_rate != to_rate else samples


class Change(StrEnum):
    STARTED = "started"
    STOPPED = "stopped"


class SpeechGate:
    """Tells speech from quiet by energy: loud is what stands ``margin`` dB above the quietest 60 ms of the last 4 s,
    and above ``absolute_floor`` in any case. So steady noise is learnt within seconds, and digital silence or a short
    drop-out teaches nothing wrong."""

    _GROUP = 3  # blocks: the quietest stretch must last 60 ms, a shorter drop-out does not count
    _MEMORY = 66  # groups: 4 s
    _UNSURE = 25  # groups: for the first 1.5 s quiet is assumed to be as quiet as can be

    def __init__(
        self,
        *,
        hangover_ms: int = 500,
        min_speech_ms: int = 80,
        absolute_floor: float = -50.0,
        margin: float = 10.0,
    ) -> None:
        self._hangover = max(1, hangover_ms // 20)
        self._min_speech = max(1, min_speech_ms // 20)
        self._absolute_floor = absolute_floor
        self._margin = margin
        self.reset()

    def reset(self) -> None:
        """Forget everything, as for a new stream."""
        self.hush()
        self._group: list[float] = []
        self._groups: deque[float] = deque(maxlen=self._MEMORY)

    def hush(self) -> None:
        """Nobody speaks any more; how loud the room is stays known."""
        self.speaking = False
        self._loud = 0  # loud blocks so far, less the quiet ones among them
        self._quiet = 0  # quiet blocks in a row

    @property
    def threshold(self) -> float:
        """What counts as loud now, in dBFS."""
        if len(self._groups) < self._UNSURE:
            return self._absolute_floor
        return max(self._absolute_floor, min(self._groups) + self._margin)

    def feed(self, block: Samples) -> Change | None:
        """The next 20 ms, shape (320,) at 16 kHz. Raises ValueError on any other length."""
        if block.shape != (BLOCK,):
            raise ValueError(f"a block has {BLOCK} samples, not {block.shape}")
        now = level(block)
        loud = now > self.threshold
        self._learn(now)
        return self._while_speaking(loud) if self.speaking else self._while_quiet(loud)

    def _learn(self, now: float) -> None:
        self._group.append(now)
        if len(self._group) == self._GROUP:
            self._groups.append(max(self._group))
            self._group.clear()

    def _while_quiet(self, loud: bool) -> Change | None:
        self._loud = self._loud + 1 if loud else max(0, self._loud - 1)
        if self._loud < self._min_speech:
            return None
        self.speaking, self._loud, self._quiet = True, 0, 0
        return Change.STARTED

    def _while_speaking(self, loud: bool) -> Change | None:
        self._quiet = 0 if loud else self._quiet + 1
        if self._quiet < self._hangover:
            return None
        self.speaking = False
        return Change.STOPPED
