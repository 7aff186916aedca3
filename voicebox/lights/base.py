"""What a light promises, and how one is found.

A light is one module beside this one that has ``create(options, loop) -> Light``. Nothing has to be registered:
``discover`` finds it by name, and the contract tests in tests/contract/test_lights.py run over the same scan.
"""

import asyncio
import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

from voicebox.core.scenes import Scene
from voicebox.errors import ConfigError


class Light(Protocol):
    """Shows scenes. All methods are called on the event loop's thread and return at once."""

    def show(self, scene: Scene) -> None:
        """Begin to show ``scene``; showing the present one again changes nothing, nor does showing after ``close``."""

    def close(self) -> None:
        """Dark, and the pins given back. Safe to call twice."""


@dataclass(frozen=True, slots=True)
class LightOptions:
    """What the owner may set; each light uses what it needs. Pins are BCM numbers."""

    led: int | None = None  # one LED
    rgb: tuple[int, int, int] | None = None  # the red, green and blue pins of a colour LED
    active_high: bool = True  # False: the LED lights when its pin is low
    brightness: float = 1.0  # of the brightest moment, 0 to 1 as the eye sees it


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
