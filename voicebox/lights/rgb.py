"""One colour LED on three GPIO pins."""

import asyncio

from voicebox.errors import ConfigError
from voicebox.lights.animation import AnimatedLight
from voicebox.lights.base import LightOptions
from voicebox.lights.patterns import Colour
from voicebox.lights.pwm import PwmPins

TELLS_SENDING = True


class RgbLight(AnimatedLight):
    """Shows scenes on ``rgb`` (BCM numbers of red, green, blue). While audio leaves the box, the privacy lamp's colour
    is all it shows. Raises ConfigError without pins, DeviceError if one cannot be had."""

    name = "its GPIO pins"

    def __init__(self, options: LightOptions, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(options, loop)
        if options.rgb is None:
            raise ConfigError('lights.backend = "rgb" needs the pins of red, green and blue: lights.rgb = [5, 6, 13]')
        self._pins = PwmPins(options.rgb, active_high=options.active_high)

    def paint(self, colour: Colour, lamp: Colour | None) -> None:
        self._pins.show(lamp if lamp is not None and any(lamp) else colour)

    def release(self) -> None:
        self._pins.close()


def create(options: LightOptions, loop: asyncio.AbstractEventLoop) -> RgbLight:
    return RgbLight(options, loop)
