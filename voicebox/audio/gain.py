"""Loudness that changes without a click: gains that move from one value to the next sample by sample."""

import numpy as np

from voicebox.audio import pcm as sound
from voicebox.audio.pcm import Samples


def amplitude(level: float) -> float:
    """The gain at which people call sound ``level`` (0 to 1) as loud: its cube, as PulseAudio has it, so that each step
    is heard as a step: -18 dB at a half, -60 dB at a tenth."""
    return max(0.0, min(1.0, level)) ** 3


class Ramp:
    """A gain that reaches its ``target`` along a straight line; each sample it is applied to moves it on."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = self.target = gain
        self.left = 0
        """Samples until the target is reached."""

    def to(self, target: float, samples: int) -> None:
        """Reach ``target`` within the next ``samples``, from wherever it is now; 0: at once."""
        self.target = target
        self.left = samples if self.gain != target else 0
        if not self.left:
            self.gain = target

    def apply(self, samples: Samples) -> Samples:
        """The next samples with the gain they get, clipped; at a steady gain of 1 they stay what they are."""
        steady = self.gain
        rising = min(self.left, samples.size)
        if not rising and steady == 1.0:
            return samples
        gains = np.full(samples.size, self.target, np.float32)
        gains[:rising] = steady + (self.target - steady) / max(1, self.left) * np.arange(1, rising + 1)
        self._advance(rising)
        return sound.to_int16(samples * gains / np.float32(32768.0))

    def _advance(self, samples: int) -> None:
        if samples:
            self.gain += (self.target - self.gain) / self.left * samples
            self.left -= samples
        if not self.left:
            self.gain = self.target
