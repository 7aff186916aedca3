"""What the sound cards take, found out by asking and by trying: for ``voicebox doctor``. Every call may block."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pyaudio

from voicebox.audio import alsa, devices
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.devices import NotFound, Port
from voicebox.audio.streams import connect, ports

RATES = (16_000, 24_000, 44_100, 48_000)
PERIODS = (0.005, 0.01, 0.02)
"""Seconds; the box uses the first (streams.PERIOD)."""
_TRIED_FOR = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Found:
    """The device a setting names. ``name``: a stable name of it, to be put into the settings. ``rates``: those of RATES
    it takes. ``late``: of each period how many callbacks of how many were told that the card had run dry or over; empty
    where it was not tried."""

    name: str
    title: str
    channels: int
    rates: tuple[int, ...]
    late: dict[float, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Missing:
    """``why`` in words, and stable names of those there are."""

    why: str
    others: tuple[str, ...]


@contextmanager
def _portaudio() -> Iterator[pyaudio.PyAudio]:
    alsa.hush()
    audio = connect()
    try:
        yield audio
    finally:
        with alsa.quiet():
            audio.terminate()


def look(name: str, *, capture: bool, setting: str, try_periods: bool) -> Found | Missing:
    """The device an owner means. Raises ConfigError if the name fits several."""
    with _portaudio() as audio:
        cards, there = devices.read_cards(), ports(audio)
        try:
            port = devices.find(name, there, cards, capture=capture, setting=setting)
        except NotFound as missing:
            fit = [port for port in there if port.channels(capture=capture) and port.card]
            why = str(missing).replace(", waiting for it", "")  # nobody waits here
            return Missing(why, tuple(_stable(port, cards) for port in fit))
        rates = tuple(rate for rate in RATES if _takes(audio, port, rate, capture=capture))
        late = {}
        if try_periods and rates:
            wanted = CAPTURE_RATE if capture else PLAYBACK_RATE
            rate = wanted if wanted in rates else rates[-1]
            late = {period: _try(audio, port, rate, period, capture=capture) for period in PERIODS}
        return Found(_stable(port, cards), port.title, port.channels(capture=capture), rates, late)


def _stable(port: Port, cards: devices.Cards) -> str:
    return (devices.aliases(port, cards) or (port.title,))[-1]


def _channels(port: Port, *, capture: bool) -> tuple[int, ...]:
    most = port.channels(capture=capture)
    return tuple(count for count in (1, 2, most) if count <= most)


def _takes(audio: pyaudio.PyAudio, port: Port, rate: int, *, capture: bool) -> bool:
    side = "input" if capture else "output"
    for channels in _channels(port, capture=capture):
        wanted = {f"{side}_device": port.index, f"{side}_channels": channels, f"{side}_format": pyaudio.paInt16}
        with suppress(ValueError), alsa.quiet():
            if audio.is_format_supported(rate, **wanted):
                return True
    return False


def _try(audio: pyaudio.PyAudio, port: Port, rate: int, period: float, *, capture: bool) -> tuple[int, int]:
    """(late callbacks, callbacks) of half a second of silence played, or of capture. (0, 0): it could not be opened."""
    seen = [0, 0]

    def called(_data: bytes | None, frames: int, _info: object, status: int) -> tuple[bytes | None, int]:
        seen[0] += bool(status & (pyaudio.paInputOverflow | pyaudio.paOutputUnderflow))
        seen[1] += 1
        return None if capture else bytes(2 * frames * channels), pyaudio.paContinue

    for channels in _channels(port, capture=capture):
        side = (
            {"input": True, "input_device_index": port.index}
            if capture
            else {"output": True, "output_device_index": port.index}
        )
        try:
            with alsa.quiet():
                stream = audio.open(
                    rate=rate,
                    channels=channels,
                    format=pyaudio.paInt16,
                    frames_per_buffer=round(rate * period),
                    stream_callback=called,
                    **side,
                )
        except (OSError, ValueError):
            continue
        time.sleep(_TRIED_FOR)
        with suppress(OSError), alsa.quiet():
            stream.close()
        break
    return seen[0], seen[1]
