"""The microphone of a box that is not running: opened here, and measured and scored as the box would."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from voicebox import parts
from voicebox.audio.base import Block, Handlers
from voicebox.audio.pcm import from_bytes
from voicebox.core.events import Device
from voicebox.errors import DeviceError
from voicebox.meters import Heard, Meters
from voicebox.settings import Settings
from voicebox.uplink import Ring, WakeListener
from voicebox.wake.base import Detector

EVERY = 0.1
"""Seconds between two readings."""


class _Ears:
    """Takes the blocks, and notes when the microphone is gone."""

    meter: Heard | None = None

    def __init__(self, engine: Detector, executor: ThreadPoolExecutor) -> None:
        self._ring = Ring()
        self.listener = WakeListener(engine, lambda _: None, executor, self._ring)
        self.trouble = ""

    def block(self, block: Block) -> None:
        if self.meter is not None:
            self.meter.before(block.pcm)
        self._ring.write(block.position, from_bytes(block.pcm))
        self.listener.block(block)

    def lost(self, device: str, why: str) -> None:
        if device == Device.MICROPHONE:
            self.trouble = why


async def readings(settings: Settings, engine: Detector) -> AsyncGenerator[dict[str, Any], None]:
    """As ``watch`` tells them, for ever. Raises DeviceError if the microphone cannot be had."""
    backend = parts.backend(settings)
    with ThreadPoolExecutor(1, thread_name_prefix="wake") as executor:
        ears = _Ears(engine, executor)
        handlers = Handlers(ears.block, lambda _: None, ears.lost, lambda _: None)
        scoring = asyncio.ensure_future(ears.listener.run())
        try:
            await backend.start(handlers)
            with Meters(ears, ears.listener.scored, dict).reading() as read:
                while not ears.trouble:
                    await asyncio.sleep(EVERY)
                    yield read()
            raise DeviceError(f"no microphone: {ears.trouble}")
        finally:
            scoring.cancel()
            with suppress(asyncio.CancelledError):
                await scoring
            await backend.stop()
