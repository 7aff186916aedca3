"""The sound cards, through PortAudio in callback mode on ALSA.

Three threads meet here. PortAudio's own call ``called`` on the streams (streams.py); one keeper thread makes
every call that may block (open, close, stop, terminate); the event loop does all the rest and reports to the handlers.
How a flush is made, and why by small blocks and a fade: docs/measurements.md.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from voicebox.audio import alsa, devices
from voicebox.audio.amplifier import Amplifier
from voicebox.audio.base import BLOCK, CAPTURE_RATE, Block, DeviceInfo, Handlers
from voicebox.audio.keeper import Keeper
from voicebox.audio.playback import Playback
from voicebox.audio.streams import PERIOD, Microphone, Speaker, Stream, connect, ports
from voicebox.errors import ConfigError

_WATCH = 0.25
_OPEN_LIMIT = 5.0  # seconds ``start`` waits for the cards
_STOP_LIMIT = 0.8  # seconds ``stop`` waits for cards that hang


def list_devices() -> list[DeviceInfo]:
    """Every device that can be configured, as PortAudio and ALSA know it now."""
    alsa.hush()
    audio = connect()
    try:
        return devices.describe(ports(audio), devices.read_cards())
    finally:
        audio.terminate()


class PortAudioBackend:
    """Microphone and speaker of one box. Names: "default", an ALSA name, a card id, or part of a device's name.
    ``input_channel`` picks a microphone of an array (None: the mean of all); ``period`` is what the card takes at a
    time, in seconds: twice that, and the fade, is heard after a flush."""

    def __init__(
        self,
        input_name: str = "default",
        output_name: str = "default",
        *,
        input_channel: int | None = 0,
        period: float = PERIOD,
        amplifier: Amplifier | None = None,
    ) -> None:
        self._playback = Playback(self._drained_at, wake=self._wake, amplifier=amplifier)
        self.speaker = self._playback
        self._mic = Microphone(
            input_name, input_channel, lambda blocks: self._post(self._deliver, blocks), self._announce
        )
        self._spk = Speaker(output_name, self._playback, self._announce, period)
        self._streams: tuple[Stream, ...] = (self._mic, self._spk)
        self._position = self._end = 0  # microphone position now, and of the end of the newest block
        self._delivered_at = 0.0  # when the newest block came; 0: never
        self._running = False

    @property
    def mixer(self) -> str | None:
        return self._spk.mixer

    @property
    def position(self) -> int:
        silence = time.monotonic() - self._delivered_at
        if self._delivered_at and silence > _WATCH:
            self._position = max(self._position, self._end + round(silence * CAPTURE_RATE))
        return self._position

    def trouble(self) -> str | None:
        return "the sound system hangs" if self._running and self._keeper.hangs else None

    def capture(self, on: bool) -> None:
        self._mic.wanted = on
        if self._running:
            self._keeper.wake()

    def wait_for(self, position: int) -> None:
        self._mic.held.until = position

    async def start(self, handlers: Handlers) -> None:
        alsa.hush()
        alsa.keep_leaky_libraries()
        sys.setswitchinterval(min(sys.getswitchinterval(), 0.001))  # the callbacks have 5 ms to get the GIL
        self._loop = asyncio.get_running_loop()
        self._handlers = handlers
        self._playback.tap = handlers.heard
        self._running = True
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed = asyncio.Event()
        self._keeper = Keeper(self._streams, connect, lost=self._lost, opened=self._settle, closed=self._close)
        self._keeper.start()
        self._timer = self._loop.call_later(_WATCH, self._watch)
        try:
            await asyncio.wait_for(asyncio.shield(self._opened), _OPEN_LIMIT)
        except TimeoutError:  # a card hangs while it is opened
            for stream in self._streams:
                if stream.wanted and not stream.is_open:
                    handlers.lost(stream.kind, f'{stream.setting} = "{stream.name}" does not answer; waiting for it.')
        except ConfigError:
            await self.stop()
            raise

    async def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        self._timer.cancel()
        self._keeper.stop()
        with suppress(TimeoutError):  # a card that hangs is left to its daemon thread
            await asyncio.wait_for(self._closed.wait(), _STOP_LIMIT)

    # --- from any thread -----------------------------------------------------------------------------------------

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._if_running, callback, *arguments)

    def _lost(self, kind: str, message: str) -> None:
        self._post(self._report, self._handlers.lost, kind, message)

    def _announce(self, kind: str) -> None:
        self._post(self._report, self._handlers.ready, kind)

    def _settle(self, error: ConfigError | None) -> None:
        self._post(self._set_opened, error)

    def _close(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._closed.set)

    def _drained_at(self, reply_id: int, when: float) -> None:
        self._post(self._await_drained, reply_id, when)

    def _wake(self) -> None:
        self._spk.grant_grace()
        self._spk.restart_wanted = True
        self._keeper.wake()

    # --- on the event loop ---------------------------------------------------------------------------------------

    def _if_running(self, callback: Callable[..., None], *arguments: Any) -> None:
        if self._running:
            callback(*arguments)

    def _report(self, handler: Callable[..., None], kind: str, *message: str) -> None:
        if kind != self._mic.kind or self._mic.wanted:  # else it comes late: the microphone has been closed
            handler(kind, *message)

    def _set_opened(self, error: ConfigError | None) -> None:
        if error is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(error)

    def _deliver(self, blocks: list[Block]) -> None:
        for block in blocks:
            if self._mic.wanted:  # else it was on its way when the microphone was closed
                self._end = block.position + BLOCK
                self._position = max(self._position, self._end)
                self._delivered_at = time.monotonic()
                self._handlers.block(block)

    def _await_drained(self, reply_id: int, when: float) -> None:
        self._loop.call_later(max(0.0, when - time.monotonic()) + PERIOD, self._drained, reply_id)

    def _drained(self, reply_id: int) -> None:
        while self._running and (ended := self._playback.over(reply_id)):
            self._handlers.drained(ended)

    def _watch(self) -> None:
        self._timer = self._loop.call_later(_WATCH, self._watch)
        for stream in self._streams:
            if stream.stalled():
                stream.broken = True
                self._handlers.lost(
                    stream.kind, f'{stream.setting} = "{stream.name}" {stream.complaint}; re-opening it.'
                )
                self._keeper.wake()
        if not self._spk.is_open:  # nobody hears it, but replies pass as they would, so nothing waits for ever
            self._playback.pull(round(_WATCH * self._spk.card_rate), time.monotonic())
