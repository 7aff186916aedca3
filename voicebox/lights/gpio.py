"""One LED, or one colour LED, or both, on GPIO pins through gpiozero."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from voicebox import pins
from voicebox.core.scenes import Scene
from voicebox.lights.animation import Animation
from voicebox.lights.base import LightOptions
from voicebox.lights.patterns import PATTERNS, Colour

_log = logging.getLogger(__name__)

_PWM = 100
"""Hz: faster than the eye, and cheap for a driver that makes the pulses in software."""

_MEND = 'Mend that, or set lights.backend = "none".'


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
        self._shown: tuple[float, ...] | None = None  # duty cycles; None: not known
        self._parts = tuple(part for _, part in _wiring(options))
        self._devices, self._open_pins = _open(options)

    def show(self, scene: Scene) -> None:
        if self._closed or scene is self._scene:
            return
        self._scene = scene
        if self._devices:
            self._animation.play(PATTERNS[scene])

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._animation.stop()
        self._draw((0.0, 0.0, 0.0))
        self._guarded(self._open_pins.close)

    def _draw(self, colour: Colour) -> None:
        # The eye sees about the square root of the light there is.
        duties = tuple(round((part(colour) * self._brightness) ** 2, 2) for part in self._parts)
        before, self._shown = self._shown, None
        if duties == before or self._guarded(lambda: self._write(duties, before)):
            self._shown = duties

    def _write(self, duties: tuple[float, ...], before: tuple[float, ...] | None) -> None:
        """Full and dark are plain levels: pulses are made, in software, only for what lies between.

        All pins have pulses or none, and they stop in the order in which they began: where a pin stops that began
        after another that goes on, lgpio's pulse thread loses step and may spin at 100 % CPU from then on.
        """
        begin_or_stop = before is None or _pulsed(before) is not _pulsed(duties)
        for i, (device, duty) in enumerate(zip(self._devices, duties, strict=True)):
            if begin_or_stop:
                device.frequency = _PWM if _pulsed(duties) else None
            if begin_or_stop or before is None or before[i] != duty:
                device.value = duty

    def _guarded(self, work: Callable[[], None]) -> bool:
        """Whether ``work`` went well. A light that fails must not stop a conversation."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 # lgpio's errors have no base class but Exception
            if not self._failed:
                _log.warning("The light on its GPIO pins fails: %s: %s", type(error).__name__, error)
            self._failed = True
            return False
        return True


def _open(options: LightOptions) -> tuple[list[Any], ExitStack]:
    """The devices of ``_wiring``, dark, and what gives their pins back."""
    wiring = _wiring(options)
    if not wiring:
        return [], ExitStack()
    names = ", ".join(f"GPIO{pin}" for pin, _ in wiring)
    with pins.opening(f"The light on {names}", _MEND), ExitStack() as opened:
        from gpiozero import PWMLED  # noqa: PLC0415 # 50 ms and 11 MB, only for those who have a pin to drive

        # Entered one by one: where the second pin cannot be had, the first is given back.
        devices = [
            opened.enter_context(PWMLED(pin, active_high=options.active_high, frequency=None)) for pin, _ in wiring
        ]
        return devices, opened.pop_all()


def _pulsed(duties: tuple[float, ...]) -> bool:
    return any(0 < duty < 1 for duty in duties)


def _wiring(options: LightOptions) -> list[tuple[int, Callable[[Colour], float]]]:
    """Which pin shows which part of the colour."""
    single = [] if options.led is None else [(options.led, _brightest)]
    return single + [(pin, _PARTS[i]) for i, pin in enumerate(options.rgb or ())]


def _brightest(colour: Colour) -> float:
    return max(colour)


_PARTS: tuple[Callable[[Colour], float], ...] = (lambda c: c[0], lambda c: c[1], lambda c: c[2])


def create(options: LightOptions, loop: asyncio.AbstractEventLoop) -> GpioLight:
    return GpioLight(options, loop)
