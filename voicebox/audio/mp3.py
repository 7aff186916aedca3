"""MP3 as it comes in: libmpg123 through ctypes, which decodes whatever is there and waits for the rest.

The library is small (390 KB) and in every Debian (libmpg123-0, on trixie libmpg123-0t64); libsndfile has it inside too
but wants whole files. A stream may change its rate on the way, and may be several files one after another.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from voicebox.errors import DeviceError

_LIBRARY = "libmpg123.so.0"

# from mpg123.h and fmt123.h
_OK, _NEW_FORMAT = 0, -11
_ADD_FLAGS, _RESYNC_LIMIT = 2, 14  # parameters
_MONO_MIX, _QUIET, _SKIP_ID3V2 = 0x4, 0x20, 0x2000
_MONO, _SIGNED_16 = 1, 0xD0
_ANY_RATE = 0

_OUTPUT = 32_768  # bytes decoded at once: more than the longest frame


@dataclass(frozen=True, slots=True)
class Decoded:
    """s16le mono at ``rate`` Hz."""

    rate: int
    pcm: bytes = field(repr=False)


class Mp3Stream:
    """One stream. The silence that an encoder puts before and behind the sound is cut off where the stream says how
    much it is. Raises DeviceError where libmpg123 is missing or has no memory."""

    def __init__(self) -> None:
        self._handle: int | None = None
        self._library = library = _load()
        self._handle = library.mpg123_new(None, None)
        if not self._handle:
            raise DeviceError("libmpg123 has no memory left for a decoder")
        library.mpg123_param(self._handle, _ADD_FLAGS, _MONO_MIX | _QUIET | _SKIP_ID3V2, 0.0)
        library.mpg123_param(self._handle, _RESYNC_LIMIT, -1, 0.0)  # look for sound behind any amount of junk
        library.mpg123_format_none(self._handle)
        library.mpg123_format2(self._handle, _ANY_RATE, _MONO, _SIGNED_16)
        library.mpg123_open_feed(self._handle)
        self._output = ctypes.create_string_buffer(_OUTPUT)
        self._rate = 0

    def feed(self, data: bytes) -> Iterator[Decoded]:
        """What this piece makes audible, in parts of at most 0.7 s. Take all of it before the next call, or close. What
        is no MP3 is skipped."""
        status, done = self._decode(data)
        while status in (_OK, _NEW_FORMAT):
            if status == _NEW_FORMAT:
                self._rate = self._read_rate()
            if done:
                yield Decoded(self._rate, self._output.raw[:done])
            status, done = self._decode(b"")
        if done:
            yield Decoded(self._rate, self._output.raw[:done])

    def close(self) -> None:
        """Give the memory back. Nothing may be fed after it."""
        handle, self._handle = self._handle, None
        if handle:
            self._library.mpg123_delete(handle)

    __del__ = close

    def _decode(self, data: bytes) -> tuple[int, int]:
        """(status, bytes now in the output)."""
        done = ctypes.c_size_t()
        status = self._library.mpg123_decode(
            self._handle, data or None, len(data), self._output, _OUTPUT, ctypes.byref(done)
        )
        return status, done.value

    def _read_rate(self) -> int:
        rate, channels, encoding = ctypes.c_long(), ctypes.c_int(), ctypes.c_int()
        self._library.mpg123_getformat(self._handle, *map(ctypes.byref, (rate, channels, encoding)))
        return rate.value


@cache
def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise DeviceError(
            "MP3 cannot be decoded while it comes in: libmpg123 is missing; mend it with: sudo apt install libmpg123-0"
        ) from error
    handle, number = ctypes.c_void_p, ctypes.c_int
    library.mpg123_new.restype = handle
    library.mpg123_new.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.mpg123_param.argtypes = [handle, number, ctypes.c_long, ctypes.c_double]
    library.mpg123_format_none.argtypes = [handle]
    library.mpg123_format2.argtypes = [handle, ctypes.c_long, number, number]
    library.mpg123_open_feed.argtypes = [handle]
    library.mpg123_getformat.argtypes = [handle] + [ctypes.c_void_p] * 3
    library.mpg123_decode.argtypes = [
        handle,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_void_p,
    ]
    library.mpg123_delete.argtypes = [handle]
    library.mpg123_delete.restype = None
    library.mpg123_init()
    return library
