"""One LED on a GPIO pin."""

import asyncio

from voicebox.lights.animation import AnimatedLight
from voicebox.lights.base import LightOptions
from voicebox.lights.patterns import Colour
from voicebox.lights.pwm import PwmPins


class GpioLight(AnimatedLight):
    """Shows the brightness of scenes on ``led`` (a BCM number; None: there is none). Raises DeviceError if the pin
    cannot be had. It has but one colour, so it cannot be the privacy lamp, too."""

    name = "its GPIO pin"

    def __init__(self, options: LightOptions, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(options, loop)
        self._tells = False
        self._has_pin = options.led is not None
        self._pins = PwmPins([] if options.led is None else [options.led], active_high=options.active_high)

    def paint(self, colour: Colour, lamp: Colour | None) -> None:  # noqa: ARG002  # see above
        self._pins.show([max(colour)] if self._has_pin else [])

    def release(self) -> None:
        self._pins.close()


def create(options: LightOptions, loop: asyncio.AbstractEventLoop) -> GpioLight:
    return GpioLight(options, loop)
