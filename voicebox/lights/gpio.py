"""One LED, or one colour LED, or both, on GPIO pins through gpiozero."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from voicebox import pins
from voicebox.core.scenes import Scene
from voicebox.lights.animation import Animation
from voicebox.lights.base import LightOptions
from voicebox.lights.patterns import PATTERNS, Colour

_log = logging.getLogger(__name__)

_PWM = 100
"""Hz: beyond what the eye sees, and cheap where the driver makes the pulses in software."""

_MEND = 'Mend that, or set lights.backend = "none".'


class _Lamp:
    """One pin. Full and dark are plain levels: the driver's pulse generator runs only for what lies between."""

    def __init__(self, device: Any, part: Callable[[Colour], float]) -> None:  # noqa: ANN401 # gpiozero has no types
        self._device = device
        self._part = part
        self._duty = 0.0

    def draw(self, colour: Colour) -> None:
        duty = round(self._part(colour) ** 2, 2)  # the eye sees about the square root of the light there is
        if duty == self._duty:
            return
        if (duty in (0, 1)) or (self._duty in (0, 1)):
            self._device.frequency = None if duty in (0, 1) else _PWM
        self._device.value = duty
        self._duty = duty


class GpioLight:
    """Shows scenes on ``led`` (brightness only) and on ``rgb`` (red, green, blue); BCM numbers, None: not there.

    gpiozero is imported only where there is a pin to drive. Raises DeviceError if a pin cannot be had. A pin that
    fails later is logged once, and tried again with the next picture.
    """

    def __init__(self, options: LightOptions, loop: asyncio.AbstractEventLoop) -> None:
        self._brightness = options.brightness
        self._scene: Scene | None = None
        self._closed = False
        self._failed = False
        self._animation = Animation(loop, self._draw)
        self._open_pins = ExitStack()
        self._lamps = self._open(options)

    def show(self, scene: Scene) -> None:
        if self._closed or scene is self._scene:
            return
        self._scene = scene
        if self._lamps:
            self._animation.play(PATTERNS[scene])

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._animation.stop()
        self._draw((0.0, 0.0, 0.0))
        self._guarded(self._open_pins.close)

    def _open(self, options: LightOptions) -> list[_Lamp]:
        wiring = _wiring(options)
        if not wiring:
            return []
        names = ", ".join(f"GPIO{pin}" for pin, _ in wiring)
        with pins.opening(f"The light on {names}", _MEND), ExitStack() as opened:
            from gpiozero import PWMLED  # noqa: PLC0415 # 50 ms and 11 MB, only for those who have a pin to drive

            lamps = []
            for pin, part in wiring:
                device = PWMLED(pin, active_high=options.active_high, frequency=None)
                opened.callback(device.close)
                lamps.append(_Lamp(device, part))
            self._open_pins = opened.pop_all()
        return lamps

    def _draw(self, colour: Colour) -> None:
        red, green, blue = colour
        scaled = red * self._brightness, green * self._brightness, blue * self._brightness
        for lamp in self._lamps:
            self._guarded(partial(lamp.draw, scaled))

    def _guarded(self, work: Callable[[], None]) -> None:
        """A light that fails must not stop a conversation."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 # lgpio's errors have no base class but Exception
            if not self._failed:
                _log.warning("The light on its GPIO pins fails: %s: %s", type(error).__name__, error)
            self._failed = True


def _wiring(options: LightOptions) -> list[tuple[int, Callable[[Colour], float]]]:
    """Which pin shows which part of the colour."""
    single = [] if options.led is None else [(options.led, _brightest)]
    return single + [(pin, _PARTS[i]) for i, pin in enumerate(options.rgb or ())]


def _brightest(colour: Colour) -> float:
    return max(colour)


_PARTS: tuple[Callable[[Colour], float], ...] = (lambda c: c[0], lambda c: c[1], lambda c: c[2])


def create(options: LightOptions, loop: asyncio.AbstractEventLoop) -> GpioLight:
    return GpioLight(options, loop)
