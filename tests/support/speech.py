"""Speech for tests, spoken by espeak-ng or flite in this run and kept until it ends."""

import functools
import io
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

RATE = 16_000
HOP = 1_280

Samples = NDArray[np.int16]


@functools.cache
def say(text: str, voice: str = "flite:rms") -> Samples:
    """``text`` as 16 kHz mono s16, peak -6 dBFS. ``voice`` is "flite:NAME" or "espeak:VOICE[@WORDS_PER_MINUTE]"."""
    program, _, name = voice.partition(":")
    samples, rate = _decode(_flite(text, name) if program == "flite" else _espeak(text, name))
    resampled = soxr.resample(samples.astype(np.float64), rate, RATE, quality="HQ")
    spoken: Samples = np.round(resampled * (16_384 / np.abs(resampled).max())).astype(np.int16)
    spoken.flags.writeable = False  # all callers share it
    return spoken


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


def noise(seconds: float, dbfs: float, *, pink: bool = False, seed: int = 1) -> Samples:
    """White or pink noise with an RMS level of ``dbfs``, clipped to int16."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * RATE)))
    if pink:
        spectrum /= np.sqrt(np.arange(spectrum.size) + 1)
    signal = np.fft.irfft(spectrum, round(seconds * RATE))
    scaled = signal * (32_768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(signal**2)))
    clipped: Samples = np.clip(np.round(scaled), -32_768, 32_767).astype(np.int16)
    return clipped


def hops(*pieces: Samples) -> Iterator[Samples]:
    """The pieces one after another in hops of 1280 samples, the last filled up with silence."""
    samples = np.concatenate(pieces)
    yield from np.concatenate([samples, np.zeros(-samples.size % HOP, np.int16)]).reshape(-1, HOP)


def _flite(text: str, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:  # flite cannot write WAV to a pipe
        path = Path(folder) / "said.wav"
        _run("flite", "-voice", name, "-t", text, "-o", str(path))
        return path.read_bytes()


def _espeak(text: str, name: str) -> bytes:
    voice, _, speed = name.partition("@")
    return _run("espeak-ng", "-v", voice, "-s", speed or "160", "--stdout", text)


def _run(program: str, *arguments: str) -> bytes:
    try:
        return subprocess.run([program, *arguments], check=True, capture_output=True, timeout=30).stdout
    except FileNotFoundError as error:
        raise RuntimeError(f"the tests speak with {program}; install it: apt-get install {program}") from error


def _decode(data: bytes) -> tuple[Samples, int]:
    """Samples and rate of a mono WAV whose header may overstate its length, as a pipe's does."""
    with wave.open(io.BytesIO(data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16), file.getframerate()
