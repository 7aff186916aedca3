"""From sound to what the phrases' networks look at: a spectrum, and one embedding for each hop.

The numbers are those of openWakeWord's own networks, got more cheaply: the spectrum by FFT, with the window and the
bands that its network multiplies with, the embeddings by its network made streaming.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicebox.errors import ConfigError
from voicebox.onnx import Network, open_network
from voicebox.wake import _onnxfile as onnx
from voicebox.wake._streaming import BANDS, streaming

EMBEDDING = 96
"""Numbers in one embedding."""
SEEN = 10
"""Hops behind one embedding: 76 rows of spectrum, of which a hop gives 8."""
_FRAME, _STEP = 512, 160  # samples behind a row of the spectrum, and from row to row
_OVERLAP = 480  # samples of the last hop that the first rows of the next see
_FAINTEST = np.float32(1e-10)  # power of a band, at least
_RANGE = np.float32(80)  # dB that a hop's faintest band may be below its loudest
_DECIBEL = np.float32(10 / np.log(10))
_SCALE, _OFFSET = np.float32(10), np.float32(2)  # bring the spectrum to the range the embedding was trained on


class Spectrum:
    """Mel spectrum of a stream, in dB."""

    def __init__(self, model: Path) -> None:
        """``model``: openWakeWord's melspectrogram.onnx. Raises ConfigError where that is another."""
        try:
            found = onnx.weights(model.read_bytes())
            self._window = found["0.stft.conv_real.weight"][0, 0]  # the cosine of frequency zero is 1
            self._bands = found["1.melW"]
        except (KeyError, ValueError) as error:
            raise ConfigError(f"wake word model {model} is not openWakeWord's spectrum: {error}") from error
        except OSError as error:
            raise ConfigError(f"wake word model {model} cannot be read: {error.strerror}") from error

    def rows(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of n hops and the ``_OVERLAP`` samples before them, shape (n, 8, 32)."""
        frames = np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::_STEP]
        spectrum = np.fft.rfft(frames * self._window)
        power = (spectrum.real**2 + spectrum.imag**2) @ self._bands
        decibels = (np.log(np.maximum(power, _FAINTEST)) * _DECIBEL).reshape(-1, 8, 32)
        rows: NDArray[np.float32] = np.maximum(decibels, decibels.max(axis=(1, 2), keepdims=True) - _RANGE)
        return rows


class Embedder:
    """The streaming network with the rows it keeps."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._input, *kept = network.get_inputs()
        self._names = [one.name for one in kept]
        self._fresh = {one.name: np.zeros(one.shape, np.float32) for one in kept}
        self._kept: dict[str, NDArray[np.float32]] = self._fresh

    def apart(self) -> "Embedder":
        """The same network for another stream."""
        return Embedder(self._network)

    def take(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embeddings, shape (n, 96), of rows of shape (n, 8, 32)."""
        padded = np.zeros((1, 1, rows.size // 32, BANDS), np.float32)
        padded[0, 0, :, 1:-1] = rows.reshape(-1, 32) / _SCALE + _OFFSET
        embeddings, *keep = self._network.run(None, {self._input.name: padded, **self._kept})
        self._kept = dict(zip(self._names, keep, strict=True))
        return embeddings[0, :, :, 0].T

    def reset(self) -> None:
        self._kept = self._fresh


class Features:
    """Sound in, embeddings out: one for each hop."""

    def __init__(self, spectrum: Spectrum, embedder: Embedder, length: int) -> None:
        """``length``: how many embeddings are kept."""
        self._spectrum = spectrum
        self._embedder = embedder
        self._overlap = np.zeros(_OVERLAP, np.float32)
        self._embeddings = np.zeros((1, length, EMBEDDING), np.float32)
        self._taken = 0

    def apart(self) -> "Features":
        """For another stream."""
        return Features(self._spectrum, self._embedder.apart(), self._embeddings.shape[1])

    def take(self, hops: Sequence[NDArray[np.int16]]) -> None:
        """The next hops (at least one) of the stream."""
        sound = np.concatenate((self._overlap, *hops), dtype=np.float32)
        self._overlap = sound[-_OVERLAP:]
        new = self._embedder.take(self._spectrum.rows(sound))
        kept = np.concatenate((self._embeddings[0], new))
        self._embeddings[0] = kept[len(new) :]
        self._taken += len(hops)

    def last(self, count: int, before: int = 0) -> NDArray[np.float32] | None:
        """The newest embeddings, shape (1, count, 96), or those that were the newest ``before`` hops ago; None until
        all of them are of sound taken since the reset."""
        end = self._embeddings.shape[1] - before
        return self._embeddings[:, end - count : end] if self._taken - before >= SEEN - 1 + count else None

    def reset(self) -> None:
        self._embedder.reset()
        self._overlap = np.zeros(_OVERLAP, np.float32)
        self._taken = 0


def open_features(models: Path, length: int) -> Features:
    """With the networks in this folder. Raises ConfigError where they are missing or others."""
    path = models / "embedding_model.onnx"
    network = open_network(path, "wake word", streaming)
    return Features(Spectrum(models / "melspectrogram.onnx"), Embedder(network), length)
