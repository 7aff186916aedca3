"""Wake words by openWakeWord's networks, run with onnxruntime alone.

The package openwakeword carries the networks. The arithmetic is that of its streaming ``Model``, and so are the scores.
Its pre-trained phrases are licensed CC BY-NC-SA 4.0; own ``.onnx`` models, trained for openWakeWord, load from a path.

What merely sounds alike may wake it: some voices' "hey Charlie" reaches 0.99 on hey_jarvis, so no threshold helps.
"""

import difflib
import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicebox.errors import ConfigError
from voicebox.onnx import Network, open_network, packaged
from voicebox.wake.base import HOP, Detection, Phrase

_log = logging.getLogger(__name__)

_OVERLAP = 480  # samples of the last hop that the next spectrum needs: three steps of 160
_BANDS = 32  # of the spectrum
_ROWS = 8  # rows of spectrum in a hop
_WINDOW = 76  # rows of spectrum behind one embedding
_EMBEDDING = 96  # numbers in one embedding
_SCALE, _OFFSET = np.float32(10), np.float32(2)  # bring the spectrum to the range the embedding was trained on
_FIRST_REAL = 10  # hop whose embedding is the first to see no row from before the reset: 10 * 8 - 3 >= 76
_ROUNDING = 1e-4  # by which a score may exceed 1

_CLASSES: dict[str, dict[int, str]] = {
    "timer": {
        1: "1_minute_timer",
        2: "5_minute_timer",
        3: "10_minute_timer",
        4: "20_minute_timer",
        5: "30_minute_timer",
        6: "1_hour_timer",
    }
}
"""What the outputs of built-in models with several outputs mean; the others have one."""


def built_in() -> dict[str, Path]:
    """The phrases that come with openwakeword, by name. Raises ConfigError where there are none."""
    versioned = {re.sub(r"_v[\d.]+$", "", path.stem): path for path in sorted(packaged().glob("*_v[0-9]*.onnx"))}
    if not versioned:
        raise ConfigError(f"no wake word models in {packaged()}; mend it with: pip install openwakeword==0.4.0")
    return versioned


class OpenWakeWord:
    """A ``Detector`` for any number of phrases.

    Raises ConfigError, with one problem for each phrase that cannot be listened for: unknown name, missing or
    unreadable file, not a wake word model. A built-in model with several outputs ("timer") scores and detects under the
    names of its outputs; they share one refractory time.
    """

    def __init__(self, phrases: Sequence[Phrase], refractory: float = 2.0) -> None:
        """``refractory``: seconds of audio for which a phrase just detected is not detected again."""
        self._listeners = _listeners(phrases, math.ceil(refractory * 16_000 / HOP))
        spectrum = open_network(packaged() / "melspectrogram.onnx", "wake word")
        embedding = open_network(packaged() / "embedding_model.onnx", "wake word")
        self._features = _Features(spectrum, embedding, max(listener.window for listener in self._listeners))

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        if samples.shape != (HOP,) or samples.dtype != np.int16:
            raise ValueError(f"a hop is {HOP} int16 samples, not {samples.dtype} of shape {samples.shape}")
        self._features.take(samples)
        return [d for listener in self._listeners for d in listener.hear(self._features, playing=playing)]

    def hears(self, samples: NDArray[np.int16]) -> dict[str, float]:
        features = self._features.apart()
        best = dict.fromkeys(self.scores, 0.0)
        for hop in samples.reshape(-1, HOP):
            features.take(hop)
            for listener in self._listeners:
                best |= {label: max(best[label], score) for label, score in listener.scored(features).items()}
        return best

    @property
    def scores(self) -> dict[str, float]:
        return {label: score for listener in self._listeners for label, score in listener.scores.items()}

    def reset(self) -> None:
        self._features.reset()
        for listener in self._listeners:
            listener.reset()


Engine = OpenWakeWord


class _Features:
    """Audio in, embeddings out: one for each hop, the newest last."""

    def __init__(self, spectrum: Network, embedding: Network, length: int) -> None:
        self._spectrum = spectrum
        self._embedding = embedding
        self._length = length
        self._audio = np.zeros((1, _OVERLAP + HOP), np.float32)
        self._rows = np.zeros((1, _WINDOW, _BANDS, 1), np.float32)
        self._embeddings = np.zeros((1, length, _EMBEDDING), np.float32)
        self._real = 0

    def apart(self) -> "_Features":
        """The same networks for other audio."""
        return _Features(self._spectrum, self._embedding, self._length)

    def take(self, samples: NDArray[np.int16]) -> None:
        self._audio[:, :_OVERLAP] = self._audio[:, -_OVERLAP:]
        self._audio[:, _OVERLAP:] = samples
        (spectrum,) = self._spectrum.run(None, {"input": self._audio})
        _append(self._rows, spectrum.reshape(1, _ROWS, _BANDS, 1) / _SCALE + _OFFSET)
        (embedding,) = self._embedding.run(None, {"input_1": self._rows})
        _append(self._embeddings, embedding.reshape(1, 1, _EMBEDDING))
        self._real += 1

    def last(self, count: int) -> NDArray[np.float32] | None:
        """The newest embeddings, shape (1, count, 96); None until all of them are of audio taken since the reset."""
        return self._embeddings[:, -count:] if self._real >= _FIRST_REAL - 1 + count else None

    def reset(self) -> None:
        self._audio.fill(0)
        self._real = 0


class _Listener:
    """One phrase: its network, its newest scores, and when it last was heard."""

    def __init__(self, phrase: Phrase, network: Network, labels: dict[int, str], refractory: int) -> None:
        self.window: int = network.get_inputs()[0].shape[1]
        self._phrase = phrase
        self._network = network
        self._input = network.get_inputs()[0].name
        self._labels = labels
        self._refractory = refractory
        self._suspect = False
        self.reset()

    def reset(self) -> None:
        self.scores = dict.fromkeys(self._labels.values(), 0.0)
        self._run = dict.fromkeys(self._labels.values(), 0)
        self._deaf = 0

    def hear(self, features: _Features, *, playing: bool) -> list[Detection]:
        threshold, patience = self._phrase.demands(playing=playing)
        self.scores |= self.scored(features)
        self._run = {label: self._run[label] + 1 if self.scores[label] >= threshold else 0 for label in self._run}
        return self._detections(patience)

    def scored(self, features: _Features) -> dict[str, float]:
        """The score of every label; none before enough audio was taken."""
        embeddings = features.last(self.window)
        if embeddings is None:
            return {}
        output = self._network.run(None, {self._input: embeddings})[0][0]
        return {label: self._checked(float(output[index])) for index, label in self._labels.items()}

    def _checked(self, score: float) -> float:
        if 0.0 <= score <= 1.0 + _ROUNDING:
            return min(score, 1.0)
        self._doubt(score)  # not a number comes here too
        return 0.0

    def _doubt(self, score: float) -> None:
        if not self._suspect:
            _log.warning("wake word model %s scored %g, which is not in 0 to 1: ignored", self._phrase.model, score)
        self._suspect = True

    def _detections(self, patience: int) -> list[Detection]:
        self._deaf -= 1
        if self._deaf > 0:
            return []
        heard = [label for label, run in self._run.items() if run >= patience]
        if heard:
            self._deaf = self._refractory
        return [Detection(label, self.scores[label]) for label in heard]


def _append(buffer: NDArray[np.float32], rows: NDArray[np.float32]) -> None:
    """Shift ``buffer`` along its second axis and put ``rows`` at its end."""
    count = rows.shape[1]
    buffer[:, :-count] = buffer[:, count:]
    buffer[:, -count:] = rows


# --- finding and opening the networks ------------------------------------------------------------------------------


def _listeners(phrases: Sequence[Phrase], refractory: int) -> list[_Listener]:
    if not phrases:
        raise ConfigError("no wake word is given: name at least one phrase, or turn the wake word off")
    listeners: list[_Listener] = []
    problems: list[str] = []
    for phrase in phrases:
        try:
            listeners.append(_listener(phrase, refractory))
        except ConfigError as error:
            problems += error.problems
    models = [phrase.model for phrase in phrases]
    problems += [f"wake word {model} is given twice" for model in sorted(set(models)) if models.count(model) > 1]
    if problems:
        raise ConfigError(*problems)
    return listeners


def _listener(phrase: Phrase, refractory: int) -> _Listener:
    for threshold, patience in (phrase.demands(playing=playing) for playing in (False, True)):
        if not 0.0 < threshold <= 1.0:
            raise ConfigError(f"wake word {phrase.model}: the threshold must be above 0 and at most 1")
        if patience < 1:
            raise ConfigError(f"wake word {phrase.model}: the patience must be at least 1 frame")
    network = open_network(_path(phrase.model), "wake word")
    outputs = _outputs(network)
    if not outputs:
        raise ConfigError(
            f"wake word model {phrase.model} was not made for openWakeWord: its input or output has another shape"
        )
    labels = {0: phrase.model} if outputs == 1 else _CLASSES.get(phrase.model, {})
    if not labels:
        raise ConfigError(
            f"wake word model {phrase.model} has {outputs} outputs; only models with one, for one phrase, can be used"
        )
    return _Listener(phrase, network, labels, refractory)


def _path(model: str) -> Path:
    if model.endswith(".onnx") or "/" in model:
        return Path(model)
    known = built_in()
    if model not in known:
        near = difflib.get_close_matches(model, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        names = ", ".join(known)
        raise ConfigError(f"unknown wake word {model!r}{hint} (built in: {names}; or give the path of an .onnx file)")
    return known[model]


def _outputs(network: Network) -> int:
    """How many scores a wake word network gives; 0 if it is none."""
    inputs, outputs = network.get_inputs(), network.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
        return 0
    match inputs[0].shape, outputs[0].shape:
        case [_, int(frames), int(width)], [_, int(count)] if frames > 0 and width == _EMBEDDING:
            return count
    return 0
