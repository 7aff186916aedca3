"""What keeps an amplifier that sleeps from swallowing the first syllable."""

import numpy as np

from voicebox.audio.pcm import Samples

REST = 5.0
"""Seconds of silence after which an amplifier may sleep."""


class Amplifier:
    """``pre_silence`` seconds come before the first sound after a rest. Without ``rests`` the card is given silence for
    ever instead of nothing; with ``dither`` it is noise of one least significant bit, which nobody hears (-92 dBFS):
    for amplifiers that tell silence from nothing."""

    def __init__(self, *, pre_silence: float = 0.0, rests: bool = True, dither: bool = False) -> None:
        self.rests = rests
        self.waking = False
        """What the card takes now must be silence."""
        self._pre_silence = pre_silence
        self._dither = dither
        self._chance = np.random.default_rng()
        self._quiet = REST  # seconds
        self._left = 0.0  # seconds of pre-silence

    def take(self, seconds: float, *, sound: bool) -> None:
        """The card takes so much more, and whether there is ``sound`` for it."""
        if sound and self._quiet >= REST:
            self._left = self._pre_silence
        self._quiet = 0.0 if sound else self._quiet + seconds
        self.waking = sound and self._left > 1e-6  # rather one period too much than a part of one too little
        self._left -= seconds

    def stir(self, out: Samples) -> Samples:
        """The same, or dither in place of silence."""
        if not self._dither or out.any():
            return out
        return self._chance.integers(-1, 2, out.size, np.int16)
