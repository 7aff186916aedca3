"""Debian's libspeexdsp1 by ctypes: the only file that loads it."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK, CAPTURE_RATE
from voicebox.audio.pcm import Samples
from voicebox.errors import DeviceError

LIBRARY = "libspeexdsp.so.1"
FRAME = 160
"""Samples the echo canceller takes at a time: 10 ms."""
_DENOISE, _AGC, _AGC_LEVEL, _NOISE_SUPPRESS = 0, 2, 6, 8  # speex_preprocess.h
_SAMPLING_RATE, _RESPONSE_SIZE, _RESPONSE = 24, 27, 29  # speex_echo.h
_SUPPRESS_DB = -20
_LEVEL = 8000.0  # of full scale 32768: speech at about -12 dBFS
_MOST, _ROOM = 8, 4  # the highest gain; how many times as loud as expected it may yet become
_RATIO, _FAINTER = 2, 2  # raises the microphone once more where the echo is so many times fainter than its sound
_UNIT = 32767.0 * 2 * FRAME  # of the path as speexdsp tells it: as loud as the reference
_INTS, _FLOATS = ctypes.c_int, ctypes.c_float


def load() -> Any:  # noqa: ANN401  # a ctypes library has no types
    """Raises DeviceError where the library is missing."""
    try:
        speex = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise DeviceError(f"{LIBRARY} is missing: sudo apt install libspeexdsp1") from error
    speex.speex_preprocess_state_init.restype = ctypes.c_void_p
    speex.speex_preprocess_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    speex.speex_preprocess_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    speex.speex_preprocess_state_destroy.argtypes = [ctypes.c_void_p]
    speex.speex_echo_state_init.restype = ctypes.c_void_p
    speex.speex_echo_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    speex.speex_echo_cancellation.argtypes = [ctypes.c_void_p] * 4
    speex.speex_echo_state_destroy.argtypes = [ctypes.c_void_p]
    return speex


class Preprocessor:
    """Noise suppression and gain control of blocks of 20 ms; each comes back as long as it was, 20 ms late."""

    def __init__(self, *, noise_suppression: bool, gain_control: bool) -> None:
        self._speex = load()
        self._state = self._speex.speex_preprocess_state_init(BLOCK, CAPTURE_RATE)
        self._set(_DENOISE, _INTS(noise_suppression))
        self._set(_NOISE_SUPPRESS, _INTS(_SUPPRESS_DB))
        self._set(_AGC, _INTS(gain_control))
        self._set(_AGC_LEVEL, _FLOATS(_LEVEL))

    def process(self, block: Samples) -> Samples:
        """The next block, shape (320,), cleaned."""
        cleaned = block.copy()
        self._speex.speex_preprocess_run(self._state, cleaned.ctypes.data)
        return cleaned

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        state, self._state = self._state, None
        if state:
            self._speex.speex_preprocess_state_destroy(state)

    def _set(self, request: int, value: ctypes.c_int | ctypes.c_float) -> None:
        self._speex.speex_preprocess_ctl(self._state, request, ctypes.byref(value))


class LinearCanceller:
    """Learns how the speaker's sound comes back through the microphone, up to ``tail`` samples later, and takes it out.
    It is a linear filter: nobody's voice is suppressed with the echo."""

    def __init__(self, tail: int) -> None:
        self._speex = load()
        self._gain = 1
        self._ratio: int | None = None  # of the microphone's gain to the reference's
        self._state = self._speex.speex_echo_state_init(FRAME, tail)
        rate = ctypes.c_int(CAPTURE_RATE)
        self._speex.speex_echo_ctl(self._state, _SAMPLING_RATE, ctypes.byref(rate))

    def process(self, microphone: Samples, reference: NDArray[np.float32]) -> Samples:
        """The next FRAME samples of the microphone without what comes of the reference (in int16's range)."""
        self._make_room(float(np.abs(reference).max()))
        raise_ = np.float32(self._gain * (self._ratio or 1))
        raised = rounded(microphone * raise_), rounded(reference * np.float32(self._gain))
        out = np.empty(FRAME, np.int16)
        self._speex.speex_echo_cancellation(self._state, *(sound.ctypes.data for sound in raised), out.ctypes.data)
        return out if raise_ == 1 else rounded(out.astype(np.float32) / raise_)

    def expect(self, heard: float, played: float) -> None:
        """The loudest samples of both will be about this loud. speexdsp hardly learns from what is faint, so both are
        raised: by the same factor, and the microphone once more where the echo is much fainter than its sound (that is
        decided once, as a path learnt in one ratio is none in another). To be called when all was silent for a while;
        at another time it spoils the last 0.3 s of what is known."""
        if self._ratio is None or heard * self._ratio > played:
            self._ratio = _RATIO if heard * _FAINTER < played else 1
        self._gain = _MOST
        self._make_room(played * _ROOM)

    def _make_room(self, loudest: float) -> None:
        while self._gain > 1 and loudest * self._gain > 32767:
            self._gain //= 2

    @property
    def response(self) -> NDArray[np.int32]:
        """The path as it was learnt, one number per sample of the tail; see ``_UNIT``."""
        size = ctypes.c_int()
        self._speex.speex_echo_ctl(self._state, _RESPONSE_SIZE, ctypes.byref(size))
        response = np.zeros(size.value, np.int32)
        self._speex.speex_echo_ctl(self._state, _RESPONSE, response.ctypes.data)
        return response

    def echo(self, reference: NDArray[np.float32]) -> NDArray[np.float32]:
        """What would come of the last samples of ``reference`` by what is known of the path; it begins a tail earlier.
        Nothing is learnt from that."""
        response = self.response.astype(np.float32) / np.float32(_UNIT * (self._ratio or 1))
        size = 1 << (reference.size - 1).bit_length()  # what wraps around falls on the first tail
        spectrum = np.fft.rfft(reference, size) * np.fft.rfft(response, size)
        return np.asarray(np.fft.irfft(spectrum, size)[response.size : reference.size], np.float32)

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        state, self._state = self._state, None
        if state:
            self._speex.speex_echo_state_destroy(state)


def rounded(sound: NDArray[np.float32]) -> Samples:
    """The nearest samples there are."""
    return np.asarray(np.rint(sound).clip(-32768, 32767), np.int16)
