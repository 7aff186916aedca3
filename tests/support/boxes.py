"""Two boxes with ears and mouth for the audio contract: arrays in virtual time, and PulseAudio in real time."""

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.pulse import PulseServer, Recording
from voicebox.audio.base import BLOCK, PLAYBACK_RATE, Block, Handlers
from voicebox.audio.portaudio import PortAudioBackend
from voicebox.audio.streams import PERIOD
from voicebox.audio.wavfile import WavBackend
from voicebox.virtualtime import run_virtual

Samples = NDArray[np.int16]
MOST_AFTER_FLUSH = 480  # samples at 24 kHz: 20 ms


def noise(seconds: float, seed: int, rate: int = PLAYBACK_RATE) -> Samples:
    """Loud noise without a zero, so that every sample can be told from silence and from its neighbours."""
    values = np.random.default_rng(seed).integers(1_000, 12_000, round(seconds * rate))
    return np.where(np.arange(values.size) % 2, values, -values).astype(np.int16)


def find(needle: Samples, haystack: Samples) -> int:
    """Where ``needle`` occurs, bit-exact and exactly once."""
    starts = np.flatnonzero(haystack[: haystack.size - needle.size + 1] == needle[0])
    found = [int(i) for i in starts if np.array_equal(haystack[i : i + needle.size], needle)]
    assert len(found) == 1, f"found {len(found)} times in {haystack.size} samples"
    return found[0]


class Box(ABC):
    """A back-end, what it reported, and the world around it."""

    backend: Any
    tolerance: int
    """How exactly ``now`` is known, in samples at 24 kHz."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.drained: list[int] = []
        self.drained_at: list[int] = []
        self.lost: list[tuple[str, str]] = []
        self.ready: list[str] = []
        self.given: list[tuple[bytes, int, float]] = []  # what the card was given, its rate, when it is heard
        self._changed = asyncio.Event()
        self.deaf = False  # the microphone is closed from the start
        self.late = 0  # how often this machine called the speaker later than its card's buffer lasts

    @property
    def handlers(self) -> Handlers:
        return Handlers(
            lambda block: self._note(self.blocks, block),
            self._on_drained,
            lambda *what: self._note(self.lost, what),
            lambda what: self._note(self.ready, what),
            lambda pcm, rate, at: self.given.append((pcm, rate, at)),
        )

    def _on_drained(self, reply_id: int) -> None:
        self.drained_at.append(self.now())
        self._note(self.drained, reply_id)

    def _note(self, where: list[Any], what: object) -> None:
        where.append(what)
        self._changed.set()

    async def until(self, happened: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait for reports until ``happened()``. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    @abstractmethod
    def microphone_in_use(self) -> bool:
        """Whether the world sees the microphone's device open."""

    def mic(self) -> Samples:
        return np.frombuffer(b"".join(block.pcm for block in self.blocks), np.int16)

    @abstractmethod
    def run(self, test: Callable[["Box"], Awaitable[None]]) -> None:
        """Run ``test`` with the back-end started; stop it afterwards."""

    @abstractmethod
    async def say(self, samples: Samples) -> None:
        """Speak 16 kHz sound into the microphone."""

    @abstractmethod
    def heard(self) -> Samples:
        """All that has left the speaker so far."""

    @abstractmethod
    def clock(self) -> float:
        """The world's time in seconds."""

    @abstractmethod
    def index(self, moment: float) -> int:
        """The sample of ``heard`` that left the speaker at this time; the more is recorded, the surer."""

    def now(self) -> int:
        """The sample of ``heard`` that is leaving the speaker now."""
        return self.index(self.clock())

    @abstractmethod
    async def listen(self, samples: int) -> None:
        """Until this many more samples have left the speaker."""

    async def _started(self, test: Callable[["Box"], Awaitable[None]]) -> None:
        if self.deaf:
            self.backend.capture(False)
        await self.backend.start(self.handlers)
        try:
            await self.until(lambda: ({"speaker"} if self.deaf else {"microphone", "speaker"}) <= set(self.ready))
            await test(self)
        finally:
            await self.backend.stop()


class WavBox(Box):
    tolerance = 1

    def __init__(self) -> None:
        super().__init__()
        self.backend = WavBackend()

    def run(self, test: Callable[[Box], Awaitable[None]]) -> None:
        async def main() -> None:
            self._start = asyncio.get_running_loop().time()
            await self._started(test)

        run_virtual(main())

    def microphone_in_use(self) -> bool:
        captures: bool = self.backend._captures
        return captures

    async def say(self, samples: Samples) -> None:
        self.backend.say(samples)

    def heard(self) -> Samples:
        samples: Samples = self.backend.spk
        return samples

    def clock(self) -> float:
        return asyncio.get_running_loop().time()

    def index(self, moment: float) -> int:
        return round((moment - self._start) * PLAYBACK_RATE)

    async def listen(self, samples: int) -> None:
        await asyncio.sleep(samples / PLAYBACK_RATE)


class PulseBox(Box):
    tolerance = 48  # 2 ms: when PulseAudio hands the recorder its chunks

    def __init__(self, pulse: PulseServer) -> None:
        super().__init__()
        self.pulse = pulse
        self._recording: Recording | None = None  # none: nobody listens, and nothing is measured
        self.backend = PortAudioBackend("box_mic", "box_speaker")
        self._called: Callable[..., tuple[bytes | None, int]] = self.backend._spk.called
        self.backend._spk.called = self._watched
        self._last_call = float("inf")

    def run(self, test: Callable[[Box], Awaitable[None]]) -> None:
        for attempts_left in (4, 3, 2, 1, 0):
            try:
                asyncio.run(self._recorded(test))
            except (AssertionError, TimeoutError) as error:
                died = self.pulse.death()
                starved = isinstance(error, AssertionError) and self._starved
                if not attempts_left or not (died or starved):
                    raise
                if died:  # PulseAudio's fault and not the box's; shown if the test fails after all
                    print(died)
                    self.pulse.start()
                deaf = self.deaf
                self.__init__(self.pulse)  # type: ignore[misc]  # the same box as new
                self.deaf = deaf
            else:
                return

    async def _recorded(self, test: Callable[[Box], Awaitable[None]]) -> None:
        with self.pulse.record() as self._recording:
            await self._started(test)

    @property
    def _starved(self) -> bool:
        """Whether this machine was too busy for sound: a callback came later than the card's buffer lasts, or a card
        says that it ran dry or over. What was recorded then says nothing about the promises; how often it happens is
        measured by scripts/bench."""
        gaps = any(b.position - a.position != BLOCK for a, b in itertools.pairwise(self.blocks))
        return self.late > 0 or gaps or self.backend.speaker.underruns > 0

    def _watched(self, *arguments: Any) -> tuple[bytes | None, int]:
        now = time.monotonic()
        self.late += now - self._last_call > 2 * PERIOD
        self._last_call = now
        return self._called(*arguments)

    def microphone_in_use(self) -> bool:
        return self.pulse.records("mic.monitor")

    async def say(self, samples: Samples) -> None:
        await asyncio.to_thread(self.pulse.say, samples)

    def heard(self) -> Samples:
        assert self._recording is not None
        return self._recording.samples

    def clock(self) -> float:
        return time.monotonic()

    def index(self, moment: float) -> int:
        return self._recording.index(moment) if self._recording else 0

    async def listen(self, samples: int) -> None:
        assert self._recording is not None
        await asyncio.to_thread(self._recording.wait_for, self.now() + samples, timeout=15 + samples / PLAYBACK_RATE)
