"""Where an utterance begins and ends, for services that want it whole: Silero's network says what is speech, and
``Endpointer`` makes utterances of that. Everything is counted in samples, so audio may come in bursts.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import CAPTURE_RATE
from voicebox.audio.pcm import Samples, level
from voicebox.onnx import open_network, packaged

WINDOW = 512
"""Samples (32 ms) that are judged at once."""
TAIL = 300 * CAPTURE_RATE // 1000
"""Samples by which the wake word may be recognised before it has ended, and its last sound is taken for speech."""
FAINT = -60.0
"""What is fainter (dBFS) is no speech to the network either, so it is not asked."""


class Detector(Protocol):
    """Tells speech from other sound."""

    def probability(self, window: Samples) -> float:
        """That the next WINDOW samples at 16 kHz are speech, 0 to 1."""

    def reset(self) -> None:
        """What comes next does not follow on what came before."""


class Silero:
    """Silero's network, which the package openwakeword carries. Raises ConfigError where it cannot be had.

    About 0.2 ms a window on a PC. It is not asked about windows fainter than FAINT, and starts afresh behind them.
    """

    def __init__(self) -> None:
        self._network = open_network(packaged() / "silero_vad.onnx", "speech detection")
        self._rate = np.array(CAPTURE_RATE, np.int64)
        self._fresh = False
        self.reset()

    def reset(self) -> None:
        if self._fresh:
            return
        self._memory: list[NDArray[Any]] = [np.zeros((2, 1, 64), np.float32)] * 2
        self._fresh = True

    def probability(self, window: Samples) -> float:
        if level(window) < FAINT:
            self.reset()
            return 0.0
        self._fresh = False
        sound = (window.astype(np.float32) / 32768.0)[None]
        h, c = self._memory
        score, *self._memory = self._network.run(None, {"input": sound, "sr": self._rate, "h": h, "c": c})
        return float(score[0, 0])


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Somebody is speaking, and has been since microphone position ``at``. It comes once there is enough speech for it
    to be one, so ``at`` lies in the past; what the service should hear begins a pre-roll before it."""

    at: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance is over, its last silence included. ``cut``: it is not, but it is as long as it may be."""

    at: int
    cut: bool = False


Endpoint = SpeechBegan | SpeechEnded


class Endpointer:
    """Finds utterances in a stream of microphone blocks. Each is one SpeechBegan and then one SpeechEnded; what has
    less than ``min_speech_ms`` of speech in it is none."""

    def __init__(
        self,
        detector: Detector,
        *,
        threshold: float = 0.5,
        hangover_ms: int = 700,
        min_speech_ms: int = 300,
        preroll_ms: int = 300,
        longest_s: float = 20.0,
        patience_ms: int = 2000,
    ) -> None:
        """``threshold``: probability from which on it is speech; while somebody speaks 0.15 less is enough.
        ``patience_ms``: of quiet that ends it where nothing but the wake word was said; else it is ``hangover_ms``.
        ``longest_s``: of an utterance with the ``preroll_ms`` that the caller puts before it."""
        self._detector = detector
        self._threshold = threshold
        self._hangover = hangover_ms * CAPTURE_RATE // 1000
        self._enough = min_speech_ms * CAPTURE_RATE // 1000
        self._longest = round(longest_s * CAPTURE_RATE) - preroll_ms * CAPTURE_RATE // 1000
        self._patience = patience_ms * CAPTURE_RATE // 1000
        self._called = -1  # speech up to there is the wake word
        self._position = -1  # of the next sample; negative: none has come
        self.reset()

    @property
    def speaking(self) -> bool:
        """Between SpeechBegan and SpeechEnded."""
        return self._reported

    def called(self, at: int) -> None:
        """The wake word was recognised at this position. Whoever stops there is about to go on: it is no utterance."""
        self._called = at + TAIL

    def reset(self) -> None:
        """Forget everything but that; an utterance that was going on gets no SpeechEnded."""
        self._detector.reset()
        self._pending = np.empty(0, np.int16)  # less than a window, up to _position
        self._forget()

    def _forget(self) -> None:
        self._began: int | None = None  # where the first speech was
        self._speech_end = 0  # where the last was
        self._speech = 0  # samples of it
        self._reported = False

    def feed(self, position: int, block: Samples) -> list[Endpoint]:
        """The next block, of any length at 16 kHz. ``position``: of its first sample; a gap counts as silence."""
        gap = position - self._position
        if gap and self._position >= 0:
            self._detector.reset()
            self._pending = np.empty(0, np.int16)
        self._position = position + len(block)
        self._pending = np.concatenate([self._pending, block])
        events = self._judge(position, heard=False) if gap else []
        while len(self._pending) >= WINDOW:
            window, self._pending = self._pending[:WINDOW], self._pending[WINDOW:]
            end = self._position - len(self._pending)
            events += self._judge(end, heard=self._is_speech(window))
        return events

    def _is_speech(self, window: Samples) -> bool:
        wanted = self._threshold if self._began is None else self._threshold - 0.15
        return self._detector.probability(window) >= wanted

    def _judge(self, end: int, *, heard: bool) -> list[Endpoint]:
        """What is known at ``end``, up to which there was speech or silence."""
        if heard:
            self._began = end - WINDOW if self._began is None else self._began
            self._speech_end = end
            self._speech += WINDOW
        if self._began is None:
            return []
        events: list[Endpoint] = []
        if not self._reported and self._speech >= self._enough:
            self._reported = True
            events.append(SpeechBegan(self._began))
        pause = self._patience if self._speech_end <= self._called else self._hangover
        quiet, cut = end - self._speech_end >= pause, end - self._began >= self._longest
        if quiet or cut:
            at = min(self._speech_end + pause if quiet else end, self._began + self._longest)
            events += [SpeechEnded(at, cut=not quiet)] if self._reported else []
            self._forget()
        return events
