"""This box's own echo: how late and how loud its speaker comes back, and how much of it is taken out."""

import asyncio
import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voicebox import control, parts, settings
from voicebox.assets import RATE, speech
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE, Backend, Block, Handlers
from voicebox.audio.echo import EchoCanceller
from voicebox.audio.pcm import SILENCE, level, resample, to_bytes
from voicebox.bench._figures import Figure, Options, at_least, stated
from voicebox.errors import DeviceError

_OPENING = 10.0  # seconds a card may take to open
_QUIET = 2.0  # seconds of the room alone
_ENOUGH = 20.0  # dB that should go …
_ABOVE = 6.0  # … or what stands this many dB above the quiet room: nobody hears the rest
_SAID = ("answer", "answer2")


def echo_figures(options: Options) -> list[Figure]:
    """Plays speech for 40 s. Raises DeviceError while the daemon holds the card."""
    return asyncio.run(measure(parts.backend(settings.load(options.config)), options))


@dataclass
class _Ear:
    """The microphone, before and after the canceller."""

    canceller: EchoCanceller = field(default_factory=EchoCanceller)
    heard: bytearray = field(default_factory=bytearray)
    cleaned: bytearray = field(default_factory=bytearray)

    def block(self, block: Block) -> None:
        self.heard += block.pcm
        for clean in self.canceller.process(block):
            self.cleaned += clean.pcm


async def measure(backend: Backend, options: Options) -> list[Figure]:
    await refuse_if_running()
    ear, events, lost = _Ear(), {name: asyncio.Event() for name in ("microphone", "speaker", "drained")}, list[str]()
    handlers = Handlers(
        ear.block,
        lambda _: events["drained"].set(),
        lambda *what: lost.append(": ".join(what)),
        lambda what: events[what].set(),
        ear.canceller.heard,
    )
    await backend.start(handlers)
    try:
        async with asyncio.timeout(_OPENING):
            await events["microphone"].wait()
            await events["speaker"].wait()
        await asyncio.sleep(_QUIET)
        begin = len(ear.heard)
        await _play(backend, events["drained"], options.times(40))
    except TimeoutError:
        options.left_out("your sound card", "; ".join(lost) or f"it was silent for {_OPENING:.0f} s")
        return []
    finally:
        await backend.stop()
    return _figures(ear, begin // 2, options)


async def refuse_if_running() -> None:
    """Raises DeviceError if a box is at work: two cannot share a microphone."""
    try:
        await control.ask(control.find_socket(os.environ), {"do": "status"})
    except DeviceError:
        return
    raise DeviceError("the box is running and holds the sound card: sudo systemctl stop voicebox, then try again")


async def _play(backend: Backend, drained: asyncio.Event, seconds: int) -> None:
    said = np.concatenate([speech(name) for name in _SAID])
    reply = resample(np.resize(said, seconds * RATE), RATE, PLAYBACK_RATE)
    backend.speaker.play(1, to_bytes(reply))
    backend.speaker.finish(1)
    async with asyncio.timeout(seconds + _OPENING):
        await drained.wait()


def _figures(ear: _Ear, begin: int, options: Options) -> list[Figure]:
    heard, cleaned = (np.frombuffer(bytes(pcm), np.int16) for pcm in (ear.heard, ear.cleaned))
    quiet = level(heard[begin - CAPTURE_RATE : begin])
    middle, end = (begin + cleaned.size) // 2, cleaned.size
    echo, left = level(heard[middle:end]), level(cleaned[middle:end])
    figures = [
        stated("card: the quiet room at the microphone", quiet, "dBFS"),
        stated("card: the echo at the microphone", echo, "dBFS"),
        stated("card: loudest sample of it, of 32768", _loudest(heard[begin:]), ""),
    ]
    canceller = ear.canceller
    if canceller.delay is None:
        options.left_out("your echo", "nothing of what was played came back; is the speaker on, and loud enough?")
        return figures
    enough = min(_ENOUGH, echo - max(quiet, SILENCE) - _ABOVE)
    return [
        *figures,
        stated("card: the echo's delay beyond what the cards tell", canceller.delay * 1000, "ms"),
        stated("card: the speaker's crystal is faster by", canceller.drift, "ppm"),
        at_least("card: attenuation in the second half", echo - left, "dB", enough),
    ]


def _loudest(samples: NDArray[np.int16]) -> int:
    return int(np.abs(samples.astype(np.int32)).max(initial=0))
