"""What is done to the microphone's sound before the service hears it. The wake word hears it without.

Each part is loaded only where it is switched on."""

from collections.abc import Callable

import numpy as np

from voicebox.audio.base import CAPTURE_RATE
from voicebox.audio.pcm import Samples
from voicebox.audio.speexdsp import Preprocessor

_CUTOFF = 100.0  # Hz: below it there is rumble and mains hum, and no speech


class FrontEnd:
    """Works on blocks of 20 ms at 16 kHz; each comes back as long as it was, 20 ms late where noise suppression or gain
    control is on.

    Raises DeviceError where speexdsp is needed and missing."""

    def __init__(self, *, high_pass: bool = False, noise_suppression: bool = False, gain_control: bool = False) -> None:
        self._stages: list[Callable[[Samples], Samples]] = []
        self._preprocessor: Preprocessor | None = None
        if high_pass:
            self._stages.append(HighPass().process)
        if noise_suppression or gain_control:
            self._preprocessor = Preprocessor(noise_suppression=noise_suppression, gain_control=gain_control)
            self._stages.append(self._preprocessor.process)

    def process(self, block: Samples) -> Samples:
        """The next block, shape (320,), cleaned."""
        for stage in self._stages:
            block = stage(block)
        return block

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        if self._preprocessor is not None:
            self._preprocessor.close()


class HighPass:
    """Takes away what is below 100 Hz: a Butterworth filter of second order."""

    def __init__(self) -> None:
        tangent = np.tan(np.pi * _CUTOFF / CAPTURE_RATE)
        scale = 1.0 / (1.0 + np.sqrt(2.0) * tangent + tangent**2)
        self._feedback = (2.0 * (tangent**2 - 1.0) * scale, (1.0 - np.sqrt(2.0) * tangent + tangent**2) * scale)
        self._gain = scale
        self._inputs = np.zeros(2)
        self._outputs = (0.0, 0.0)

    def process(self, block: Samples) -> Samples:
        """The next samples, any number."""
        sound = np.concatenate([self._inputs, block])
        self._inputs = sound[-2:]
        forward = (sound[2:] - 2.0 * sound[1:-1] + sound[:-2]) * self._gain
        filtered = np.array(self._recurse(forward.tolist()))
        return np.asarray(np.clip(np.rint(filtered), -32768, 32767), np.int16)

    def _recurse(self, forward: list[float]) -> list[float]:
        first, second = self._feedback
        before, last = self._outputs
        out = []
        for value in forward:
            before, last = last, value - first * last - second * before
            out.append(last)
        self._outputs = (before, last)
        return out
