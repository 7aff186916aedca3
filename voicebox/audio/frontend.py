"""What is done to the microphone's sound before the service hears it: noise suppression and gain control by speexdsp
(Debian: libspeexdsp1). The wake word hears the sound as it is."""

import ctypes

from voicebox.audio.base import BLOCK, CAPTURE_RATE
from voicebox.audio.pcm import Samples
from voicebox.errors import DeviceError

_LIBRARY = "libspeexdsp.so.1"
_SET_DENOISE, _SET_AGC, _SET_NOISE_SUPPRESS, _SET_AGC_LEVEL = 0, 2, 8, 6  # speex_preprocess.h
_SUPPRESS_DB = -20
_LEVEL = 8000.0  # of full scale 32768: speech at about -12 dBFS


class FrontEnd:
    """Works on blocks of 20 ms at 16 kHz; each comes back as long as it was, 20 ms late.

    Raises DeviceError where the library is missing."""

    def __init__(self, *, noise_suppression: bool, gain_control: bool) -> None:
        try:
            self._speex = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise DeviceError(
                f"noise suppression and gain control need {_LIBRARY}: sudo apt install libspeexdsp1, or switch them off"
            ) from error
        self._speex.speex_preprocess_state_init.restype = ctypes.c_void_p
        self._speex.speex_preprocess_ctl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
        self._speex.speex_preprocess_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self._speex.speex_preprocess_state_destroy.argtypes = [ctypes.c_void_p]
        self._state = self._speex.speex_preprocess_state_init(BLOCK, CAPTURE_RATE)
        self._set(_SET_DENOISE, ctypes.c_int(noise_suppression))
        self._set(_SET_NOISE_SUPPRESS, ctypes.c_int(_SUPPRESS_DB))
        self._set(_SET_AGC, ctypes.c_int(gain_control))
        self._set(_SET_AGC_LEVEL, ctypes.c_float(_LEVEL))

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
