"""What every light keeps, run over the same scan that finds the lights: a new one is tested the moment it exists."""

from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory

from tests.support.gpio import ManualLoop, manual_loop, mock_pins
from voicebox.core.scenes import ONCE, Scene
from voicebox.errors import ConfigError
from voicebox.lights.base import Apa102, Light, LightOptions, discover, open_light
from voicebox.lights.patterns import PATTERNS

PINS = LightOptions(led=25, rgb=(17, 27, 22), apa102=Apa102(power=5), tells_sending=True)


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    with mock_pins() as pins:
        yield pins


@pytest.fixture
def loop() -> ManualLoop:
    return manual_loop()


@pytest.fixture(params=sorted(discover()))
def light(request: pytest.FixtureRequest, factory: MockFactory, loop: ManualLoop) -> Light:
    assert factory.pins == {}
    return open_light(request.param, PINS, loop)


def lit(factory: MockFactory) -> list[str]:
    """The pins still driven or high."""
    return [info.name for info, pin in factory.pins.items() if pin.function == "output" or pin.state]


def test_the_lights_we_promise_are_found() -> None:
    assert {"apa102", "gpio", "none", "rgb", "terminal"} <= set(discover())
    assert not {"base", "patterns", "animation", "pwm", "night", "lamp"} & set(discover())


def test_an_unknown_light_is_refused_with_the_choice(loop: ManualLoop) -> None:
    with pytest.raises(ConfigError, match=r"gpoi.*apa102, gpio, none, rgb, terminal"):
        open_light("gpoi", PINS, loop)


def test_shows_every_scene_twice_and_closes_without_a_trace(
    light: Light, factory: MockFactory, loop: ManualLoop
) -> None:
    for scene in (*Scene, *reversed(Scene)):
        light.show(scene)
        light.show(scene)
        loop.advance(0.7)
    light.close()
    assert (lit(factory), loop.pending) == ([], 0)


@pytest.mark.parametrize("scene", Scene)
def test_close_in_the_midst_of_any_scene_is_dark(
    light: Light, scene: Scene, factory: MockFactory, loop: ManualLoop
) -> None:
    light.show(scene)
    light.sending(True)
    loop.advance(0.1)
    light.close()
    light.close()
    assert (lit(factory), loop.pending) == ([], 0)


def test_showing_after_close_is_harmless(light: Light, factory: MockFactory, loop: ManualLoop) -> None:
    light.show(Scene.THINKING)
    light.close()
    light.show(Scene.SPEAKING)
    light.flash(Scene.WAKE)
    assert not light.sending(True)
    loop.advance(1)
    assert (lit(factory), loop.pending) == ([], 0)


def test_close_before_the_first_scene(light: Light, factory: MockFactory, loop: ManualLoop) -> None:
    light.close()
    assert (lit(factory), loop.pending) == ([], 0)


@pytest.mark.parametrize("scene", Scene)
def test_showing_the_present_scene_again_changes_nothing(light: Light, scene: Scene, loop: ManualLoop) -> None:
    """A breath is not begun anew each time somebody mentions the scene."""
    light.show(scene)
    waiting = loop.pending
    loop.advance(0.11)
    woken = loop.wakeups
    light.show(scene)
    assert (loop.pending, loop.wakeups) == (waiting, woken)
    light.close()


def test_idle_costs_no_wake_up(light: Light, loop: ManualLoop) -> None:
    light.show(Scene.SPEAKING)
    loop.advance(1)
    light.show(Scene.IDLE)
    woken = loop.wakeups
    loop.advance(3600)
    assert (loop.wakeups, loop.pending) == (woken, 0)
    light.close()


@pytest.mark.parametrize("scene", sorted(ONCE))
def test_what_passes_is_over_by_itself(light: Light, scene: Scene, factory: MockFactory, loop: ManualLoop) -> None:
    """And costs nothing any more when it is."""
    light.show(Scene.IDLE)
    dark = [pin.state for pin in factory.pins.values()]
    light.flash(scene)
    loop.advance(PATTERNS[scene].seconds + 0.1)
    assert ([pin.state for pin in factory.pins.values()], loop.pending) == (dark, 0)
    light.close()


def test_only_who_can_says_that_it_is_sending(light: Light, loop: ManualLoop) -> None:
    able = getattr(discover()[type(light).__module__.rpartition(".")[2]], "TELLS_SENDING", False)
    light.show(Scene.LISTENING)
    assert light.sending(True) is able
    assert light.sending(False) is able
    loop.advance(0)
    light.close()
