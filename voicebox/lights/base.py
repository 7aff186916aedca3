"""What a light promises, and how one is found.

A light is one module beside this one that has ``create(options, loop) -> Light``. Nothing has to be registered:
``discover`` finds it by name, and the contract tests in tests/contract/test_lights.py run over the same scan. A module
with ``TELLS_SENDING = True`` makes lights that can be the privacy lamp, too.
"""

import asyncio
import importlib
import pkgutil
from dataclasses import dataclass, field
from types import ModuleType
from typing import Protocol

from voicebox.core.scenes import Scene
from voicebox.errors import ConfigError
from voicebox.lights.night import Dimmer


class Lamp(Protocol):
    """The privacy lamp: a light that can be one, or an LED of its own (lamp.py)."""

    def sending(self, on: bool) -> bool:
        """Microphone audio leaves the box, or no longer does. Returns whether the lamp says so now."""

    def close(self) -> None:
        """Dark, and the pins given back. Safe to call twice."""


class Light(Protocol):
    """Shows scenes. All methods are called on the event loop's thread and return at once; after ``close`` they do
    nothing."""

    def show(self, scene: Scene) -> None:
        """Begin to show ``scene``; showing the present one again changes nothing."""

    def flash(self, scene: Scene) -> None:
        """Show a passing scene (core.scenes.ONCE) from its beginning, then the one last given to ``show``."""

    def sending(self, on: bool) -> bool:
        """As a Lamp; false also where the light has no way to be one."""

    def close(self) -> None:
        """Dark, and the pins given back. Safe to call twice."""


@dataclass(frozen=True, slots=True)
class Apa102:
    """A row of APA102 LEDs (DotStar, SK9822). Pins are BCM numbers."""

    leds: int = 3
    select: int = 0  # SPI's chip select: 0 is CE0, 1 is CE1
    power: int | None = None  # this pin is high while the lights are in use
    data: int | None = None  # both None: hardware SPI (data 10, clock 11)
    clock: int | None = None


@dataclass(frozen=True, slots=True)
class LightOptions:
    """What the owner may set; each light uses what it needs. Pins are BCM numbers."""

    led: int | None = None  # one LED
    rgb: tuple[int, int, int] | None = None  # the red, green and blue pins of a colour LED
    apa102: Apa102 = field(default_factory=Apa102)
    active_high: bool = True  # False: the LED lights when its pin is low
    dimmer: Dimmer = field(default_factory=Dimmer)
    tells_sending: bool = False  # it is the privacy lamp, too


def discover() -> dict[str, ModuleType]:
    """Every light's module beside this one, by name: those that can ``create`` one."""
    import voicebox.lights as package  # noqa: PLC0415  # importing it at the top would be circular

    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__))
    modules = {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "create")}


def open_light(backend: str, options: LightOptions, loop: asyncio.AbstractEventLoop) -> Light:
    """The light called ``backend``. Raises ConfigError if there is none, DeviceError if its hardware cannot be had."""
    lights = discover()
    if backend not in lights:
        raise ConfigError(f'lights.backend = "{backend}": there is no such light; choose one of {", ".join(lights)}')
    light: Light = lights[backend].create(options, loop)
    return light
