"""How the speaker's samples and the microphone's pass beside each other."""

from voicebox.audio.base import CAPTURE_RATE


class Drift:
    """By how much more reference than microphone samples there are, relatively: a Kalman filter of one number."""

    _PRIOR = 1e-4
    _BLUR = 0.15  # samples by which a look at the path is wrong
    _WANDER = 1e-7  # per square root of a second: crystals warm up

    def __init__(self) -> None:
        self.value = 0.0
        self._variance = self._PRIOR**2

    def update(self, moved: float, elapsed: int) -> None:
        """The learnt path moved by ``moved`` samples to the right within ``elapsed`` samples."""
        self._variance += self._WANDER**2 * elapsed / CAPTURE_RATE
        gain = self._variance / (self._variance + (self._BLUR / elapsed) ** 2)
        self.value -= gain * moved / elapsed
        self._variance *= 1 - gain


class Course:
    """Which reference sample was heard together with which microphone sample: a straight line."""

    def __init__(self) -> None:
        self._position, self._index, self._drift = 0, 0.0, 0.0

    def start(self, position: int, index: float) -> None:
        self._position, self._index = position, index

    def bend(self, position: int, drift: float) -> None:
        """Go on from ``position`` at another rate."""
        self.start(position, self.index(position))
        self._drift = drift

    def index(self, position: int) -> float:
        return self._index + (position - self._position) * (1.0 + self._drift)
