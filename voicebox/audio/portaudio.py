"""The sound cards, through PyAudio in callback mode on ALSA. The only file that imports pyaudio.

Three threads meet here. PortAudio's own call ``called`` on the streams below; one keeper thread makes
every call that may block (open, close, stop, terminate); the event loop does all the rest and reports to the handlers.
How a flush is made, and why by small blocks and a fade: docs/measurements.md.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pyaudio

from voicebox.audio import devices
from voicebox.audio import pcm as sound
from voicebox.audio.base import BLOCK, CAPTURE_RATE, PLAYBACK_RATE, Block, DeviceInfo, Handlers
from voicebox.audio.devices import Port
from voicebox.audio.keeper import Keeper, Outage
from voicebox.audio.playback import Playback
from voicebox.errors import ConfigError

PERIOD = 0.005
"""Seconds of sound the card asks for at a time. It holds two periods: that bounds what a flush leaves to be heard."""
_SLEEP_AFTER = 5.0  # seconds of silence after which the output stream rests
_STALLED = 1.5  # seconds without a callback: the card is gone, though PortAudio calls it active
_START_GRACE = 3.0  # … right after a start: a sound server may take two seconds
_WATCH = 0.25
_OPEN_LIMIT = 5.0  # seconds ``start`` waits for the cards
_STOP_LIMIT = 0.8  # seconds ``stop`` waits for cards that hang
_SETTINGS = {"microphone": "audio.input", "speaker": "audio.output"}

_ERROR_HANDLER = ctypes.CFUNCTYPE(None, *(ctypes.c_char_p, ctypes.c_int) * 2, ctypes.c_char_p)
_MESSAGE_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_ignore_error = _ERROR_HANDLER(lambda *_: None)  # module level: the libraries keep pointers to them
_ignore_message = _MESSAGE_HANDLER(lambda _: None)


def _hush() -> None:
    """Stop ALSA and JACK from printing a hundred lines to stderr at every start of PortAudio."""
    os.environ.setdefault("JACK_NO_START_SERVER", "1")
    silent = {
        "libasound.so.2": [("snd_lib_error_set_handler", _ignore_error)],
        "libjack.so.0": [("jack_set_error_function", _ignore_message), ("jack_set_info_function", _ignore_message)],
    }
    for library, functions in silent.items():
        with suppress(OSError, AttributeError):  # not installed: then it prints nothing
            loaded = ctypes.CDLL(library)
            for name, handler in functions:
                getattr(loaded, name)(handler)


def _forget_configuration() -> None:
    """To list its devices ALSA loads every plugin there is, video codecs among them: give those 11 MB back. What open
    streams use stays. On the keeper's thread only: ALSA must not be opening anything meanwhile."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_config_update_free_global()


def _hurry() -> None:
    """Put the calling thread before ordinary work: it has 5 ms. Needs root or LimitRTPRIO; without, it works as well
    as the machine is idle."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(5))


def _cards() -> dict[str, str]:
    try:
        return devices.parse_cards(Path("/proc/asound/cards").read_text(encoding="utf-8"))
    except OSError:
        return {}  # no sound driver is loaded


def _ports(audio: pyaudio.PyAudio) -> list[Port]:
    found = [audio.get_device_info_by_index(index) for index in range(audio.get_device_count())]
    return [
        Port(
            int(d["index"]),
            str(d["name"]),
            int(d["maxInputChannels"]),
            int(d["maxOutputChannels"]),
            int(d["defaultSampleRate"]),
        )
        for d in found
    ]


def list_devices() -> list[DeviceInfo]:
    """Every device that can be configured, as PortAudio and ALSA know it now."""
    _hush()
    audio = pyaudio.PyAudio()
    try:
        return devices.describe(_ports(audio), _cards())
    finally:
        audio.terminate()


class _Stream:
    """One direction of sound. Opened and closed by the keeper; ``beat`` is set by every callback."""

    kind: ClassVar[str]
    capture: ClassVar[bool]
    rate: ClassVar[int]

    def __init__(self, name: str, on_first: Callable[[str], None]) -> None:
        self.setting = _SETTINGS[self.kind]
        devices.check_name(name, self.setting)
        self.name = name
        self._on_first = on_first
        self._stream: Any = None
        self._first = True
        self.beat = 0.0
        self.broken = False
        self.restart_wanted = False
        self.outage = Outage()
        self.channels = 1
        self.card_rate = self.rate

    @property
    def is_open(self) -> bool:
        return self._stream is not None and not self.broken

    def stalled(self) -> bool:
        return self.is_open and time.monotonic() - self.beat > _STALLED

    def open(self, audio: pyaudio.PyAudio) -> None:
        """Raises NotFound, ConfigError, or OSError if the card takes none of the formats we can live with."""
        port = devices.find(self.name, _ports(audio), _cards(), capture=self.capture, setting=_SETTINGS[self.kind])
        refusal = OSError("it takes none of our formats")
        for rate, channels in self._formats(port):
            try:
                self._open_as(audio, port, rate, channels)
            except (OSError, ValueError) as error:
                refusal = OSError(str(error))
            else:
                _forget_configuration()
                return
        raise refusal

    def _formats(self, port: Port) -> list[tuple[int, int]]:
        most = port.channels(capture=self.capture)
        counts = [count for count in dict.fromkeys((1, 2, most)) if count <= most]
        rates = dict.fromkeys((self.rate, port.rate, 48_000, 44_100))
        return [(rate, count) for rate in rates for count in counts]

    def _open_as(self, audio: pyaudio.PyAudio, port: Port, rate: int, channels: int) -> None:
        self.card_rate, self.channels, self._first = rate, channels, True
        self.prepare()
        self.grant_grace()
        self._stream = audio.open(
            rate=rate,
            channels=channels,
            format=pyaudio.paInt16,
            input=self.capture,
            output=not self.capture,
            input_device_index=port.index if self.capture else None,
            output_device_index=None if self.capture else port.index,
            frames_per_buffer=self.frames(),
            stream_callback=self.called,
        )
        self.broken = False

    def close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):  # a card that is gone may say so once more
                stream.close()

    def beaten(self) -> None:
        """Every callback says so: the card lives."""
        self.beat = time.monotonic()
        if self._first:
            self._first = False
            _hurry()
            self.outage = Outage()
            self._on_first(self.kind)

    def restart(self) -> None:
        """Wake a stream that has ended itself. Raises OSError."""
        self.restart_wanted = False
        self.grant_grace()
        self._stream.stop_stream()
        self._stream.start_stream()

    def grant_grace(self) -> None:
        self.beat = time.monotonic() + _START_GRACE - _STALLED

    def prepare(self) -> None:
        """The format is known; the callbacks are about to begin."""
        raise NotImplementedError

    def frames(self) -> int:
        """Frames of the card in one callback."""
        raise NotImplementedError

    def called(self, data: bytes | None, frames: int, info: dict[str, float], status: int) -> tuple[bytes | None, int]:
        """PortAudio's callback, on its own thread: small, no logging, no waiting."""
        raise NotImplementedError


class _Microphone(_Stream):
    kind, capture, rate = "microphone", True, CAPTURE_RATE

    def __init__(
        self, name: str, channel: int | None, on_block: Callable[[Block], None], on_first: Callable[[str], None]
    ) -> None:
        super().__init__(name, on_first)
        self._channel = channel
        self._on_block = on_block
        self._position = 0
        self._last = 0.0  # when the last callback came, through all re-openings
        self._pending = bytearray()
        self._resampler = sound.Resampler(CAPTURE_RATE, CAPTURE_RATE)

    def prepare(self) -> None:
        self._pending.clear()
        self._resampler = sound.Resampler(self.card_rate, CAPTURE_RATE)

    def frames(self) -> int:
        return self.card_rate * BLOCK // CAPTURE_RATE

    def called(self, data: bytes | None, frames: int, info: dict[str, float], status: int) -> tuple[bytes | None, int]:
        del info
        now = time.monotonic()
        if self._last and (self._first or status & pyaudio.paInputOverflow):
            self._position += max(0, round((now - self._last - frames / self.card_rate) * CAPTURE_RATE))
        self._last = now
        self._pending += self._convert(data or b"")
        while len(self._pending) >= 2 * BLOCK:
            self._on_block(Block(self._position, bytes(self._pending[: 2 * BLOCK])))
            del self._pending[: 2 * BLOCK]
            self._position += BLOCK
            self.beaten()
        return None, pyaudio.paContinue

    def _convert(self, data: bytes) -> bytes:
        if self.channels == 1 and self.card_rate == CAPTURE_RATE:
            return data
        mono = sound.pick_channel(sound.from_bytes(data), self.channels, self._channel)
        return sound.to_bytes(self._resampler.process(mono))


class _Speaker(_Stream):
    kind, capture, rate = "speaker", False, PLAYBACK_RATE

    def __init__(self, name: str, playback: Playback, on_first: Callable[[str], None], period: float = PERIOD) -> None:
        super().__init__(name, on_first)
        self._period = period
        self._playback = playback

    def prepare(self) -> None:
        self._playback.open_card(self.card_rate)

    def frames(self) -> int:
        return round(self.card_rate * self._period)

    def stalled(self) -> bool:
        return not self._playback.asleep and super().stalled()

    def called(self, data: bytes | None, frames: int, info: dict[str, float], status: int) -> tuple[bytes | None, int]:
        del data
        delay = info["output_buffer_dac_time"] - info["current_time"]  # only their difference means anything on ALSA
        if status & pyaudio.paOutputUnderflow:
            self._playback.xrun()
        out = self._playback.pull(frames, time.monotonic() + max(0.0, delay), sleep_after=_SLEEP_AFTER)
        self.beaten()
        if out is None:
            return bytes(2 * frames * self.channels), pyaudio.paComplete
        if self.channels > 1:
            out = sound.to_bytes(sound.to_channels(sound.from_bytes(out), self.channels))
        return out, pyaudio.paContinue


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
    ) -> None:
        self._playback = Playback(self._drained_at, wake=self._wake)
        self.speaker = self._playback
        self._mic = _Microphone(
            input_name, input_channel, lambda block: self._post(self._deliver, block), self._announce
        )
        self._spk = _Speaker(output_name, self._playback, self._announce, period)
        self._streams: tuple[_Stream, ...] = (self._mic, self._spk)
        self._position = 0
        self._running = False

    @property
    def position(self) -> int:
        return self._position

    async def start(self, handlers: Handlers) -> None:
        _hush()
        sys.setswitchinterval(min(sys.getswitchinterval(), 0.001))  # the callbacks have 5 ms to get the GIL
        self._loop = asyncio.get_running_loop()
        self._handlers = handlers
        self._running = True
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed = asyncio.Event()
        self._keeper = Keeper(self._streams, pyaudio.PyAudio, lost=self._lost, opened=self._settle, closed=self._close)
        self._keeper.start()
        self._timer = self._loop.call_later(_WATCH, self._watch)
        try:
            await asyncio.wait_for(asyncio.shield(self._opened), _OPEN_LIMIT)
        except TimeoutError:  # a card hangs while it is opened
            for stream in self._streams:
                if not stream.is_open:
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
        self._post(self._handlers.lost, kind, message)

    def _announce(self, kind: str) -> None:
        self._post(self._handlers.ready, kind)

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

    def _set_opened(self, error: ConfigError | None) -> None:
        if error is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(error)

    def _deliver(self, block: Block) -> None:
        self._position = block.position + BLOCK
        self._handlers.block(block)

    def _await_drained(self, reply_id: int, when: float) -> None:
        self._loop.call_later(max(0.0, when - time.monotonic()) + PERIOD, self._drained, reply_id)

    def _drained(self, reply_id: int) -> None:
        if self._running and self._playback.over(reply_id):
            self._handlers.drained(reply_id)

    def _watch(self) -> None:
        self._timer = self._loop.call_later(_WATCH, self._watch)
        for stream in self._streams:
            if stream.stalled():
                stream.broken = True
                self._handlers.lost(stream.kind, f'{stream.setting} = "{stream.name}" has gone silent; re-opening it.')
                self._keeper.wake()
        if not self._spk.is_open:  # nobody hears it, but replies pass as they would, so nothing waits for ever
            self._playback.pull(round(_WATCH * self._spk.card_rate), time.monotonic())
