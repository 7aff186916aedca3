"""What ships with voicebox: the box's own sounds, and the speech of the demo and the simulator."""

import wave
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicebox.errors import ConfigError

RATE = 16_000
"""Samples per second of every shipped file."""

SOUNDS = Path(__file__).parent / "sounds"
"""Where the box's own sounds are."""

_SPEECH = files(__name__) / "speech"


def speech_names() -> list[str]:
    """The names ``speech`` knows, sorted."""
    return sorted(f.name.removesuffix(".wav") for f in _SPEECH.iterdir() if f.name.endswith(".wav"))


def speech(name: str) -> NDArray[np.int16]:
    """The named recording: 16 kHz mono, shape (samples,). Raises ConfigError, listing the names there are."""
    if name not in speech_names():
        raise ConfigError(f"no speech named {name!r} ships with voicebox; there are: {', '.join(speech_names())}")
    with (_SPEECH / f"{name}.wav").open("rb") as file, wave.open(file) as recording:
        return np.frombuffer(recording.readframes(recording.getnframes()), "<i2").astype(np.int16)
