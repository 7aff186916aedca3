"""One direction of sound through a card: opened and closed by the keeper, called back by PortAudio. The only file that
imports pyaudio.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pyaudio

from voicebox.audio import alsa, devices
from voicebox.audio import pcm as sound
from voicebox.audio.base import BLOCK, CAPTURE_RATE, PLAYBACK_RATE, Block
from voicebox.audio.clock import StreamClock
from voicebox.audio.devices import Port
from voicebox.audio.held import Held
from voicebox.audio.keeper import Outage
from voicebox.audio.playback import Playback

PERIOD = 0.005
"""Seconds of sound the card asks for at a time. It holds two periods: that bounds what a flush leaves to be heard."""
_SLEEP_AFTER = 5.0  # seconds of silence after which the output stream rests
_STALLED = 1.5  # seconds without a callback: the card is gone, though PortAudio calls it active
_START_GRACE = 3.0  # … right after a start: a sound server may take two seconds
_MOST_CHANNELS = 16
_CARDS = Path("/proc/asound")
_STUCK = 64  # of 32768: who says one value for ever is silent up to here, as a muted card is, and broken beyond
_DOUBTED = 30.0  # seconds of such silence after which a card is opened anew, once: some wake from a sleep that way only
_OLDEST = 1.0  # seconds: sound that is said to have waited longer than this has not
_SETTINGS = {"microphone": "audio.input", "speaker": "audio.output"}


def connect() -> pyaudio.PyAudio:
    """PortAudio, with the cards there are at this moment."""
    with alsa.quiet():
        return pyaudio.PyAudio()


def ports(audio: pyaudio.PyAudio) -> list[Port]:
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


class Stream:
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
        self._node: Path | None = None  # the kernel's of the card that is open
        self._first = True
        self.beat = 0.0
        self.broken = False
        self.restart_wanted = False
        self.wanted = True
        self.outage = Outage()
        self.channels = 1
        self.card_rate = self.rate
        self.mixer: str | None = None

    @property
    def is_open(self) -> bool:
        return self._stream is not None and not self.broken

    @property
    def unplugged(self) -> bool:
        return self.is_open and self._node is not None and not self._node.exists()

    def stalled(self) -> bool:
        return self.wanted and self.is_open and time.monotonic() - self.beat > _STALLED

    @property
    def complaint(self) -> str:
        """Why it counts as stalled, in words."""
        return "has gone silent"

    def open(self, audio: pyaudio.PyAudio) -> None:
        """Raises NotFound, ConfigError, or OSError if the card takes none of the formats we can live with."""
        cards = devices.read_cards()
        port = devices.find(self.name, ports(audio), cards, capture=self.capture, setting=_SETTINGS[self.kind])
        self.mixer = devices.mixer(port, cards)
        refusal = OSError("it takes none of our formats")
        for rate, channels in self._formats(port):
            try:
                with alsa.quiet():
                    self._open_as(audio, port, rate, channels)
            except (OSError, ValueError) as error:
                refusal = OSError(str(error))
            else:
                alsa.forget_configuration()
                self._node = _CARDS / f"card{port.card}" if port.card else None
                return
        raise refusal

    def _formats(self, port: Port) -> list[tuple[int, int]]:
        counts = self.counts(port.channels(capture=self.capture))
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
            with suppress(OSError), alsa.quiet():  # a card that is gone may say so once more
                stream.close()

    def beaten(self) -> None:
        """Every callback says so: the card lives."""
        self.beat = time.monotonic()
        if self._first:
            self._first = False
            alsa.hurry()
            self.outage = Outage()
            self._on_first(self.kind)

    def restart(self) -> None:
        """Wake a stream that has ended itself. Raises OSError where it has to be opened anew: PortAudio's start never
        returns if the card is gone, and of a sound server's cards nobody but an opening knows."""
        self.restart_wanted = False
        if self._node is None or not self._node.exists():
            raise OSError("its card may be gone")
        self.grant_grace()
        with alsa.quiet():
            self._stream.stop_stream()
            self._stream.start_stream()

    def grant_grace(self) -> None:
        self.beat = time.monotonic() + _START_GRACE - _STALLED

    def counts(self, most: int) -> list[int]:
        """How many channels to ask the card for, which has ``most``: the first it takes will do."""
        return [count for count in dict.fromkeys((1, 2, most)) if count <= most]

    def prepare(self) -> None:
        """The format is known; the callbacks are about to begin."""
        raise NotImplementedError

    def frames(self) -> int:
        """Frames of the card in one callback."""
        raise NotImplementedError

    def called(self, data: bytes | None, frames: int, info: dict[str, float], status: int) -> tuple[bytes | None, int]:
        """PortAudio's callback, on its own thread: small, no logging, no waiting."""
        raise NotImplementedError


class Microphone(Stream):
    kind, capture, rate = "microphone", True, CAPTURE_RATE

    def __init__(
        self, name: str, channel: int | None, on_blocks: Callable[[list[Block]], None], on_first: Callable[[str], None]
    ) -> None:
        """``on_blocks``: called with those to be delivered now, in their order."""
        super().__init__(name, on_first)
        self._channel = channel
        self._on_blocks = on_blocks
        self.held = Held()
        self._position = 0
        self._last = 0.0  # when the last callback came, through all re-openings
        self._clock = StreamClock(CAPTURE_RATE)
        self._captured = 0.0  # samples (16 kHz) since the card was opened
        self._delivered = 0  # … of them in blocks
        self._pending = bytearray()
        self._resampler = sound.Resampler(CAPTURE_RATE, CAPTURE_RATE)
        self._stuck_at = 0  # the value that the newest block consists of, if it is no silence
        self._flat = 0  # blocks of one value each, so far, through re-openings
        self._reopened = False  # no callback has come since

    @property
    def complaint(self) -> str:
        return f"delivers nothing but the value {self._stuck_at}" if self._stuck_at else super().complaint

    def prepare(self) -> None:
        self._reopened = True
        self._pending.clear()
        self.held.drop()
        self._clock.restart()
        self._captured, self._delivered = 0.0, 0
        self._resampler = sound.Resampler(self.card_rate, CAPTURE_RATE)

    def counts(self, most: int) -> list[int]:
        """Raises OSError if the wanted channel is not there."""
        if self._channel is None:  # what has more channels than any array is no card: it would make them up
            return [count for count in dict.fromkeys((most, 2, 1)) if count <= min(most, _MOST_CHANNELS)]
        if self._channel >= most:
            raise OSError(f"audio.input_channel = {self._channel}, but it has only {most}, counted from 0")
        return [count for count in dict.fromkeys((1, self._channel + 1, 2, most)) if self._channel < count <= most]

    def frames(self) -> int:
        return self.card_rate * BLOCK // CAPTURE_RATE

    def called(self, data: bytes | None, frames: int, info: dict[str, float], status: int) -> tuple[bytes | None, int]:
        now = time.monotonic()
        length = frames / self.card_rate
        if self._last and (self._reopened or status & pyaudio.paInputOverflow):
            self._skip(max(0, round((now - self._last - length) * CAPTURE_RATE)))
        self._reopened = False
        self._last = now
        self._clock.update(self._captured, now - _age(info, length))
        self._captured += length * CAPTURE_RATE
        self._pending += self._convert(data or b"")
        while len(self._pending) >= 2 * BLOCK:
            pcm = bytes(self._pending[: 2 * BLOCK])
            blocks = self.held.add(Block(self._position, pcm, self._clock.time(self._delivered)))
            if blocks:
                self._on_blocks(blocks)
            del self._pending[: 2 * BLOCK]
            self._position += BLOCK
            self._delivered += BLOCK
            self._weigh(pcm)
        return None, pyaudio.paContinue

    def _weigh(self, pcm: bytes) -> None:
        """Whether a block is a sign of life."""
        value, flat = int.from_bytes(pcm[:2], "little", signed=True), pcm[2:] == pcm[:-2]
        self._stuck_at = value if flat and abs(value) > _STUCK else 0
        self._flat = self._flat + 1 if flat else 0
        if not self._stuck_at:
            self.beaten()
            self.broken = self.broken or self._flat == round(_DOUBTED * CAPTURE_RATE / BLOCK)

    def _skip(self, samples: int) -> None:
        """So many were lost."""
        self._position += samples
        if not self._reopened:
            self._captured += samples
            self._delivered += samples

    def _convert(self, data: bytes) -> bytes:
        if self.channels == 1 and self.card_rate == CAPTURE_RATE:
            return data
        mono = sound.pick_channel(sound.from_bytes(data), self.channels, self._channel)
        return sound.to_bytes(self._resampler.process(mono))


def _age(info: dict[str, float], length: float) -> float:
    """Seconds since the microphone heard the first sample of a callback that brings ``length`` seconds."""
    age = info["current_time"] - info["input_buffer_adc_time"]  # only their difference means anything on ALSA
    return age if length / 2 < age < _OLDEST else length  # some plugins do not know


class Speaker(Stream):
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
