"""What is settled with ALSA and the kernel around PortAudio: quiet libraries, memory, priority."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

_libc = ctypes.CDLL(None)
_ERROR_HANDLER = ctypes.CFUNCTYPE(None, *(ctypes.c_char_p, ctypes.c_int) * 2, ctypes.c_char_p)
_MESSAGE_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_ignore_error = _ERROR_HANDLER(lambda *_: None)  # module level: the libraries keep pointers to them
_ignore_message = _MESSAGE_HANDLER(lambda _: None)


_KEPT = ("libpixman-1.so.0",)
"""Libraries that lose memory each time they are loaded (12 kB): ALSA's plug-ins bring them whenever PortAudio is made
anew, which for a loose plug is many times a year. They stay loaded, at 0.1 MB."""


def keep_leaky_libraries() -> None:
    """For good. Those that are not installed are not missed."""
    for library in _KEPT:
        with suppress(OSError):
            ctypes.CDLL(library)


def hush() -> None:
    """Stop ALSA and JACK from printing a hundred lines to stderr at every start of PortAudio."""
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    silent = {
        "libasound.so.2": [("snd_lib_error_set_handler", _ignore_error)],
        "libjack.so.0": [("jack_set_error_function", _ignore_message), ("jack_set_info_function", _ignore_message)],
    }
    for library, functions in silent.items():
        with suppress(OSError, AttributeError):  # not installed: then it prints nothing
            loaded = ctypes.CDLL(library)
            for name, handler in functions:
                getattr(loaded, name)(handler)


class _Stderr:
    """C's standard error, and how many are just now keeping it quiet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        try:
            self._pointer = ctypes.c_void_p.in_dll(_libc, "stderr")
        except ValueError:  # another C library than Debian's
            self._pointer = ctypes.c_void_p()
        self._loud = self._pointer.value

    def change(self, by: int) -> None:
        with self._lock:
            self._count += by
            if self._loud is not None:
                self._pointer.value = _nowhere() if self._count else self._loud


_stderr = _Stderr()


@contextmanager
def quiet() -> Iterator[None]:
    """PortAudio prints three lines for every format a card refuses, and a missing card is tried for ever: send what C
    libraries write by stdio to nowhere meanwhile. What Python writes is not affected."""
    _stderr.change(+1)
    try:
        yield
    finally:
        _stderr.change(-1)


@cache
def _nowhere() -> int:
    """A FILE of C's that leads nowhere."""
    _libc.fopen.restype = ctypes.c_void_p
    opened: int = _libc.fopen(os.devnull.encode(), b"w")
    return opened


def forget_configuration() -> None:
    """To list its devices ALSA loads every plugin there is, video codecs among them: give those 11 MB back. What open
    streams use stays. On the keeper's thread only: ALSA must not be opening anything meanwhile."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_config_update_free_global()


def hurry() -> None:
    """Put the calling thread before ordinary work: it has 5 ms. Needs root or LimitRTPRIO; without, it works as well
    as the machine is idle."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(5))
