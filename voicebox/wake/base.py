"""What a wake word engine promises. The contract tests in tests/contract/test_wake.py hold each engine to it.

An engine is one module beside this one that exposes ``Engine(phrases, refractory)``, a ``Detector``; nothing has to be
registered. Every engine knows the phrase "hey_jarvis". A phrase it cannot listen for raises ConfigError.
"""

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


@dataclass(frozen=True, slots=True)
class Detection:
    model: str
    score: float


class Detector(Protocol):
    """Scores a continuous stream. Not thread-safe: one caller at a time, from any thread."""

    def process(self, samples: NDArray[np.int16]) -> list[Detection]:
        """Score the next HOP samples (shape (1280,), 16 kHz). Returns what was detected, usually nothing."""

    @property
    def scores(self) -> dict[str, float]:
        """The newest score of every phrase, in [0, 1]; 0 while too little audio has been heard."""

    def reset(self) -> None:
        """Forget the audio so far, as after a gap in the capture. Nothing is detected until enough new audio came."""
