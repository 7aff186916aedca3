"""The process: one run of the box after another, for as long as systemd or its owner lets it. Signals come in here."""

import asyncio
import logging
import signal

from voicebox import logs
from voicebox.app import App
from voicebox.detached import Detached
from voicebox.errors import VoiceboxError
from voicebox.reload import Load
from voicebox.settings import Settings

_log = logging.getLogger(__name__)


async def serve(settings: Settings, load: Load | None = None, refused: str = "") -> None:
    """Run the daemon until SIGTERM or SIGINT; reload the settings at SIGHUP."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_exception)
    loop.set_default_executor(Detached())
    stop, reload_asked = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
    before: Settings | None = None
    while True:
        try:
            async with App(settings, load=load, refused=refused) as app:
                await app.run(stop, reload_asked)
        except VoiceboxError as error:  # the box cannot be put together this way
            if before is None:
                raise
            _log.error("%s", error)
            settings, before, refused = before, None, str(error).splitlines()[0]
            continue
        if stop.is_set() or app.successor is None:
            return
        before, settings, refused = settings, app.successor, ""


def main(settings: Settings, load: Load | None = None, refused: str = "") -> int:
    """Run the daemon to its end; returns the exit code. A refusal by the service does not end it: the light says so."""
    try:
        asyncio.run(serve(settings, load, refused))
    except* VoiceboxError as group:
        raise group.exceptions[0] from None
    return 0
