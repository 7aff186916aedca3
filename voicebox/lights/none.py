"""No light at all."""

import asyncio

from voicebox.core.scenes import Scene
from voicebox.lights.base import LightOptions


class NullLight:
    def show(self, scene: Scene) -> None:
        pass

    def flash(self, scene: Scene) -> None:
        pass

    def sending(self, on: bool) -> bool:  # noqa: ARG002  # the promise's name
        return False

    def close(self) -> None:
        pass


def create(_options: LightOptions, _loop: asyncio.AbstractEventLoop) -> NullLight:
    return NullLight()
