"""Sound for tests: a tone that can be recognised again whatever was done to it, and the box's own sounds."""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from voicebox.assets import SOUNDS

TONE = 440.0  # Hz


def earcon(name: str) -> NDArray[np.int16]:
    """One of the earcons that ship with voicebox, 24 kHz."""
    return np.asarray(soundfile.read(SOUNDS / f"{name}.wav", dtype="int16")[0], np.int16)


def tone(seconds: float, rate: int = 24_000, channels: int = 1, pitch: float = TONE) -> NDArray[np.float32]:
    """Shape (n,) or (n, channels), amplitude 0.3."""
    time = np.arange(round(seconds * rate)) / rate
    mono = (0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)
    return mono if channels == 1 else np.repeat(mono[:, None], channels, axis=1)


def encoded(samples: NDArray[np.float32], rate: int = 24_000, form: str = "MP3", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def amplitude(pcm: bytes, pitch: float = TONE, rate: int = 24_000) -> float:
    """How loud this pitch is in s16le mono sound, its first and last 200 ms left out; full scale is 1."""
    edge = rate // 5
    samples = np.frombuffer(pcm, np.int16)[edge:-edge] / 32768.0
    turns = np.exp(-2j * np.pi * pitch * np.arange(len(samples)) / rate)
    return float(2 * abs(np.mean(samples * turns)))
