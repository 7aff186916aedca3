"""No light at all."""

import asyncio

from voicebox.core.scenes import Scene
from voicebox.lights.base import LightOptions


class NullLight:
    def show(self, scene: Scene) -> None:
        pass

    def close(self) -> None:
        pass


def create(_options: LightOptions, _loop: asyncio.AbstractEventLoop) -> NullLight:
    return NullLight()
