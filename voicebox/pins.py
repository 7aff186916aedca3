"""What everyone who opens GPIO pins needs around gpiozero: its driver's quirks met, its errors in the owner's words."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voicebox.errors import DeviceError

_HINTS = (
    ("PinUnknownPi", "this machine is not a Raspberry Pi"),
    ("can not open gpiochip", "there is no /dev/gpiochip0, or this user may not open it: sudo usermod -aG gpio USER"),
    ("GPIO busy", "another program has the pin: stop it (sudo gpioinfo lists who has which) or choose another pin"),
    ("PinInUse", "two settings name the same pin"),
    ("PinInvalidPin", "there is no such pin: use BCM numbers, GPIO17 is 17"),
    (
        "SPISoftwareFallback",
        "SPI is off or not for this user: sudo raspi-config nonint do_spi 0; sudo usermod -aG spi USER; then reboot",
    ),
    ("No module named 'lgpio'", "the pin driver is missing: sudo apt install python3-lgpio"),
)

I2S = range(18, 22)
"""The pins over which a sound card on the header gets its sound."""

DEVICE_TREE = Path("/sys/firmware/devicetree/base")
_I2S_NODES = ("soc*/i2s@*/status", "axi/*/rp1/i2s@*/status")  # up to the Pi 4, from the Pi 5 on


def i2s_in_use() -> bool:
    """Whether this machine has switched its I2S pins to sound: a card's overlay does, or dtparam=i2s=on."""
    found = (status for pattern in _I2S_NODES for status in DEVICE_TREE.glob(pattern))
    with suppress(OSError):
        return any(status.read_bytes().rstrip(b"\0") in (b"okay", b"ok") for status in found)
    return False


@contextmanager
def opening(what: str, mend: str, numbers: Iterable[int] = ()) -> Iterator[None]:
    """Open gpiozero devices on the pins ``numbers`` (BCM) within. Raises DeviceError saying that ``what`` cannot be
    used, why, and ``mend``; a sound card's pins are never opened.

    Chooses the driver lgpio, unless GPIOZERO_PIN_FACTORY names another: left to itself, gpiozero tries one after the
    other and prints why each failed.
    """
    taken = sorted(set(numbers) & set(I2S))
    if taken and i2s_in_use():
        raise DeviceError(f"{what} cannot be used: the sound card on the header (I2S) needs GPIO{taken[0]}. {mend}")
    if os.environ.setdefault("GPIOZERO_PIN_FACTORY", "lgpio") == "lgpio" and "LG_WD" not in os.environ:
        os.environ["LG_WD"] = _pipe_directory()
    with _working_directory_kept():
        try:
            yield
        except Exception as error:
            raise DeviceError(f"{what} cannot be used: {_reason(error)}. {mend}") from error


def _pipe_directory() -> str:
    """Where lgpio makes its named pipes. Its default, the working directory, is often not writable."""
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):
        return runtime.split(":")[0]
    directory = tempfile.mkdtemp(prefix="voicebox-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@contextmanager
def _working_directory_kept() -> Iterator[None]:
    """lgpio moves the process to LG_WD and leaves it there."""
    try:
        before = Path.cwd()
    except OSError:  # deleted: nowhere to go back to
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # we may be in a directory that we could not enter ourselves
            os.chdir(before)


def _reason(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return next((f"{hint} ({text})" for sign, hint in _HINTS if sign in text), text)
