"""The privacy lamp where it has a pin of its own: plain on and off, never dimmed."""

import logging

from voicebox import pins

_log = logging.getLogger(__name__)


class NoLamp:
    """None is wanted."""

    def sending(self, on: bool) -> bool:  # noqa: ARG002  # the promise's name
        return True

    def close(self) -> None:
        pass


class BrokenLamp(NoLamp):
    """One is wanted and cannot be had."""

    def sending(self, on: bool) -> bool:
        return not on


class PinLamp:
    """An LED on ``pin`` (BCM number). Raises DeviceError if the pin cannot be had."""

    def __init__(self, pin: int, *, active_high: bool) -> None:
        self._pin = pin
        self._failed = False
        with pins.opening(f"The privacy lamp on GPIO{pin}", "Mend that, or set lights.privacy = false.", [pin]):
            from gpiozero import LED  # noqa: PLC0415 # 50 ms and 11 MB, only for those who have a pin to drive

            self._led = LED(pin, active_high=active_high)

    def sending(self, on: bool) -> bool:
        """Whether the lamp says so now. What goes wrong is logged once."""
        try:
            self._led.value = on
        except Exception as error:  # noqa: BLE001 # lgpio's errors have no base class but Exception
            if not self._failed:
                _log.warning("The privacy lamp on GPIO%d fails: %s: %s", self._pin, type(error).__name__, error)
            self._failed = True
            return False
        return True

    def close(self) -> None:
        """Dark, and the pin given back. Safe to call twice."""
        if not self._led.closed:
            self.sending(on=False)
            self._led.close()
