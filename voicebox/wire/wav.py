"""Sound in RIFF/WAVE, as services put it into messages: one file in each. Reads headers without trust, writes them.

Services write headers before they know how much sound follows: a length of 0 or near the largest there is means "all
that comes". Chunks beside ``fmt`` and ``data`` are passed over.
"""

import struct
from dataclasses import dataclass, field

PCM, FLOAT = 1, 3
_EXTENSIBLE = 0xFFFE  # the true encoding stands further on
_UNKNOWN = 0x7FFF0000  # lengths from here on are what streaming writers put where they do not know
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_SUBFORMAT = 24  # where an extensible format names its encoding
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


@dataclass(frozen=True, slots=True)
class Wav:
    """``data`` is a whole number of frames."""

    rate: int  # Hz
    channels: int
    bits: int  # of one sample
    encoding: int  # PCM, FLOAT or another WAVE format tag
    data: bytes = field(repr=False)

    def is_pcm(self, rate: int) -> bool:
        """Whether the data is s16le mono at this rate."""
        return (self.rate, self.channels, self.bits, self.encoding) == (rate, 1, 16, PCM)


def is_wav(blob: bytes) -> bool:
    return blob[:4] == b"RIFF" and blob[8:12] == b"WAVE"


def read(blob: bytes) -> Wav:
    """The first sound in a WAV file. Raises ValueError where it is none, cut short or makes no sense."""
    if not is_wav(blob):
        raise ValueError("no RIFF/WAVE header")
    form: tuple[int, int, int, int] | None = None
    at = 12
    while at + _CHUNK.size <= len(blob):
        name, size = _CHUNK.unpack_from(blob, at)
        at += _CHUNK.size
        if name == b"data":
            return _sound(form, blob[at:], size)
        if at + size > len(blob):
            break
        if name == b"fmt ":
            form = _format(blob[at : at + size])
        at += size + size % 2
    raise ValueError("a WAV file without sound, or cut short")


def _format(chunk: bytes) -> tuple[int, int, int, int]:
    """(encoding, channels, rate, bits)"""
    if len(chunk) < _FORMAT.size:
        raise ValueError("a WAV format that is too short")
    encoding, channels, rate, _, _, bits = _FORMAT.unpack_from(chunk)
    if encoding == _EXTENSIBLE and len(chunk) >= _SUBFORMAT + 2:
        (encoding,) = struct.unpack_from("<H", chunk, _SUBFORMAT)
    if not rate or not 1 <= channels <= 64 or bits not in (4, 8, 16, 24, 32, 64):
        raise ValueError(f"a WAV format that cannot be: {channels} channels, {rate} Hz, {bits} bits")
    return encoding, channels, rate, bits


def _sound(form: tuple[int, int, int, int] | None, rest: bytes, size: int) -> Wav:
    if form is None:
        raise ValueError("a WAV file without a format")
    encoding, channels, rate, bits = form
    known = 0 < size < _UNKNOWN
    if known and len(rest) < size:
        raise ValueError(f"a WAV file cut short: {len(rest)} of {size} bytes")
    data = rest[:size] if known else rest
    frame = max(1, channels * bits // 8)
    return Wav(rate, channels, bits, encoding, data[: len(data) - len(data) % frame])


def pack(data: bytes, rate: int, channels: int = 1, bits: int = 16, encoding: int = PCM) -> bytes:
    """A WAV file with this sound: by default s16le mono."""
    frame = channels * bits // 8
    header = _HEADER.pack(
        *(b"RIFF", _HEADER.size - 8 + len(data) + len(data) % 2, b"WAVE"),
        *(b"fmt ", _FORMAT.size, encoding, channels, rate, rate * frame, frame, bits),
        *(b"data", len(data)),
    )
    return header + data + bytes(len(data) % 2)
