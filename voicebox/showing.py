"""What the lights show, of all that wants to be shown: for a while what was asked for over the control socket, else the
box's scene; and in place of an idle one, that the newest settings are not in effect."""

import asyncio
from collections.abc import Callable

from voicebox.core.scenes import Scene
from voicebox.lights.base import Lamp, Light

Lights = tuple[Light, Lamp]


class Showing:
    """A light and the privacy lamp, as the rest of the box knows them. All methods are called on the event loop."""

    def __init__(self, lights: Lights, loop: asyncio.AbstractEventLoop) -> None:
        self._light, self._lamp = lights
        self._loop = loop
        self._scene: Scene | None = None  # the box's own
        self._asked: Scene | None = None
        self._until: asyncio.TimerHandle | None = None
        self._outdated = self._sending = False

    @property
    def light(self) -> Light:
        return self._light

    @property
    def shown(self) -> Scene | None:
        """What the lights say now, but for what passes; None: nothing yet."""
        own = Scene.LAST_GOOD_CONFIG if self._outdated and self._scene is Scene.IDLE else self._scene
        return self._asked or own

    @property
    def is_sending(self) -> bool:
        """The microphone's sound leaves the box."""
        return self._sending

    def show(self, scene: Scene) -> None:
        """The box's scene; a new one ends what was asked for."""
        if scene is not self._scene:
            self._forget()
            self._scene = scene
            self._refresh()

    def flash(self, scene: Scene) -> None:
        """A passing scene of the box."""
        self.ask(None)
        self._light.flash(scene)

    def sending(self, on: bool) -> bool:
        """As Lamp."""
        self._sending = on
        return self._lamp.sending(on)

    def outdated(self, on: bool) -> None:
        """The newest settings are wrong, those before are in effect."""
        self._outdated = on
        self._refresh()

    def ask(self, scene: Scene | None, seconds: float = 0.0) -> None:
        """Show this for so long, or until the box has something new to show; None: no more."""
        self._forget()
        self._asked = scene
        if scene is not None:
            self._until = self._loop.call_later(seconds, self.ask, None)
        self._refresh()

    def replace(self, make: Callable[[], Lights]) -> None:
        """Other lights take over what the old ones showed, which are closed first: both may need the same pins."""
        self._close_lights()
        self._light, self._lamp = make()
        self._refresh()
        if self._sending:
            self._lamp.sending(on=True)

    def close(self) -> None:
        """Dark. Safe to call twice."""
        self._forget()
        self._close_lights()

    def _close_lights(self) -> None:
        self._lamp.close()
        self._light.close()

    def _forget(self) -> None:
        self._asked = None
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _refresh(self) -> None:
        if (wanted := self.shown) is not None:
            self._light.show(wanted)
