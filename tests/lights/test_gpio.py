"""Item 7: one LED (PWM) with a pattern per scene, one RGB LED likewise; without GPIO the box says so and works on."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from tests.support.gpio import ManualLoop, manual_loop, mock_pins, no_pins
from voicebox.core.scenes import Scene
from voicebox.errors import DeviceError
from voicebox.lights.base import LightOptions
from voicebox.lights.gpio import GpioLight
from voicebox.lights.night import Dimmer
from voicebox.lights.patterns import PATTERNS, colour_at
from voicebox.lights.rgb import RgbLight

LED, RGB = 25, (17, 27, 22)


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    with mock_pins() as pins:
        yield pins


@pytest.fixture
def loop() -> ManualLoop:
    return manual_loop()


def levels(factory: MockFactory, *numbers: int) -> list[float]:
    return [round(float(factory.pin(number).state), 2) for number in numbers]


def test_the_single_led_follows_the_brightness_of_the_pattern(factory: MockFactory, loop: ManualLoop) -> None:
    light = GpioLight(LightOptions(led=LED), loop)
    light.show(Scene.SPEAKING)
    for _ in range(100):
        # Half a frame apart, so that the picture is at most one frame old.
        loop.advance(0.02)
        now = max(colour_at(PATTERNS[Scene.SPEAKING], loop.time()))
        assert levels(factory, LED)[0] == pytest.approx(now**2, abs=0.06)
    light.close()


def test_the_colour_led_shows_the_colour(factory: MockFactory, loop: ManualLoop) -> None:
    light = RgbLight(LightOptions(rgb=RGB), loop)
    light.show(Scene.LISTENING)
    assert levels(factory, *RGB) == [0.01, 0.16, 1.0]
    light.show(Scene.IDLE)
    assert levels(factory, *RGB) == [0, 0, 0]
    light.close()


def test_brightness_dims_and_never_reaches_full(factory: MockFactory, loop: ManualLoop) -> None:
    light = GpioLight(LightOptions(led=LED, dimmer=Dimmer(0.5)), loop)
    light.show(Scene.LISTENING)
    assert levels(factory, LED) == [0.25]
    light.close()


def test_an_led_wired_to_supply_lights_when_its_pin_is_low(factory: MockFactory, loop: ManualLoop) -> None:
    light = GpioLight(LightOptions(led=LED, active_high=False), loop)
    assert levels(factory, LED) == [1]
    light.show(Scene.LISTENING)
    assert levels(factory, LED) == [0]
    light.close()


@pytest.mark.parametrize(("scene", "pulses"), [(Scene.IDLE, False), (Scene.LISTENING, False), (Scene.MUTED, True)])
def test_full_and_dark_leave_no_pulse_generator_running(
    factory: MockFactory, loop: ManualLoop, scene: Scene, pulses: bool
) -> None:
    light = GpioLight(LightOptions(led=LED), loop)
    light.show(Scene.SPEAKING)
    loop.advance(1.1)
    assert factory.pin(LED).frequency is not None
    light.show(scene)
    assert (factory.pin(LED).frequency is not None) is pulses
    assert loop.pending == 0
    light.close()


def test_close_is_dark_and_gives_the_pin_back(factory: MockFactory, loop: ManualLoop) -> None:
    light = RgbLight(LightOptions(rgb=RGB), loop)
    light.show(Scene.CONNECTING)
    loop.advance(0.2)
    light.close()
    assert [factory.pin(number).function for number in RGB] == ["input"] * 3
    assert loop.pending == 0
    RgbLight(LightOptions(rgb=RGB), loop).close()  # nobody holds the pins


def test_without_gpio_the_owner_is_told_what_and_how_to_mend_it(loop: ManualLoop) -> None:
    with no_pins(), pytest.raises(DeviceError) as caught:
        GpioLight(LightOptions(led=LED), loop)
    assert "light on GPIO25" in str(caught.value)
    assert 'lights.backend = "none"' in str(caught.value)


def test_a_pin_that_is_taken_is_named_and_those_already_opened_are_given_back(
    factory: MockFactory, loop: ManualLoop
) -> None:
    taken = GpioLight(LightOptions(led=RGB[2]), loop)
    with pytest.raises(DeviceError, match="two settings name the same pin"):
        RgbLight(LightOptions(rgb=RGB), loop)
    taken.close()
    again = RgbLight(LightOptions(rgb=RGB), loop)
    again.show(Scene.LISTENING)
    assert levels(factory, RGB[2]) == [1]
    again.close()


def test_a_pin_that_does_not_exist_is_explained(factory: MockFactory, loop: ManualLoop) -> None:
    assert factory.pins == {}
    with pytest.raises(DeviceError, match="no such pin: use BCM numbers"):
        GpioLight(LightOptions(led=99), loop)


def test_a_pin_that_fails_later_is_logged_once_and_the_light_recovers(
    factory: MockFactory, loop: ManualLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    light = GpioLight(LightOptions(led=LED), loop)

    def broken(_pin: MockPWMPin, _value: float) -> None:
        raise OSError("I/O error")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(MockPWMPin, "_set_state", broken)
        light.show(Scene.SPEAKING)
        loop.advance(1)
    assert [record.message for record in caplog.records] == ["The light on its GPIO pin fails: OSError: I/O error"]
    light.show(Scene.LISTENING)
    assert levels(factory, LED) == [1]
    light.close()


def test_without_a_pin_gpiozero_is_not_even_imported() -> None:
    program = (
        "import asyncio, sys\n"
        "from voicebox.core.scenes import Scene\n"
        "from voicebox.lights.base import LightOptions, open_light\n"
        "light = open_light('gpio', LightOptions(), asyncio.new_event_loop())\n"
        "light.show(Scene.SPEAKING); light.close()\n"
        "sys.exit('gpiozero' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.usefixtures("factory")
def test_pulses_begin_and_stop_on_all_pins_together_oldest_first(
    loop: ManualLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lgpio's pulse thread may spin for ever when a pin stops while one that began before it goes on."""
    light = RgbLight(LightOptions(rgb=RGB, dimmer=Dimmer(0.9)), loop)
    changes: list[tuple[str, bool]] = []
    set_frequency = MockPWMPin._set_frequency

    def noted(pin: MockPWMPin, value: float | None) -> None:
        if (value is None) is not (pin._frequency is None):
            changes.append((pin.info.name, value is not None))
        set_frequency(pin, value)

    monkeypatch.setattr(MockPWMPin, "_set_frequency", noted)
    for scene in (*Scene, *reversed(Scene)):
        light.show(scene)
        loop.advance(1.7)
    light.show(Scene.THINKING)
    light.close()
    pins = [f"GPIO{number}" for number in RGB]
    rounds = [changes[i : i + 3] for i in range(0, len(changes), 3)]
    assert len(rounds) > 10
    assert all([name for name, _ in round_] == pins for round_ in rounds)
    assert all(len({on for _, on in round_}) == 1 for round_ in rounds)
    assert not rounds[-1][0][1]


def test_breathing_does_not_switch_the_pulses(
    factory: MockFactory, loop: ManualLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each switch would show as a flicker at the top and bottom of the breath."""
    light = GpioLight(LightOptions(led=LED), loop)
    light.show(Scene.CONNECTING)
    assert factory.pin(LED).frequency is not None
    monkeypatch.setattr(MockPWMPin, "_set_frequency", lambda *_: pytest.fail("pulses switched"))
    for scene in (Scene.CONNECTING, Scene.THINKING, Scene.SPEAKING, Scene.STARTING):
        light.show(scene)
        loop.advance(10)
    monkeypatch.undo()
    light.close()
