"""The privacy lamp: an LED of its own, or part of a light; never dimmed away; what fails says so."""

import logging
from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from tests.support.gpio import manual_loop, mock_pins, no_pins
from voicebox.core.scenes import Scene
from voicebox.errors import DeviceError
from voicebox.lights.animation import LEAST_LAMP
from voicebox.lights.base import LightOptions
from voicebox.lights.lamp import BrokenLamp, NoLamp, PinLamp
from voicebox.lights.night import Dimmer
from voicebox.lights.patterns import MAGENTA
from voicebox.lights.rgb import RgbLight

RGB = (17, 27, 22)


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    with mock_pins() as pins:
        yield pins


@pytest.mark.parametrize("active_high", [True, False])
def test_a_lamp_of_its_own_is_plainly_on_or_off(factory: MockFactory, active_high: bool) -> None:
    lamp = PinLamp(24, active_high=active_high)
    seen = [bool(factory.pin(24).state) is active_high]
    for on in (True, True, False):
        assert lamp.sending(on)
        seen.append(bool(factory.pin(24).state) is active_high)
    assert seen == [False, True, True, False]
    lamp.close()
    lamp.close()
    assert factory.pin(24).function == "input"


def test_a_lamp_that_fails_says_so_each_time_and_logs_it_once(
    factory: MockFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lamp = PinLamp(24, active_high=True)

    def broken(_pin: MockPWMPin, _value: float) -> None:
        raise OSError("I/O error")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(MockPWMPin, "_set_state", broken)
        assert [lamp.sending(True), lamp.sending(True)] == [False, False]
    assert [record.message for record in caplog.records] == ["The privacy lamp on GPIO24 fails: OSError: I/O error"]
    assert lamp.sending(True)
    assert factory.pin(24).state == 1
    lamp.close()


def test_a_lamp_that_cannot_be_had_is_explained() -> None:
    with no_pins(), pytest.raises(DeviceError, match=r"privacy lamp on GPIO24 .*lights.privacy = false"):
        PinLamp(24, active_high=True)


def test_none_wanted_never_stands_in_the_way_and_a_broken_one_never_says_it_is_lit() -> None:
    assert [NoLamp().sending(True), NoLamp().sending(False)] == [True, True]
    assert [BrokenLamp().sending(True), BrokenLamp().sending(False)] == [False, True]


def test_a_colour_led_shows_the_lamp_in_place_of_every_scene_and_then_the_scene_of_that_moment(
    factory: MockFactory,
) -> None:
    loop = manual_loop()
    light = RgbLight(LightOptions(rgb=RGB, tells_sending=True), loop)
    lit = [round(part**2, 2) for part in MAGENTA]
    light.show(Scene.LISTENING)
    light.sending(True)
    for scene in Scene:
        light.show(scene)
        loop.advance(0.3)
        assert [factory.pin(number).state for number in RGB] == lit
    light.show(Scene.MUTED)
    loop.advance(2.0)
    light.sending(False)
    assert [factory.pin(number).state for number in RGB] == [0.09, 0, 0]
    light.close()


@pytest.mark.parametrize("brightness", [0.0, 0.1, 1.0])
def test_the_lamp_is_not_dimmed_away(factory: MockFactory, brightness: float) -> None:
    light = RgbLight(LightOptions(rgb=RGB, dimmer=Dimmer(brightness), tells_sending=True), manual_loop())
    light.show(Scene.IDLE)
    light.sending(True)
    assert factory.pin(RGB[0]).state == pytest.approx(max(brightness, LEAST_LAMP) ** 2, abs=0.01)
    light.close()


def test_a_light_that_is_not_asked_to_be_the_lamp_is_not(factory: MockFactory) -> None:
    light = RgbLight(LightOptions(rgb=RGB), manual_loop())
    light.show(Scene.IDLE)
    assert not light.sending(True)
    assert [factory.pin(number).state for number in RGB] == [0, 0, 0]
    light.close()
