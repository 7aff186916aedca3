"""The demo on the real microphone and speaker: the owner does the talking, the talker answers."""

import asyncio
import time
from collections.abc import Callable

from voicebox.app import App
from voicebox.core.state import Phase
from voicebox.demo.stage import Stage
from voicebox.parts import Parts
from voicebox.settings import Settings
from voicebox.simulator import Simulator

LIMIT = 120.0
"""Seconds after which the demo gives up waiting for the conversation to end."""


async def converse(settings: Settings, service: str, tell: Callable[[str], None]) -> bool:
    """One conversation with this service's simulator; true if a reply was heard."""
    started = time.monotonic()
    stop = asyncio.Event()
    async with App(settings, Parts(simulator=Simulator(service, brain="talker"))) as app:
        stage = Stage(app, lambda: time.monotonic() - started, lambda mark: tell(f"{mark.at:7.2f} s  {mark.text}"))
        running = asyncio.ensure_future(app.run(stop))
        tell(
            f'say "hey jarvis" and ask something; interrupt the answer; it ends by itself ({app.status(app.box.state)})'
        )
        try:
            async with asyncio.timeout(LIMIT):
                while not (stage.replies and app.box.state.phase is Phase.IDLE) and not running.done():
                    await stage.change()
        except TimeoutError:
            tell(f"nothing more happened within {LIMIT:.0f} s")
        finally:
            stop.set()
            await running
    return bool(stage.replies)
