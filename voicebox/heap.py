"""How memory is looked after while the box starts, and when it has."""

import ctypes
import gc
from contextlib import suppress

_USUAL = gc.get_threshold()
_RARELY = (50_000, 20, 100)


def starting() -> None:
    """What a start makes stays: to look through all of it for garbage, over and over, is a third of what voicebox's own
    modules cost. It is still done, rarely, should the start take long."""
    gc.set_threshold(*_RARELY)


def started() -> None:
    """From now on as usual."""
    gc.set_threshold(*_USUAL)
    give_back()


def give_back() -> None:
    """Loading models and settings leaves megabytes of freed memory with the C library: hand them to the system."""
    with suppress(OSError, AttributeError):  # another C library than Debian's
        ctypes.CDLL("libc.so.6").malloc_trim(0)
