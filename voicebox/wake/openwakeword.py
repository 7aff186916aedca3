"""Wake words by openWakeWord's networks, run with onnxruntime alone.

The package openwakeword carries the networks. The arithmetic is that of its streaming ``Model``, and so are the scores.
Its pre-trained phrases are licensed CC BY-NC-SA 4.0; own ``.onnx`` models, trained for openWakeWord, load from a path.

What merely sounds alike may wake it: some voices' "hey Charlie" reaches 0.99 on hey_jarvis, so no threshold helps.
"""

import difflib
import logging
import math
import re
from collections import deque
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicebox.errors import ConfigError
from voicebox.onnx import Network, open_network, packaged
from voicebox.wake._features import EMBEDDING, SEEN, Features, open_features
from voicebox.wake._gate import Gate, Open
from voicebox.wake.base import HOP, Detection, Phrase

_log = logging.getLogger(__name__)

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

    def __init__(self, phrases: Sequence[Phrase], refractory: float = 2.0, *, lazy: bool = True) -> None:
        """``refractory``: seconds of audio for which a phrase just detected is not detected again. ``lazy``: what
        cannot be a phrase is not scored; otherwise everything is, to compare."""
        self._listeners = _listeners(phrases, math.ceil(refractory * 16_000 / HOP))
        longest = max(listener.window for listener in self._listeners)
        self._features = open_features(packaged(), longest + 1)
        self._gate = Gate(longest + SEEN - 1) if lazy else Open()
        self._heard: deque[NDArray[np.int16]] = deque(maxlen=longest + SEEN - 1)  # what a score depends on
        self._share = (longest + SEEN + 1) // 2  # hops taken at a time
        self._behind = 0  # hops the features have not taken
        self._due = 0  # hops that were not scored yet, though they have to be
        self._looked = False  # a glance at the next hop was not enough

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        if samples.shape != (HOP,) or samples.dtype != np.int16:
            raise ValueError(f"a hop is {HOP} int16 samples, not {samples.dtype} of shape {samples.shape}")
        if self.glance(samples):
            return []
        self._looked = False
        self._take(samples)
        self._due += 1
        self._catch_up()
        return [] if self._behind else self._scored(playing=playing)

    def glance(self, samples: NDArray[np.int16]) -> bool:
        if self._looked or self._gate.opens(samples):
            self._looked = True
            return False
        self._take(samples)
        self._due = 0
        for listener in self._listeners:
            listener.rest()
        return True

    def _take(self, samples: NDArray[np.int16]) -> None:
        self._heard.append(samples.copy())
        self._behind += 1

    def _catch_up(self) -> None:
        """What was left out while nothing happened is taken in two turns, so that none takes long. No score is later
        than one hop for that."""
        if self._behind > len(self._heard):
            self._features.reset()
            self._behind = len(self._heard)
        ready = islice(self._heard, len(self._heard) - self._behind, None)
        taken = list(islice(ready, self._share))
        self._features.take(taken)
        self._behind -= len(taken)

    def _scored(self, *, playing: bool) -> list[Detection]:
        due, self._due = self._due, 0
        return [
            detection
            for before in reversed(range(due))
            for listener in self._listeners
            for detection in listener.hear(self._features, before, playing=playing)
        ]

    def hears(self, samples: NDArray[np.int16]) -> dict[str, float]:
        features = self._features.apart()
        best = dict.fromkeys(self.scores, 0.0)
        for hop in samples.reshape(-1, HOP):
            features.take([hop])
            for listener in self._listeners:
                best |= {label: max(best[label], score) for label, score in listener.scored(features).items()}
        return best

    @property
    def scores(self) -> dict[str, float]:
        return {label: score for listener in self._listeners for label, score in listener.scores.items()}

    def reset(self) -> None:
        self._features.reset()
        self._gate.reset()
        self._heard.clear()
        self._behind = self._due = 0
        self._looked = False
        for listener in self._listeners:
            listener.reset()


Engine = OpenWakeWord


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
        self._resting = False

    def rest(self) -> None:
        """A hop in which nothing can have been said."""
        self._deaf -= 1
        if not self._resting:
            self.scores = dict.fromkeys(self.scores, 0.0)
            self._run = dict.fromkeys(self._run, 0)
            self._resting = True

    def hear(self, features: Features, before: int, *, playing: bool) -> list[Detection]:
        """The hop that was the newest ``before`` hops ago."""
        self._resting = False
        threshold, patience = self._phrase.demands(playing=playing)
        self.scores |= self.scored(features, before)
        self._run = {label: self._run[label] + 1 if self.scores[label] >= threshold else 0 for label in self._run}
        return self._detections(patience)

    def scored(self, features: Features, before: int = 0) -> dict[str, float]:
        """The score of every label; none before enough audio was taken."""
        embeddings = features.last(self.window, before)
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
        case [_, int(frames), int(width)], [_, int(count)] if frames > 0 and width == EMBEDDING:
            return count
    return 0
