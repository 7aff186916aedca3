"""The box's own sounds, made here: no file to lose."""

import numpy as np

from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.pcm import Samples, to_bytes, to_int16

_LEVEL = 0.2  # of full scale
_EDGE = 0.01  # seconds of fade at either end of a beep: no click


def last_minute() -> bytes:
    """Two falling beeps, under half a second (s16le mono 24 kHz): the time is nearly up."""
    silence = np.zeros(PLAYBACK_RATE * 60 // 1000, np.int16)
    return to_bytes(np.concatenate([_beep(880.0, 0.15), silence, _beep(660.0, 0.2)]))


def _beep(frequency: float, seconds: float) -> Samples:
    time = np.arange(round(seconds * PLAYBACK_RATE), dtype=np.float32) / PLAYBACK_RATE
    edges = np.clip(np.minimum(time, time[::-1]) / _EDGE, 0.0, 1.0)
    return to_int16(np.asarray(_LEVEL * edges * np.sin(2 * np.pi * frequency * time), np.float32))
