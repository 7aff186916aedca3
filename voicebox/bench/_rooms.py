"""Rooms for boxes without one: what the microphone hears of the speaker, and a box that cancels it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK, CAPTURE_RATE, PLAYBACK_RATE, Block
from voicebox.audio.clock import StreamClock
from voicebox.audio.echo import EchoCanceller
from voicebox.audio.pcm import resample

Sound = NDArray[np.float64]
"""16 kHz, in int16's range."""
_PERIOD = 120  # samples (24 kHz) the card takes at a time
_AHEAD = 0.04  # seconds before it is heard that the card has got everything
_JITTER = 0.001  # seconds by which callbacks are off, one standard deviation
_TAPS = 32


@dataclass(frozen=True, slots=True)
class Path:
    """How the speaker's sound gets into the microphone."""

    gain: float = 0.0
    """dB"""
    delay: float = 0.05
    """Seconds that no clock knows of."""
    reverberation: float = 0.3
    """Seconds until it is 60 dB softer."""
    clip: float | None = None
    """dB below the loudest sample at which the loudspeaker clips."""
    drift: float = 0.0
    """Parts per million by which the microphone's crystal is faster than the speaker's."""
    seed: int = 1

    @property
    def response(self) -> Sound:
        """Direct sound, and reverberation that is 6 dB softer in all; energy 1, then the gain."""
        length = max(2, round(self.reverberation * CAPTURE_RATE))
        decay = np.random.default_rng(self.seed).standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
        decay[0] = 0.0
        response = decay * 0.5 / np.sqrt(np.sum(decay**2))
        response[0] = 1.0
        response *= 10 ** (self.gain / 20) / np.sqrt(np.sum(response**2))
        return np.concatenate([np.zeros(round(self.delay * CAPTURE_RATE)), response])

    def echo(self, played: Sound) -> Sound:
        """What the microphone hears of it, as long as it is."""
        if self.clip is not None:
            played = clipped(played, float(np.abs(played).max()) * 10 ** (-self.clip / 20))
        heard = convolve(played, self.response)
        return stretched(heard, -self.drift) if self.drift else heard


def clipped(sound: Sound, limit: float) -> Sound:
    """As an amplifier does it, which knows nothing of samples: at four times their rate."""
    spectrum = np.fft.rfft(sound)
    fine = np.fft.irfft(spectrum, 4 * sound.size) * 4
    return np.asarray(np.fft.irfft(np.fft.rfft(np.clip(fine, -limit, limit))[: spectrum.size], sound.size) / 4)


def convolve(sound: Sound, response: Sound) -> Sound:
    size = 1 << (sound.size + response.size - 1).bit_length()
    return np.asarray(np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[: sound.size])


def stretched(sound: Sound, ppm: float) -> Sound:
    """The sound as a crystal hears it that is faster than its own by ``-ppm`` parts per million; as long as it was."""
    place = np.arange(sound.size) * (1 + ppm * 1e-6)
    whole = np.floor(place).astype(int)
    padded = np.pad(sound, (_TAPS, _TAPS + int(sound.size * abs(ppm) * 1e-6) + 2))
    out = np.zeros(sound.size)
    for tap in range(1 - _TAPS // 2, 1 + _TAPS // 2):
        offset = place - whole - tap
        out += padded[whole + tap + _TAPS] * np.sinc(offset) * np.cos(np.pi * offset / (_TAPS + 2)) ** 2
    return out


def to_int16(sound: Sound) -> NDArray[np.int16]:
    return np.asarray(np.clip(np.rint(sound), -32768, 32767), np.int16)


class SimulatedBox:
    """A canceller between a speaker that plays ``played`` and a microphone that hears ``heard`` (both Sound), with
    clocks that jitter. The card rests during silences of more than ``rest`` seconds, and then knows its time a little
    differently."""

    def __init__(self, played: Sound, heard: Sound, *, drift: float = 0.0, rest: float = 5.0, seed: int = 1) -> None:
        self.canceller = EchoCanceller()
        self._random = np.random.default_rng(seed)
        self._card = resample(to_int16(played), CAPTURE_RATE, PLAYBACK_RATE)
        self._heard = to_int16(heard)
        self._rate = CAPTURE_RATE * (1 + drift * 1e-6)
        self._rest = round(rest * PLAYBACK_RATE)
        self._handed = 0
        self._silent = 0  # samples of silence handed over last
        self._bias = 0.0

    def blocks(self) -> Iterator[list[Block]]:
        """What comes of each 20 ms of the microphone."""
        clock = StreamClock(CAPTURE_RATE)
        for position in range(0, self._heard.size - BLOCK + 1, BLOCK):
            now = position / self._rate
            self._hand_over(now + _AHEAD)
            clock.update(position, now + self._random.normal(0, _JITTER))
            pcm = self._heard[position : position + BLOCK].tobytes()
            yield self.canceller.process(Block(position, pcm, clock.time(position)))

    def run(self) -> NDArray[np.int16]:
        """All that comes of it."""
        pcm = b"".join(block.pcm for ready in self.blocks() for block in ready)
        return np.frombuffer(pcm, np.int16)

    def _hand_over(self, until: float) -> None:
        while self._handed < min(self._card.size, until * PLAYBACK_RATE):
            pcm = self._card[self._handed : self._handed + _PERIOD]
            if self._silent > self._rest and pcm.any():
                self._bias = self._random.uniform(-0.002, 0.002)
            self._silent = 0 if pcm.any() else self._silent + _PERIOD
            if self._silent <= self._rest:
                at = self._handed / PLAYBACK_RATE + self._bias + self._random.normal(0, _JITTER)
                self.canceller.heard(pcm.tobytes(), PLAYBACK_RATE, at)
            self._handed += _PERIOD
