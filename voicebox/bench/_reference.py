"""What ours is held against: the same networks without anything around them, and the packages people use."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicebox.onnx import open_network, packaged
from voicebox.wake.openwakeword import built_in

Score = Callable[[NDArray[np.int16]], object]
"""Takes a hop of 1280 samples."""


def bare(phrase: str = "hey_jarvis") -> Score:
    """onnxruntime alone, one thread, on openWakeWord's three networks, fed as its streaming Model does it, without the
    rest of that. The yardstick for CPU."""
    spectrum = open_network(packaged() / "melspectrogram.onnx", "bench")
    embedding = open_network(packaged() / "embedding_model.onnx", "bench")
    score = open_network(built_in()[phrase], "bench")
    name = score.get_inputs()[0].name
    audio = np.zeros((1, 1760), np.float32)
    rows, embeddings = np.zeros((1, 76, 32, 1), np.float32), np.zeros((1, 16, 96), np.float32)

    def hop(samples: NDArray[np.int16]) -> object:
        audio[:, :480], audio[:, 480:] = audio[:, -480:], samples
        rows[:, :-8] = rows[:, 8:]
        rows[:, -8:] = spectrum.run(None, {"input": audio})[0].reshape(1, 8, 32, 1) / 10 + 2
        embeddings[:, :-1] = embeddings[:, 1:]
        embeddings[:, -1:] = embedding.run(None, {"input_1": rows})[0].reshape(1, 1, 96)
        return score.run(None, {name: embeddings})

    return hop


def openwakeword() -> ModuleType:
    """The package. What it trains verifiers with is left out: nobody does, and it would want 200 MB of scipy and
    scikit-learn, which nothing here installs."""
    training = ModuleType("openwakeword.custom_verifier_model")
    training.train_custom_verifier = None  # type: ignore[attr-defined]  # what the package imports of it
    sys.modules.setdefault(training.__name__, training)
    return importlib.import_module("openwakeword")


def package() -> Score:
    """``openwakeword.Model`` itself, with that phrase."""
    model = openwakeword().Model(wakeword_model_paths=[str(built_in()["hey_jarvis"])])
    score: Score = model.predict
    return score


def tflite() -> Score | None:
    """The package pyopen-wakeword, which the Wyoming stack runs on; None where it is not installed."""
    try:
        from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures  # noqa: PLC0415  # an extra
    except ImportError:
        return None
    features: Any = OpenWakeWordFeatures.from_builtin()
    phrase: Any = OpenWakeWord.from_builtin(Model.HEY_JARVIS)

    def hop(samples: NDArray[np.int16]) -> object:
        return [list(phrase.process_streaming(one)) for one in features.process_streaming(samples.tobytes())]

    return hop
