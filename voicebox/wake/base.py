"""What a wake word engine promises. The contract tests in tests/contract/test_wake.py hold each engine to it.

An engine is one module beside this one that exposes ``Engine(phrases, refractory)``, a ``Detector``; nothing has to be
registered. Every engine knows the phrase "hey_jarvis". A phrase it cannot listen for raises ConfigError.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

HOP = 1_280
"""Samples an engine takes at a time: 80 ms at 16 kHz."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase to listen for: a built-in name ("hey_jarvis") or the path of an .onnx model."""

    model: str
    threshold: float = 0.5
    patience: int = 1
    """Consecutive frames that must reach the threshold."""
    playing_threshold: float | None = None
    """While the box itself plays something, and what is left of it may be in the sound; None: the same as ever."""
    playing_patience: int | None = None

    def demands(self, *, playing: bool) -> tuple[float, int]:
        """Threshold and patience."""
        if not playing:
            return self.threshold, self.patience
        threshold = self.threshold if self.playing_threshold is None else self.playing_threshold
        return threshold, self.patience if self.playing_patience is None else self.playing_patience


@dataclass(frozen=True, slots=True)
class Detection:
    model: str
    score: float


class Detector(Protocol):
    """Scores a continuous stream. Not thread-safe: one caller at a time, from any thread."""

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        """Score the next HOP samples (shape (1280,), 16 kHz). Returns what was detected, usually nothing. ``playing``:
        the box itself plays something."""

    def glance(self, samples: NDArray[np.int16]) -> bool:
        """Take the next hop if it needs no more than a glance (0.03 ms on a PC) to tell that nothing is said: True, and
        it must not be processed again. False: it was not taken; ``process`` it."""

    def hears(self, samples: NDArray[np.int16]) -> dict[str, float]:
        """The highest score of every phrase in a stretch of sound (whole hops, 16 kHz) by itself; the stream that
        ``process`` scores is left as it is."""

    @property
    def scores(self) -> dict[str, float]:
        """The newest score of every phrase, in [0, 1]; 0 while too little audio has been heard, and while the engine
        need not look because nothing is said. When it begins to look, scores and detections may be a hop late, once."""

    def reset(self) -> None:
        """Forget the audio so far, as after a gap in the capture. Nothing is detected until enough new audio came."""


class Scored(Protocol):
    """Told of every hop that was scored: the newest score of every phrase."""

    def __call__(self, scores: Mapping[str, float], *, playing: bool) -> None: ...
