"""A row of APA102 LEDs (DotStar, SK9822), on hardware SPI or on two pins of any kind."""

import asyncio
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import ceil

from voicebox import pins
from voicebox.lights.animation import AnimatedLight
from voicebox.lights.base import Apa102, LightOptions
from voicebox.lights.patterns import BLACK, FRAME, Colour
from voicebox.lights.pwm import MEND

TELLS_SENDING = True

BIT_BANGED_FRAME = 0.1
"""Seconds between two pictures where each bit is set by us: that keeps the processor busy."""

Write = Callable[[bytes], object]


class Apa102Light(AnimatedLight):
    """Shows scenes on the whole row. As the privacy lamp, it keeps the last LED for that alone; a row of one shows the
    lamp's colour instead of the scene's. Raises DeviceError if SPI or a pin cannot be had."""

    name = "its APA102 LEDs"

    def __init__(self, options: LightOptions, loop: asyncio.AbstractEventLoop) -> None:
        row = options.apa102
        super().__init__(options, loop, FRAME if row.data is None else BIT_BANGED_FRAME)
        self._leds = row.leds
        self._shown = b""
        self._write, self._opened = _open(row)

    def paint(self, colour: Colour, lamp: Colour | None) -> None:
        wanted = frame(self._pixels(colour, lamp))
        shown, self._shown = self._shown, b""  # not known, if it fails
        if wanted != shown:
            self._write(wanted)
        self._shown = wanted

    def release(self) -> None:
        self._opened.close()

    def _pixels(self, colour: Colour, lamp: Colour | None) -> list[Colour]:
        if lamp is None:
            return [colour] * self._leds
        if self._leds == 1:
            return [lamp if lamp != BLACK else colour]
        return [colour] * (self._leds - 1) + [lamp]


def frame(pixels: Sequence[Colour]) -> bytes:
    """What goes over the wire: 32 zero bits to begin; four bytes for each LED; 32 zero bits that make SK9822s show what
    they got, and then half a clock for each LED, for each delays the data by that much."""
    return bytes(4) + b"".join(map(_pixel, pixels)) + bytes(4 + ceil(len(pixels) / 16))


def _pixel(colour: Colour) -> bytes:
    """111, five bits of brightness for the whole LED, then blue, green, red. The five bits are as small as the colour
    permits, so that dim colours keep their steps."""
    red, green, blue = (part**2 for part in colour)  # the eye sees about the square root of the light there is
    all_of_it = ceil(31 * max(red, green, blue))
    if all_of_it == 0:
        return bytes((0xE0, 0, 0, 0))
    return bytes((0xE0 | all_of_it, *(round(255 * part * 31 / all_of_it) for part in (blue, green, red))))


def _open(row: Apa102) -> tuple[Write, ExitStack]:
    """What writes to the row, and what gives its pins back; where there is a power pin it is high."""
    numbers = [pin for pin in (row.power, row.data, row.clock) if pin is not None]
    where = f"GPIO{row.data} and GPIO{row.clock}" if row.data is not None else f"SPI 0.{row.select}"
    with pins.opening(f"The row of LEDs on {where}", MEND, numbers), ExitStack() as opened:
        if row.power is not None:
            from gpiozero import OutputDevice  # noqa: PLC0415 # as in pwm.py: only for those who have it

            opened.callback(opened.enter_context(OutputDevice(row.power, initial_value=True)).off)
        write = _hardware(row.select, opened) if row.data is None else _bit_banged(row, opened)
        return write, opened.pop_all()


def _hardware(select: int, opened: ExitStack) -> Write:
    from gpiozero import SPIDevice, SPISoftwareFallback  # noqa: PLC0415 # as above

    class Row(SPIDevice):  # type: ignore[misc]  # gpiozero has no types
        def write(self, data: bytes) -> None:
            self._spi.write(list(data))

    with warnings.catch_warnings():
        # Where SPI is off it would set each bit itself instead, and every chip select with it.
        warnings.simplefilter("error", SPISoftwareFallback)
        row = opened.enter_context(Row(port=0, device=select))
    write: Write = row.write
    return write


def _bit_banged(row: Apa102, opened: ExitStack) -> Write:
    from gpiozero.pins.spi import SPISoftwareBus  # noqa: PLC0415 # as above

    bus = opened.enter_context(SPISoftwareBus(row.clock, row.data, None, pin_factory=None))
    write: Write = bus.transfer
    return write


def create(options: LightOptions, loop: asyncio.AbstractEventLoop) -> Apa102Light:
    return Apa102Light(options, loop)
