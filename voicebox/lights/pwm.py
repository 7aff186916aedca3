"""LEDs on GPIO pins whose brightness is made by pulses, through gpiozero: what ``gpio`` and ``rgb`` share."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from voicebox import pins

_PWM = 100
"""Hz: faster than the eye, and cheap for a driver that makes the pulses in software."""

MEND = 'Mend that, or set lights.backend = "none".'


class PwmPins:
    """The pins ``numbers`` (BCM), dark. gpiozero is imported only where there is a pin to drive. Raises DeviceError if
    a pin cannot be had; those already opened are given back."""

    def __init__(self, numbers: Sequence[int], *, active_high: bool) -> None:
        self._shown: tuple[float, ...] | None = None  # duty cycles; None: not known
        self._devices: list[Any] = []
        self._opened = ExitStack()
        if not numbers:
            return
        names = ", ".join(f"GPIO{number}" for number in numbers)
        with pins.opening(f"The light on {names}", MEND, numbers), ExitStack() as opened:
            from gpiozero import PWMLED  # noqa: PLC0415 # 50 ms and 11 MB, only for those who have a pin to drive

            # Entered one by one: where the second pin cannot be had, the first is given back.
            self._devices = [
                opened.enter_context(PWMLED(number, active_high=active_high, frequency=None)) for number in numbers
            ]
            self._opened = opened.pop_all()

    def show(self, levels: Sequence[float]) -> None:
        """One level for each pin, as the eye sees it. May raise whatever the driver does."""
        # The eye sees about the square root of the light there is.
        duties = tuple(round(level**2, 2) for level in levels)
        before, self._shown = self._shown, None
        if duties != before:
            self._write(duties, before)
        self._shown = duties

    def close(self) -> None:
        self._opened.close()

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


def _pulsed(duties: tuple[float, ...]) -> bool:
    return any(0 < duty < 1 for duty in duties)
