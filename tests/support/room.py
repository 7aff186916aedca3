"""A microphone that hears its own speaker, in virtual time; and a service that says what it is told."""

from itertools import cycle
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK, CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import Samples, from_bytes, resample, to_bytes
from voicebox.audio.wavfile import WavBackend
from voicebox.simulator.brains import Answer, Heard


class Room(WavBackend):
    """The echo comes ``delay`` seconds (more than 20 ms) after its sound, ``gain`` times as loud, with reflections."""

    REFLECTIONS = ((0.0, 1.0), (0.0071, 0.5), (0.0193, -0.3), (0.0437, 0.2))

    def __init__(self, delay: float = 0.06, gain: float = 1.0) -> None:
        super().__init__(noise=-80.0)
        self._delay, self._gain = delay, gain

    def _next(self) -> Samples:
        own = sum(self._heard_at(self._delay + later) * share for later, share in self.REFLECTIONS)
        mixed = super()._next() + np.rint(self._gain * np.asarray(own))
        return np.asarray(np.clip(mixed, -32768, 32767), np.int16)

    def _heard_at(self, ago: float) -> NDArray[np.float64]:
        """What left the speaker so long before this block, at 16 kHz."""
        first = round((self.position / CAPTURE_RATE - ago) * PLAYBACK_RATE)
        margin, count = 60, BLOCK * PLAYBACK_RATE // CAPTURE_RATE
        begin, end = first - margin, first + count + margin
        before = bytes(2 * max(0, min(end, 0) - begin))
        played = before + bytes(self.speaker.recorded[2 * max(0, begin) : 2 * max(0, end)])
        at = resample(from_bytes(played.ljust(2 * (end - begin), b"\0")), PLAYBACK_RATE, CAPTURE_RATE)
        return at[margin * 2 // 3 :][:BLOCK].astype(np.float64)


class Reader:
    """A brain that reads these out, one for each turn."""

    NAME: ClassVar[str] = "reader"
    DESCRIPTION: ClassVar[str] = "reads out what it was given"

    def __init__(self, *texts: Samples) -> None:
        """``texts``: 16 kHz."""
        self._answers = cycle(Answer("", to_bytes(resample(text, CAPTURE_RATE, PLAYBACK_RATE))) for text in texts)

    def answer(self, heard: Heard) -> Answer:  # noqa: ARG002  # whatever it was
        return next(self._answers)
