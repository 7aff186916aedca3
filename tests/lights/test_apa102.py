"""The row of APA102 LEDs: every byte on the wire, the pins, and what happens where SPI cannot be had."""

import logging
import warnings
from collections.abc import Iterator

import pytest
from gpiozero import SPISoftwareFallback
from gpiozero.pins.mock import MockFactory, MockPin, MockSPIDevice
from gpiozero.pins.spi import SPISoftwareBus

from tests.support.gpio import ManualLoop, manual_loop, mock_pins, no_pins
from voicebox.core.scenes import Scene
from voicebox.errors import DeviceError
from voicebox.lights.apa102 import Apa102Light, frame
from voicebox.lights.base import Apa102, LightOptions
from voicebox.lights.night import Dimmer
from voicebox.lights.patterns import BLACK, FRAME

RED, WHITE = (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)
START = END = bytes(4)
DARK = b"\xe0\0\0\0"


class Wire(MockSPIDevice):  # type: ignore[misc]  # gpiozero has no types
    """What an LED sees."""

    rx_buf: list[float]

    @property
    def read(self) -> bytes:
        """Everything since the last look."""
        bits, self.rx_buf = self.rx_buf, []
        return bytes(
            sum(bool(bit) << 7 - i for i, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
        )


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    with mock_pins(MockPin) as pins:
        yield pins


@pytest.fixture
def loop() -> ManualLoop:
    return manual_loop()


def options(*, dimmer: Dimmer | None = None, tells_sending: bool = False, **row: int | None) -> LightOptions:
    return LightOptions(apa102=Apa102(**row), dimmer=dimmer or Dimmer(), tells_sending=tells_sending)  # type: ignore[arg-type]


@pytest.mark.parametrize(("leds", "end"), [(1, 5), (3, 5), (12, 5), (16, 5), (17, 6), (32, 6), (144, 13)])
def test_a_frame_begins_with_32_zeros_and_ends_with_half_a_clock_for_each_led(leds: int, end: int) -> None:
    assert frame([BLACK] * leds) == START + DARK * leds + bytes(end)
    assert (end - 4) * 8 >= leds / 2


def test_colours_stand_blue_green_red_behind_the_brightness_of_five_bits() -> None:
    assert frame([RED])[4:8] == b"\xff\0\0\xff"
    assert frame([WHITE])[4:8] == b"\xff\xff\xff\xff"
    assert frame([(0.1, 0.4, 1.0)])[4:8] == bytes((0xFF, 255, 41, 3))


@pytest.mark.parametrize(("level", "five_bits", "rest"), [(1.0, 31, 255), (0.5, 8, 247), (0.25, 2, 247), (0.1, 1, 79)])
def test_dim_light_uses_fewer_of_the_five_bits_and_keeps_its_steps(level: float, five_bits: int, rest: int) -> None:
    """What is left for the eight bits is nearly all of them: 5 and 8 bits together are the light there is."""
    assert frame([(level, 0.0, 0.0)])[4:8] == bytes((0xE0 | five_bits, 0, 0, rest))
    assert five_bits / 31 * rest / 255 == pytest.approx(level**2, rel=0.01)


@pytest.mark.parametrize(("select", "pin"), [(0, 8), (1, 7)])
def test_what_reaches_the_leds_over_spi(factory: MockFactory, loop: ManualLoop, select: int, pin: int) -> None:
    with Wire(11, 10, 9, pin, pin_factory=factory) as wire:
        light = Apa102Light(options(select=select), loop)
        light.show(Scene.LISTENING)
        assert wire.read == START + b"\xff\xff\x29\x03" * 3 + END + b"\0"
        light.close()
        assert wire.read == START + DARK * 3 + END + b"\0"


def test_the_power_pin_is_high_while_the_row_is_in_use(factory: MockFactory, loop: ManualLoop) -> None:
    light = Apa102Light(options(power=5), loop)
    assert factory.pin(5).state
    light.close()
    assert (bool(factory.pin(5).state), factory.pin(5).function) == (False, "input")


def test_any_two_pins_will_do_with_fewer_pictures(
    factory: MockFactory, loop: ManualLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(SPISoftwareBus, "transfer", lambda _, data: sent.append(data))
    light = Apa102Light(options(data=5, clock=6), loop)
    assert {info.name for info in factory.pins} == {"GPIO5", "GPIO6"}
    light.show(Scene.LISTENING)
    assert sent == [frame([(0.1, 0.4, 1.0)] * 3)]
    light.show(Scene.SPEAKING)
    loop.advance(10)
    assert 80 < len(sent) < 110 < 10 / FRAME
    light.close()


def test_the_same_picture_is_not_sent_twice(factory: MockFactory, loop: ManualLoop) -> None:
    with Wire(11, 10, 9, 8, pin_factory=factory) as wire:
        light = Apa102Light(options(dimmer=Dimmer(0.0)), loop)
        light.show(Scene.SPEAKING)
        wire.read  # noqa: B018  # forget it
        loop.advance(5)
        assert wire.read == b""
        light.close()


def test_as_privacy_lamp_the_last_led_is_for_that_alone(factory: MockFactory, loop: ManualLoop) -> None:
    with Wire(11, 10, 9, 8, pin_factory=factory) as wire:
        light = Apa102Light(options(tells_sending=True), loop)
        light.show(Scene.LISTENING)
        assert wire.read[12:16] == DARK
        assert light.sending(True)
        assert wire.read[4:16] == b"\xff\xff\x29\x03" * 2 + bytes((0xFF, 163, 0, 255))
        light.show(Scene.IDLE)
        assert wire.read[4:16] == DARK * 2 + bytes((0xFF, 163, 0, 255))
        assert light.sending(False)
        assert wire.read[4:16] == DARK * 3
        light.close()


def test_a_row_of_one_shows_the_lamp_instead_of_the_scene(factory: MockFactory, loop: ManualLoop) -> None:
    with Wire(11, 10, 9, 8, pin_factory=factory) as wire:
        light = Apa102Light(options(leds=1, tells_sending=True), loop)
        light.show(Scene.LISTENING)
        assert wire.read[4:8] == b"\xff\xff\x29\x03"
        light.sending(True)
        assert wire.read[4:8] == bytes((0xFF, 163, 0, 255))
        light.close()


def test_without_spi_the_owner_is_told_how_to_switch_it_on(
    factory: MockFactory, loop: ManualLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gpiozero would go on without it, and set each bit itself."""

    def fallback(**_: int) -> None:
        warnings.warn(SPISoftwareFallback("failed to initialize hardware SPI"), stacklevel=1)

    monkeypatch.setattr(factory, "spi", fallback)
    with pytest.raises(DeviceError) as caught:
        Apa102Light(options(power=5), loop)
    assert "row of LEDs on SPI 0.0" in str(caught.value)
    assert "raspi-config nonint do_spi 0" in str(caught.value)
    assert factory.pin(5).function == "input"


def test_without_gpio_the_owner_is_told(loop: ManualLoop) -> None:
    with no_pins(), pytest.raises(DeviceError, match=r'row of LEDs.*lights.backend = "none"'):
        Apa102Light(options(), loop)


def test_a_row_that_fails_later_is_logged_once_and_recovers(
    factory: MockFactory, loop: ManualLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(11, 10, 9, 8, pin_factory=factory) as wire:
        light = Apa102Light(options(tells_sending=True), loop)
        light.show(Scene.LISTENING)

        def broken(*_: object) -> None:
            raise OSError("I/O error")

        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(SPISoftwareBus, "transfer", broken)
            light.show(Scene.SPEAKING)
            loop.advance(1)
            assert not light.sending(True)
        assert [record.message for record in caplog.records] == [
            "The light on its APA102 LEDs fails: OSError: I/O error"
        ]
        wire.read  # noqa: B018  # forget it
        assert light.sending(False)
        light.show(Scene.LISTENING)
        assert wire.read[-17:] == START + b"\xff\xff\x29\x03" * 2 + DARK + END + b"\0" or wire.read == b""
        light.close()
