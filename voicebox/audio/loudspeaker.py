"""At which level a loudspeaker, or its amplifier, clips: told from what a linear filter leaves of its echo."""

import numpy as np
from numpy.typing import NDArray

_FULL = 32767.0
_LEVELS = (_FULL * 1.2 ** -np.arange(17)).astype(np.float32)  # down to -25 dB
_SIZE = 8192  # of the transforms
_FORGET = 0.8  # of the evidence of before
_ENOUGH = 4  # pieces of evidence that make a case
_ALIKE = 0.25  # correlation from which on it is one: without clipping it stays below 0.15
_FAINT = 1000.0  # who plays no louder than this (-30 dBFS) does not clip

Floats = NDArray[np.float32]


class Loudspeaker:
    """What it makes of the reference is clipped at ``limit``.

    What clipping adds is no linear function of the sound, so a linear filter leaves it. For each level it could clip at
    that remainder is known, but for the room; and how the room sounds the filter has learnt."""

    def __init__(self) -> None:
        self.limit = _FULL
        self._begin()

    def _begin(self) -> None:
        self._likeness = np.zeros(len(_LEVELS))
        self._energy = np.zeros(len(_LEVELS))
        self._pieces = 0.0
        self._count = 0

    def play(self, reference: Floats) -> Floats:
        """What really sounds."""
        return np.clip(reference, -self.limit, self.limit)

    def learn(self, left: Floats, reference: Floats, response: Floats) -> None:
        """``left``: what the filter left of a stretch; ``reference``: what was to be played in that stretch and, before
        it, for as long as the filter's ``response``. All in all at most 8192 samples."""
        loudest = float(np.abs(reference).max())
        if loudest < _FAINT:
            return
        audible = max(loudest, self.limit) > _LEVELS
        spectra = np.zeros((len(_LEVELS), _SIZE // 2 + 1), np.complex64)
        spectra[audible] = np.fft.rfft(self._added(reference, audible), _SIZE) * np.fft.rfft(response, _SIZE)
        rest = np.fft.rfft(np.concatenate([np.zeros(response.size, np.float32), left - left.mean()]), _SIZE)
        energy = np.sum(np.abs(spectra) ** 2, axis=1)
        likeness = np.sum(np.real(spectra * np.conj(rest)), axis=1)
        loudness = np.sum(np.abs(rest) ** 2) + 1e-9
        self._likeness = self._likeness * _FORGET + likeness / loudness
        self._energy = self._energy * _FORGET + energy / loudness
        self._pieces = self._pieces * _FORGET + 1
        self._count += 1
        if self._count >= _ENOUGH:
            self._decide()

    def _added(self, reference: Floats, which: NDArray[np.bool_]) -> Floats:
        """What clipping at each of these levels, rather than at the present one, would add beside the sound itself."""
        present, levels = self.play(reference), _LEVELS[which, None]
        clipped = np.clip(reference[None], -levels, levels)
        share = np.einsum("ij,j->i", clipped, present) / np.sum(present**2)
        return np.asarray(clipped - share[:, None] * present, np.float32)

    def _decide(self) -> None:
        known = self._energy > 1e-9
        alike = np.where(known, self._likeness / np.sqrt(self._energy * self._pieces + 1e-12), 0.0)
        best = int(np.argmax(alike))
        if alike[best] < _ALIKE:
            return
        near = abs(np.log(_LEVELS[best] / self.limit)) < np.log(1.25)
        self.limit = float(np.sqrt(_LEVELS[best] * self.limit) if near else _LEVELS[best])
        self._begin()
