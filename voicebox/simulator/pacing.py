"""When the sound of a reply is sent, and how long it can be heard. Servers send far faster than real time."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from voicebox.audio.base import PLAYBACK_RATE

_SLOWEST = 0.01


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast replies are sent. With ``gaps`` several messages go out at once, then nothing for one of these times."""

    speed: float = 5.0  # times real time
    message: float = 0.08  # seconds of sound in one message
    gaps: tuple[float, ...] = ()  # seconds, one after another
    burst: int = 8  # messages between two gaps

    def schedule(self, pcm: bytes) -> Iterator[tuple[float, bytes]]:
        """(seconds since the reply began, the message's sound) for each message of a reply (s16le mono 24 kHz)."""
        size = 2 * round(self.message * PLAYBACK_RATE)
        pieces = (pcm[start : start + size] for start in range(0, len(pcm), size))
        return zip(self._offsets(), pieces, strict=False)

    def _offsets(self) -> Iterator[float]:
        at = 0.0
        if not self.gaps:
            while True:
                yield at
                at += self.message / max(self.speed, _SLOWEST)
        for gap in cycle(self.gaps):
            for _ in range(self.burst):
                yield at
            at += gap


SMOOTH = Pace()
BURSTY = Pace(gaps=(0.2, 0.3, 0.4))


class Playout:
    """Until when the client can be playing what was sent to it, if it plays at once and without a pause."""

    def __init__(self) -> None:
        self._until = 0.0

    def add(self, seconds: float) -> None:
        self._until = max(self._until, _now()) + seconds

    def cut(self) -> None:
        self._until = 0.0

    @property
    def playing(self) -> bool:
        return _now() < self._until


def _now() -> float:
    return asyncio.get_running_loop().time()
