"""This box's own microphone and speaker: what can be told of them without anybody who listens."""

import asyncio
import time
from itertools import pairwise

import numpy as np

from voicebox import parts, settings
from voicebox.audio.base import BLOCK, PLAYBACK_RATE, Backend, Block, Handlers
from voicebox.bench._figures import Figure, Options, at_most, stated

_OPENING = 10.0  # seconds a card may take to open
_LEVEL = 33  # of full scale 32768: -60 dBFS, hardly to be heard


def card_figures(options: Options) -> list[Figure]:
    return asyncio.run(_measure(options))


async def _measure(options: Options) -> list[Figure]:
    backend: Backend = parts.backend(settings.load(options.config))
    seconds, blocks, news = options.times(60), list[Block](), dict[str, asyncio.Event]()
    for what in ("microphone", "speaker", "drained"):
        news[what] = asyncio.Event()
    lost: list[str] = []
    handlers = Handlers(
        blocks.append,
        lambda _: news["drained"].set(),
        lambda *what: lost.append(": ".join(what)),
        lambda what: news[what].set(),
    )
    await backend.start(handlers)
    try:
        async with asyncio.timeout(_OPENING):
            await news["microphone"].wait()
            await news["speaker"].wait()
        figures = await _play(backend, blocks, news["drained"], seconds)
    except TimeoutError:
        options.left_out("your sound card", "; ".join(lost) or f"it was silent for {_OPENING:.0f} s")
        return []
    finally:
        began = time.monotonic()
        await backend.stop()
    return [*figures, at_most("card: stop, with both streams open", time.monotonic() - began, "s", 1.0)]


async def _play(backend: Backend, blocks: list[Block], drained: asyncio.Event, seconds: int) -> list[Figure]:
    noise = np.random.default_rng(1).integers(-_LEVEL, _LEVEL, seconds * PLAYBACK_RATE).astype(np.int16)
    began, heard = time.monotonic(), len(blocks)
    backend.speaker.play(1, noise.tobytes())
    backend.speaker.finish(1)
    async with asyncio.timeout(seconds + _OPENING):
        await drained.wait()
    took, captured = time.monotonic() - began, blocks[heard:]
    gaps = sum(later.position - earlier.position != BLOCK for earlier, later in pairwise(captured))
    return [
        at_most(f"card: underruns in {seconds} s of playback", backend.speaker.underruns, "times", 0),
        at_most(f"card: gaps in {seconds} s of capture", gaps, "times", 0),
        stated(f"card: playback longer than its {seconds} s, latency included", (took - seconds) * 1000, "ms"),
    ]
