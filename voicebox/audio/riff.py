"""WAV as it comes in: cut anywhere, with or without a true length, or several files one after another."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.pcm import Samples

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_ENDLESS = (0, 0xFFFFFFFF, 0x7FFFFFFF)  # what is written where the length was not known yet
_LONGEST_HEADER = 65_536  # bytes before the sound
MAX_CHANNELS = 8
RATES = range(2_000, 384_001)  # Hz


@dataclass(frozen=True, slots=True)
class _Format:
    rate: int
    channels: int
    code: str  # "int8" … "int32" with 24 bits as "int24", "float32", "float64"

    @property
    def frame(self) -> int:
        return self.channels * int(self.code.lstrip("intfloa")) // 8


class WavStream:
    """One stream. Raises ValueError for what is no WAV or none that can be played; it is of no use after that."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._format: _Format | None = None
        self._left: int | None = 0  # bytes of sound still to come; None: until the end
        self._skip = 0  # bytes of a chunk that says nothing to us

    def feed(self, data: bytes) -> Iterator[tuple[int, Samples]]:
        """(rate, mono samples) of what this piece brings."""
        self._pending += data
        while True:
            if self._left != 0:
                yield from self._sound()
                if self._left != 0:
                    return
            if not self._next_chunk():
                return

    def _sound(self) -> Iterator[tuple[int, Samples]]:
        assert self._format is not None  # noqa: S101  # sound begins behind a format only
        size = len(self._pending) if self._left is None else min(len(self._pending), self._left)
        whole = size - size % self._format.frame
        if self._left is not None:
            rest = self._left - whole
            self._left = 0 if rest < self._format.frame else rest
            self._skip = rest if self._left == 0 else 0
        sound, self._pending = bytes(self._pending[:whole]), self._pending[whole:]
        second = self._format.rate * self._format.frame  # at a time: converted, it may take much more memory
        for start in range(0, whole, second):
            yield self._format.rate, _to_mono(sound[start : start + second], self._format)

    def _next_chunk(self) -> bool:
        """Read the header of the next chunk, and what is in it unless that is sound; false: more must come first."""
        skipped = min(self._skip, len(self._pending))
        del self._pending[:skipped]
        self._skip -= skipped
        if self._skip or len(self._pending) < 12:
            return False
        name, size = struct.unpack_from("<4sI", self._pending)
        if name == b"RIFF":
            del self._pending[:12]
        elif name == b"fmt ":
            return self._read_format(size)
        elif name == b"data":
            self._begin_sound(size)
        elif self._format is None and size > _LONGEST_HEADER:
            raise ValueError("no WAV header")
        else:
            self._skip = 8 + size + size % 2
        return True

    def _read_format(self, size: int) -> bool:
        if not 16 <= size <= 1024:
            raise ValueError(f"a format of {size} bytes")
        if len(self._pending) < 8 + size:
            return False
        kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", self._pending, 8)
        if kind == _EXTENSIBLE and size >= 26:
            (kind,) = struct.unpack_from("<H", self._pending, 8 + 24)
        codes = {(_PCM, bits): f"int{bits}" for bits in (8, 16, 24, 32)} | {
            (_FLOAT, bits): f"float{bits}" for bits in (32, 64)
        }
        if (kind, bits) not in codes or not 1 <= channels <= MAX_CHANNELS or rate not in RATES:
            raise ValueError(f"WAV of kind {kind} with {bits} bits, {channels} channels, {rate} Hz")
        self._format = _Format(rate, channels, codes[kind, bits])
        del self._pending[: 8 + size + size % 2]
        return True

    def _begin_sound(self, size: int) -> None:
        if self._format is None:
            raise ValueError("sound before its format")
        self._left = None if size in _ENDLESS else size
        del self._pending[:8]


def _to_mono(data: bytes, form: _Format) -> Samples:
    frames = _to_float(data, form.code).reshape(-1, form.channels)
    mono = frames[:, 0] if form.channels == 1 else frames.mean(axis=1)
    return np.asarray(np.clip(np.nan_to_num(np.rint(mono)), -32768, 32767), np.int16)


def _to_float(data: bytes, code: str) -> NDArray[np.float64]:
    """Of full scale 32768."""
    if code == "int8":
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128.0) * 256.0
    if code == "int24":
        high = np.frombuffer(data, np.uint8).reshape(-1, 3)
        padded = np.zeros((len(high), 4), np.uint8)
        padded[:, 1:] = high
        return padded.view("<i4").ravel() / 65536.0
    samples = np.frombuffer(data, np.dtype(code).newbyteorder("<")).astype(np.float64)
    return samples * {"int16": 1.0, "int32": 1 / 65536.0}.get(code, 32768.0)
