"""The daemon on gpiozero's mock pins, moved and watched from outside through a socket.

``python -m tests.support.pinned FD run …`` is ``voicebox run …``, except that the pins are mock pins. Whoever holds the
other end of socket FD writes "17 down" or "17 up", and reads a line for each change of a pin: monotonic time, number,
value.
"""

import os
import socket
import sys
import threading
import time
from typing import Any

PIN = 17
LED = 25


class Pins:
    """The other end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._values: list[tuple[float, int, float]] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def press(self) -> None:
        self._connection.sendall(b"%d down\n" % PIN)

    def release(self) -> None:
        self._connection.sendall(b"%d up\n" % PIN)

    def led(self, since: float = 0.0) -> list[float]:
        """The duty cycles of the LED from this ``time.monotonic()`` on."""
        with self._changed:
            return [value for moment, pin, value in self._values if pin == LED and moment >= since]

    def until_led(self, value: float, timeout: float = 10.0) -> None:
        """Until the LED shows just this. Raises AssertionError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.led()[-1:] == [value], timeout):
                raise AssertionError(f"the LED does not show {value}: {self.led()[-10:]}")

    def wait_led(self, values: int, since: float, timeout: float = 10.0) -> list[float]:
        """Until the LED has changed this often since then; what it showed."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.led(since)) >= values, timeout):
                raise AssertionError(f"the LED changed {len(self.led(since))} times, not {values}: {self.led(since)}")
            return self.led(since)

    def close(self) -> None:
        self._connection.close()
        self._thread.join(5)

    def _read(self) -> None:
        with self._connection.makefile("r", encoding="ascii") as lines:
            for line in lines:
                moment, pin, value = line.split()
                with self._changed:
                    self._values.append((float(moment), int(pin), float(value)))
                    self._changed.notify_all()


def _mock_pins(connection: socket.socket) -> Any:  # noqa: ANN401  # gpiozero has no types
    from gpiozero.pins.mock import MockFactory, MockPWMPin  # noqa: PLC0415  # only the daemon's side needs it

    class Watched(MockPWMPin):  # type: ignore[misc]  # as above
        def _change_state(self, value: float) -> bool:
            changed: bool = super()._change_state(value)
            if changed:
                connection.sendall(
                    f"{time.monotonic()} {self.info.name.removeprefix('GPIO')} {float(value)}\n".encode()
                )
            return changed

    return MockFactory(pin_class=Watched)


def _obey(connection: socket.socket, factory: Any) -> None:  # noqa: ANN401  # as above
    with connection.makefile("r", encoding="ascii") as orders:
        for order in orders:
            number, movement = order.split()
            pin = factory.pin(int(number))
            (pin.drive_low if movement == "down" else pin.drive_high)()


def main() -> int:
    from gpiozero import Device  # noqa: PLC0415  # as above

    from voicebox import cli  # noqa: PLC0415  # as above

    connection = socket.socket(fileno=int(sys.argv[1]))
    os.environ["GPIOZERO_PIN_FACTORY"] = "mock"
    Device.pin_factory = _mock_pins(connection)
    threading.Thread(target=_obey, args=(connection, Device.pin_factory), daemon=True).start()
    return cli.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
