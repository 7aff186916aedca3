"""Encoded sound (MP3, WAV, Ogg, FLAC) to what the speaker takes, while it still comes in.

MP3 and WAV sound from their first bytes on; Ogg, FLAC, and MP3 where libmpg123 is missing, when they are complete.
"""

import io
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Any, Protocol

import numpy as np

from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.mp3 import Mp3Stream
from voicebox.audio.pcm import Resampler, Samples, from_bytes, to_bytes
from voicebox.audio.riff import MAX_CHANNELS, RATES, WavStream
from voicebox.errors import DeviceError

MAX_SECONDS = 300.0
"""Longest reply that is decoded: a few bytes of FLAC can claim to be hours of silence."""
MAX_COLLECTED = 2**23
"""Bytes kept of what can only be decoded when it is complete."""
MOST_REFUSED = 1000
"""Files that libsndfile may refuse before no more are given to it: it loses 6 KB for each Ogg file that it cannot open
(1.2.2), and a service could send them all day."""
_SNIFF = 12  # bytes that tell what it is

log = logging.getLogger(__name__)


class Piece(Protocol):
    """See voicebox.services.base.Sound."""

    @property
    def reply_id(self) -> int: ...
    @property
    def data(self) -> bytes: ...
    @property
    def whole(self) -> bool: ...
    @property
    def last(self) -> bool: ...


class Decoder:
    """Call it with one piece after another of a reply's encoded sound; it returns what each made audible, as s16le
    mono 24 kHz. It never raises: what cannot be decoded is left out and counted in ``skipped_bytes``."""

    def __init__(self, max_seconds: float = MAX_SECONDS) -> None:
        """``max_seconds``: of one reply; what goes beyond is left out."""
        self._max_samples = round(max_seconds * PLAYBACK_RATE)
        self.skipped_bytes = 0
        self._reply_id = 0
        self._ended = False  # its last piece has come
        self._begin(0)

    def __call__(self, piece: Piece) -> bytes:
        if piece.reply_id > self._reply_id:
            self._begin(piece.reply_id)
        if piece.reply_id < self._reply_id or self._ended:
            self.skipped_bytes += len(piece.data)
            return b""
        self._ended = piece.last
        parts = [self._whole(piece.data)] if piece.whole and piece.data else [self._next(piece.data)]
        if piece.last:
            parts.append(self._end())
        return b"".join(parts)

    def _begin(self, reply_id: int) -> None:
        self._reply_id = reply_id
        self._ended = False
        self._room = self._max_samples
        self._stream = _Stream()

    def _whole(self, data: bytes) -> bytes:
        """A file of its own, beside the stream."""
        stream = _Stream()
        return self._take(stream, stream.feed(data)) + self._finish(stream)

    def _next(self, data: bytes) -> bytes:
        return self._take(self._stream, self._stream.feed(data))

    def _end(self) -> bytes:
        ended, self._stream = self._stream, _Stream()
        return self._finish(ended)

    def _finish(self, stream: "_Stream") -> bytes:
        pcm = self._take(stream, stream.finish())
        self.skipped_bytes += stream.skipped_bytes
        return pcm

    def _take(self, stream: "_Stream", sound: Iterator[Samples]) -> bytes:
        parts = []
        try:
            for samples in sound:
                parts.append(samples[: self._room])
                self._room -= len(parts[-1])
                if self._room <= 0:
                    log.warning("a reply is longer than %.0f s; its end is left out", self._max_samples / PLAYBACK_RATE)
                    stream.close()
                    break
        except Exception as error:  # noqa: BLE001  # whatever a service sends, and whatever a library makes of it
            log.warning("sound that cannot be decoded: %s", type(error).__name__)
            stream.close()
        return b"".join(map(to_bytes, parts))


class _Stream:
    """One file: sniffs what it is, decodes, converts to our rate."""

    def __init__(self) -> None:
        self._head: bytes | None = b""  # until it is known what it is
        self._source: _Source = _Nothing()
        self._resampler = Resampler(PLAYBACK_RATE, PLAYBACK_RATE)
        self._rate = PLAYBACK_RATE
        self._fed = 0
        self._sounded = False

    @property
    def skipped_bytes(self) -> int:
        """All of it, if nothing of it could be heard."""
        return 0 if self._sounded else self._fed

    def feed(self, data: bytes) -> Iterator[Samples]:
        self._fed += len(data)
        if self._head is not None:
            self._head += data
            if len(self._head) < _SNIFF:
                return
            data = self._recognise()
        yield from self._convert(self._source.feed(data))

    def finish(self) -> Iterator[Samples]:
        if self._head:
            yield from self._convert(self._source.feed(self._recognise()))
        yield from self._convert(self._source.finish())
        yield self._resampler.flush()
        self._source.close()

    def close(self) -> None:
        """Nothing more is wanted of this."""
        self._source.close()
        self._source, self._head = _Nothing(), None
        self._resampler = Resampler(PLAYBACK_RATE, PLAYBACK_RATE)

    def _recognise(self) -> bytes:
        head, self._head = self._head or b"", None
        self._source = _source(head)
        return head

    def _convert(self, sound: Iterable[tuple[int, Samples]]) -> Iterator[Samples]:
        for rate, samples in sound:
            if rate != self._rate:
                yield self._resampler.flush()
                self._resampler, self._rate = Resampler(rate, PLAYBACK_RATE), rate
            self._sounded = self._sounded or bool(samples.size)
            yield self._resampler.process(samples)


def whole_file(data: bytes, longest: float) -> bytes:
    """A whole file of any of the formats as s16le mono 24 kHz. Raises ValueError, with the reason for the owner, where
    it cannot be decoded or lasts more than ``longest`` seconds; no more of it is decoded then."""
    parts: list[Samples] = []
    room = round(longest * PLAYBACK_RATE)
    with closing(_Stream()) as stream:
        try:
            for samples in chain(stream.feed(data), stream.finish()):
                parts.append(samples)
                room -= samples.size
                if room < 0:
                    break
        except Exception as error:
            raise ValueError(f"cannot be decoded ({type(error).__name__})") from error
    if room < 0:
        raise ValueError(f"lasts more than {longest:.0f} s")
    if not any(samples.size for samples in parts):
        raise ValueError("is no WAV, Ogg, FLAC or MP3 file that can be decoded")
    return b"".join(map(to_bytes, parts))


# --- the formats ---------------------------------------------------------------------------------------------------


class _Source(Protocol):
    """Bytes in, (rate, mono samples) out."""

    def feed(self, data: bytes) -> Iterable[tuple[int, Samples]]: ...
    def finish(self) -> Iterable[tuple[int, Samples]]: ...
    def close(self) -> None: ...


class _Nothing:
    """What cannot be decoded."""

    def feed(self, data: bytes) -> Iterable[tuple[int, Samples]]:  # noqa: ARG002
        return ()

    def finish(self) -> Iterable[tuple[int, Samples]]:
        return ()

    def close(self) -> None:
        pass


class _Mp3(_Nothing):
    def __init__(self) -> None:
        self._stream = Mp3Stream()

    def feed(self, data: bytes) -> Iterable[tuple[int, Samples]]:
        return ((decoded.rate, from_bytes(decoded.pcm)) for decoded in self._stream.feed(data))

    def close(self) -> None:
        self._stream.close()


class _Wav(_Nothing):
    def __init__(self) -> None:
        self._stream = WavStream()

    def feed(self, data: bytes) -> Iterable[tuple[int, Samples]]:
        return self._stream.feed(data)


class _Collected(_Nothing):
    """What libsndfile can read, which wants to see the whole file."""

    refused = 0
    """By libsndfile, since this process began."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterable[tuple[int, Samples]]:
        self._data += data
        if len(self._data) > MAX_COLLECTED:
            raise ValueError("too long to be kept")
        return ()

    def finish(self) -> Iterable[tuple[int, Samples]]:
        if _Collected.refused >= MOST_REFUSED:
            raise ValueError(f"{MOST_REFUSED} files were no good")
        with _in_memory(self._data) as whole, self._opened(whole) as file:
            if file.channels > MAX_CHANNELS or file.samplerate not in RATES:
                raise ValueError(f"{file.channels} channels, {file.samplerate} Hz")
            while len(block := file.read(file.samplerate, dtype="int16", always_2d=True)):
                yield file.samplerate, np.asarray(np.rint(block.mean(axis=1)), np.int16)

    @staticmethod
    def _opened(whole: io.FileIO) -> Any:  # noqa: ANN401  # a soundfile.SoundFile, which ships no types
        import soundfile  # noqa: PLC0415  # only boxes whose service sends such files pay for loading it

        try:
            return soundfile.SoundFile(whole.fileno(), closefd=False)
        except soundfile.LibsndfileError:
            _Collected.refused += 1
            raise

    def close(self) -> None:
        self._data.clear()


def _in_memory(data: bytes | bytearray) -> io.FileIO:
    """A file, as libsndfile reads anything else through callbacks that cffi makes at run time, which the unit's
    MemoryDenyWriteExecute forbids."""
    file = io.FileIO(os.memfd_create("sound"), "r+")
    file.write(data)
    file.seek(0)
    return file


def _source(head: bytes) -> _Source:
    if head.startswith(b"RIFF"):
        return _Wav()
    if head.startswith((b"OggS", b"fLaC")):
        return _Collected()
    return _mp3() if head.startswith(b"ID3") or _is_mp3_frame(head) else _Nothing()


def _is_mp3_frame(head: bytes) -> bool:
    """Eleven bits of synchronisation, a version and a layer that exist (AAC has neither)."""
    return len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0 and head[1] & 0x18 != 0x08 and head[1] & 0x06 != 0


def _mp3() -> _Source:
    try:
        return _Mp3()
    except DeviceError as error:
        log.warning("%s; until then replies begin only when they are complete", error)
        return _Collected()
