"""A finger for a button that is not there: gpiozero's mock pins, which the real button code runs on."""

from typing import Any

PIN = 17


class Finger:
    """Puts mock pins in gpiozero's place; ``press`` and ``release`` move the button's pin (active low)."""

    def __init__(self, pin: int = PIN) -> None:
        from gpiozero import Device  # noqa: PLC0415  # only the demo's stage needs it
        from gpiozero.pins.mock import MockFactory  # noqa: PLC0415

        self._before = Device.pin_factory
        Device.pin_factory = MockFactory()
        self._device: Any = Device
        self._pin = pin

    def press(self) -> None:
        self._device.pin_factory.pin(self._pin).drive_low()

    def release(self) -> None:
        self._device.pin_factory.pin(self._pin).drive_high()

    def close(self) -> None:
        """The pins are as they were before."""
        self._device.pin_factory.reset()
        self._device.pin_factory = self._before
