"""Replies that arrive as networks and services deliver them, played through the lead in virtual time, and compared
sample by sample with what left the speaker."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from voicebox.audio.base import PLAYBACK_RATE, Handlers
from voicebox.audio.wavfile import WavBackend
from voicebox.bench._figures import Figure, at_most, stated
from voicebox.lead import Lead, LeadIn
from voicebox.virtualtime import run_virtual

REPLY = 20  # seconds of each reply
_CHUNK = PLAYBACK_RATE * 80 // 1000  # samples in one message

Arrivals = Callable[[Random, int], Iterator[float]]
"""When each of so many messages comes, in seconds since the first was sent."""


def jitter(most: float) -> Arrivals:
    """Sent in real time, each message up to ``most`` seconds late, never one before another."""

    def arrivals(chance: Random, count: int) -> Iterator[float]:
        latest = 0.0
        for index in range(count):
            latest = max(latest, index * 0.080 + chance.uniform(0.0, most))
            yield latest

    return arrivals


def bursts(chance: Random, count: int) -> Iterator[float]:
    """Gaps of 200 to 400 ms, and then all that was spoken meanwhile at once."""
    begin = now = 0.0
    for index in range(count):
        while index * 0.080 > now - begin:
            now += chance.uniform(0.2, 0.4)
        yield now


@dataclass(slots=True)
class Heard:
    lost: int = 0  # samples that did not leave the speaker where they belong
    breaks: int = 0  # silences in the middle of replies
    silence: float = 0.0  # seconds of them
    counted: int = 0  # underruns by the speaker's own count
    lead: float = 0.0  # seconds, at the end


def delivery_figures(minutes: int) -> list[Figure]:
    return [
        *figures_of("Wi-Fi, 60 ms of jitter, lead 120 ms", minutes, jitter(0.06), 0.12, smooth=True),
        *figures_of("bad Wi-Fi, 300 ms of jitter, lead 120 ms", minutes, jitter(0.3), 0.12),
        *figures_of("bursts every 200 to 400 ms, lead 350 ms", minutes, bursts, 0.35),
    ]


def figures_of(label: str, minutes: int, arrivals: Arrivals, lead: float, *, smooth: bool = False) -> list[Figure]:
    heard = run_virtual(_listen(max(1, minutes * 60 // REPLY), arrivals, lead))
    breaks = f"{label}: silences within replies"
    return [
        at_most(f"{label}: samples lost, doubled or wrong in {minutes} min", heard.lost, "samples", 0),
        at_most(f"{label}: silences that were not counted", abs(heard.breaks - heard.counted), "times", 0),
        at_most(breaks, heard.breaks, "times", 0) if smooth else stated(breaks, heard.breaks, "times"),
        stated(f"{label}: silence in all", heard.silence * 1000, "ms"),
        stated(f"{label}: lead at the end", heard.lead * 1000, "ms"),
    ]


async def _listen(replies: int, arrivals: Arrivals, lead: float) -> Heard:
    backend, chance, heard = WavBackend(), Random(1), Heard()  # noqa: S311  # phases, not secrets
    drained: dict[int, asyncio.Event] = {reply: asyncio.Event() for reply in range(1, replies + 1)}
    await backend.start(Handlers(lambda _: None, lambda reply: drained[reply].set(), lambda *_: None, lambda _: None))
    speaker = LeadIn(backend.speaker, Lead(lead), asyncio.get_running_loop())
    try:
        for reply, end in drained.items():
            pcm = np.random.default_rng(reply).integers(1, 12_000, REPLY * PLAYBACK_RATE).astype(np.int16)
            await _deliver(speaker, reply, pcm.tobytes(), arrivals(chance, -(-pcm.size // _CHUNK)))
            await asyncio.wait_for(end.wait(), 2 * REPLY)
            await asyncio.sleep(chance.uniform(0.5, 0.6))
            _compare(backend, reply, pcm.tobytes(), heard)
        heard.counted, heard.lead = backend.speaker.underruns, speaker.lead
    finally:
        await backend.stop()
    return heard


async def _deliver(speaker: LeadIn, reply: int, pcm: bytes, arrivals: Iterator[float]) -> None:
    began = asyncio.get_running_loop().time()
    for index, when in enumerate(arrivals):
        await asyncio.sleep(began + when - asyncio.get_running_loop().time())
        speaker.play(reply, pcm[index * 2 * _CHUNK : (index + 1) * 2 * _CHUNK])
    speaker.finish(reply)


def _compare(backend: WavBackend, reply: int, pcm: bytes, heard: Heard) -> None:
    """No sample of the reply is 0: what is 0 between its first and its last is silence that was put in."""
    spans = [(first, end) for spoken, first, end in backend.speaker.spoken if spoken == reply]
    recorded = backend.spk[spans[0][0] : spans[-1][1]]
    silent = recorded == 0
    sounding, meant = recorded[~silent], np.frombuffer(pcm, np.int16)
    same = min(sounding.size, meant.size)
    heard.lost += int(np.count_nonzero(sounding[:same] != meant[:same])) + abs(sounding.size - meant.size)
    heard.breaks += int(np.count_nonzero(np.diff(silent.astype(np.int8)) == 1))
    heard.silence += int(np.count_nonzero(silent)) / PLAYBACK_RATE
