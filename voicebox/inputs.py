"""The buttons and the mute switch: opened as the settings say, and what their presses do."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from voicebox.buttons import Button, ButtonOptions, MuteSwitch
from voicebox.core.events import HangUp
from voicebox.errors import DeviceError, VoiceboxError
from voicebox.gestures import Gestures, Meaning
from voicebox.settings import Settings
from voicebox.settings.schema import Press

if TYPE_CHECKING:
    from voicebox.app import App

_log = logging.getLogger(__name__)

SHUT_DOWN = "shut-down"
"""A file of this name in the runtime directory has systemd power the machine off (systemd/voicebox-shutdown.path)."""


def _hang_up(app: "App") -> None:
    app.box.dispatch(HangUp())
    app.sounds.hush()


def _repeat(app: "App") -> None:
    _hang_up(app)
    if app.last_reply.pcm:
        app.sounds.say_again(app.last_reply.pcm)


def _toggle_mute(app: "App") -> None:
    app.mute.toggle()


def _shut_down(app: "App") -> None:
    """Raises VoiceboxError where that cannot be asked for."""
    directory = app.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if not directory:
        raise VoiceboxError("only a box that runs under systemd can shut its machine down")
    _log.warning("shutting the machine down: the button asks for it")
    try:
        Path(directory, SHUT_DOWN).touch()
    except OSError as error:
        raise VoiceboxError(f"the machine cannot be shut down: {error.strerror}") from None


VOLUME_STEP = 10  # of 100


ACTIONS: Mapping[str, Callable[["App"], Coroutine[Any, Any, object] | None]] = {
    "stop": _hang_up,
    "mute": _toggle_mute,
    "repeat": _repeat,
    "volume_up": lambda app: app.volume.change(VOLUME_STEP),
    "volume_down": lambda app: app.volume.change(-VOLUME_STEP),
    "shut_down": _shut_down,
}
"""What presses can do beside talking; names as in the settings."""


class _Closable(Protocol):
    def close(self) -> None: ...


class Inputs:
    """One that cannot be had is said once and left out."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._open: list[_Closable] = []
        self._doing: set[asyncio.Task[None]] = set()

    def use(self, settings: Settings) -> None:
        """Open them as these settings say, in place of those there are."""
        self.close()
        wanted: list[tuple[str, int, Press]] = []
        if settings.button.pin is not None:
            wanted.append(("button", settings.button.pin, settings.button))
        wanted += [(f"buttons[{n}]", extra.pin, extra) for n, extra in enumerate(settings.buttons, 1)]
        for name, pin, press in wanted:
            self._try(self._button, name, pin, press)
        if settings.mute_switch.pin is None:
            self._app.mute.switch(False)
        elif not self._try(self._switch, settings):
            self._app.mute.lose_switch()

    def close(self) -> None:
        """Give the pins back. Safe to call twice."""
        for device in self._open:
            device.close()
        self._open.clear()

    @staticmethod
    def _try(make: Callable[..., None], *arguments: object) -> bool:
        """Whether it could be had."""
        try:
            make(*arguments)
        except DeviceError as error:
            _log.warning("the box works on without it: %s", error)
            return False
        return True

    def _button(self, name: str, pin: int, press: Press) -> None:
        loop = asyncio.get_running_loop()
        meaning = Meaning(
            tap=press.tap,
            double_tap=press.double_tap,
            hold=press.hold,
            long_hold=press.long_hold,
            between=press.double_tap_ms / 1000,
            hold_after=press.hold_ms / 1000,
            long_after=press.long_hold_s,
        )
        gestures = Gestures(
            meaning, act=lambda action: self._act(name, action), dispatch=self._app.box.dispatch, loop=loop
        )
        options = ButtonOptions(pin, press.pull_up, press.hold_ms / 1000, press.max_hold_s, name=name)
        button = Button(options, position=lambda: self._app.backend.position, dispatch=gestures, loop=loop)
        self._open += [button, gestures]

    def _switch(self, settings: Settings) -> None:
        wanted = settings.mute_switch
        assert wanted.pin is not None  # noqa: S101  # for the type checker
        closed_is_muted = wanted.muted_when == "closed"
        self._open.append(
            MuteSwitch(
                wanted.pin,
                pull_up=wanted.pull_up,
                told=lambda closed: self._app.mute.switch(closed is closed_is_muted),
                loop=asyncio.get_running_loop(),
            )
        )

    def _act(self, name: str, action: str) -> None:
        """At once, or as soon as what it must wait for allows."""
        task = asyncio.get_running_loop().create_task(self._do(name, action), name=action)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    async def _do(self, name: str, action: str) -> None:
        _log.info("%s: %s", name, action)
        try:
            done = ACTIONS[action](self._app)
            if done is not None:
                await done
        except VoiceboxError as error:
            _log.warning("%s: %s", name, error)
