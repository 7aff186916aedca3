"""New settings for a running box: checked first, then applied, without cutting off whoever talks to it.

What can change live changes at once (``LIVE``); for all else the box is put together anew, in the same process, as soon
as it is idle. Settings that are wrong change nothing: the box works on with those it has, and says so.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voicebox import parts, settings, statefile
from voicebox.core.state import Phase
from voicebox.errors import ConfigError
from voicebox.hearing import SpeechFinder
from voicebox.settings import Settings, lastgood
from voicebox.showing import Lights
from voicebox.wake.base import Detector

if TYPE_CHECKING:
    from voicebox.app import App

_log = logging.getLogger(__name__)

FILE = "last-good-settings.json"
"""Its name in the state directory."""

Load = Callable[[], Settings]
T = TypeVar("T")


def last_good(config: Path | None, environ: Mapping[str, str] | None = None) -> Settings | None:
    """The settings that worked last; None if there are none, or they work no more."""
    environ = os.environ if environ is None else environ
    layers = lastgood.parse(statefile.read(statefile.directory(environ) / FILE))
    if layers is None:
        return None
    try:
        return settings.load(config, environ, files=layers)
    except ConfigError:
        return None


def keep(good: Settings, environ: Mapping[str, str]) -> None:
    """These settings work: remember them. Writes only what is new."""
    path, text = statefile.directory(environ) / FILE, lastgood.dump(good)
    if statefile.read(path) != text:
        statefile.write(path, text)


# --- what can change while somebody talks ----------------------------------------------------------------------------

Prepare = Callable[[Settings], object]
"""Makes, off the event loop, what a change needs. Raises ConfigError if it cannot be had."""
Apply = Callable[["App", Settings, Any], None]
"""Puts it in place, on the event loop."""


def _policy(app: "App", new: Settings, _made: object) -> None:
    app.box.set_policy(parts.policy(new, app.adapter, app.echo))


def _interruption(app: "App", new: Settings, over: SpeechFinder | None) -> None:
    _policy(app, new, None)
    app.hearing.overhear_with(over)


def _wake(app: "App", new: Settings, engine: Detector) -> None:
    assert app.listener is not None  # noqa: S101  # see ``_waits``
    app.listener.listen_with(engine)
    _policy(app, new, None)  # how much of the wake word goes out
    app.tell()


def _light(app: "App", new: Settings, _made: object) -> None:
    def make() -> Lights:
        light = parts.light(new, asyncio.get_running_loop())
        return light, parts.privacy_lamp(new, light)

    app.light.replace(make)


def _inputs(app: "App", new: Settings, _made: object) -> None:
    app.inputs.use(new)


def _level(_app: "App", new: Settings, _made: object) -> None:
    logging.getLogger("voicebox").setLevel(new.log.level.upper())


def _nothing(_settings: Settings) -> None:
    """Nothing is to be made before."""


LIVE: dict[str, tuple[Prepare, Apply]] = {
    "conversation": (_nothing, _policy),
    "interruption": (parts.finder_over, _interruption),
    "wake": (parts.detector, _wake),
    "lights": (_nothing, _light),
    "button": (_nothing, _inputs),
    "buttons": (_nothing, _inputs),
    "mute_switch": (_nothing, _inputs),
    "log": (_nothing, _level),
}
"""Sections that change live, and how."""


def _waits(app: "App", name: str, new: Settings) -> bool:
    """Whether the box must be put together anew for this section."""
    if parts.uplink_seconds(new) > parts.uplink_seconds(app.settings):  # the ring is too short
        return True
    if name == "wake":  # switched on or off
        return app.listener is None or not (new.wake.enabled and new.wake.phrases)
    return name not in LIVE


class Reloader:
    """Reloads the settings of one running App. ``load`` reads them anew; a reload while one is under way is one more
    after it."""

    def __init__(self, app: "App", load: Load) -> None:
        self._app = app
        self._load = load
        self._lock = asyncio.Lock()

    async def run(self, asked: asyncio.Event) -> None:
        """Reload whenever ``asked`` is set, for ever. What is under way when this is cancelled stays asked for."""
        while True:
            await asked.wait()
            asked.clear()
            try:
                await self.reload()
            except ConfigError:
                pass  # it has been logged
            except asyncio.CancelledError:
                asked.set()
                raise

    async def reload(self) -> str:
        """What has become of it, in words. Raises ConfigError; then nothing has changed."""
        async with self._lock:
            app = self._app
            app.notifier.reloading()
            try:
                new = await self._off_loop(self._load)
                sections = app.settings.differences(new)
                later = [name for name in sections if _waits(app, name, new)]
                new.credentials.renewed = app.settings.credentials.renewed
                if later:
                    await self._off_loop(parts.must_serve, new)
                made = {name: await self._off_loop(LIVE[name][0], new) for name in sections if not later}
            except ConfigError as error:
                self._refuse(error)
                raise
            finally:
                app.notifier.ready()
            app.refused = ""
            app.tell()
            return self._later(new, sections) if later or app.ending else self._now(new, made)

    @staticmethod
    async def _off_loop(work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)

    def _refuse(self, error: ConfigError) -> None:
        for problem in error.problems:
            _log.error("the new settings are wrong and are not used: %s", problem)
        self._app.refused = error.problems[0]
        self._app.tell()

    def _later(self, new: Settings, sections: list[str]) -> str:
        self._app.succeed(new)
        when = "now" if self._app.box.state.phase is Phase.IDLE else "when this conversation is over"
        return _said(f"changed: {', '.join(sections)}; in effect {when}")

    def _now(self, new: Settings, made: Mapping[str, object]) -> str:
        app = self._app
        app.settings = new
        app.successor = None
        for name, part in made.items():
            LIVE[name][1](app, new, part)
        keep(new, app.environ)
        return _said(f"changed: {', '.join(made)}; in effect now" if made else "nothing has changed")


def _said(words: str) -> str:
    _log.info("settings: %s", words)
    return words
