"""The embedding network made streaming: the same numbers as the original, however the stream is cut."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.errors import ConfigError
from voicebox.onnx import open_network, packaged
from voicebox.wake import _features, _onnxfile
from voicebox.wake._features import SEEN, Embedder, Spectrum, open_features
from voicebox.wake._streaming import streaming

MODEL = packaged() / "embedding_model.onnx"
ROWS = np.random.default_rng(1).normal(40, 25, (60, 8, 32)).astype(np.float32)


def original(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """An embedding for each hop of which all rows are there."""
    network = open_network(MODEL, "test")
    scaled = rows.reshape(-1, 32) / np.float32(10) + np.float32(2)
    starts = range(8 * SEEN - 76, len(scaled) - 75, 8)
    windows = np.stack([scaled[at : at + 76] for at in starts])[..., None]
    return np.concatenate([network.run(None, {"input_1": window[None]})[0].reshape(1, 96) for window in windows])


@pytest.mark.parametrize("cuts", [range(1, 60), [1, 3, 4, 30], [25], []], ids=["single", "uneven", "halves", "whole"])
def test_embeddings_equal_the_originals_however_the_stream_is_cut(cuts: list[int]) -> None:
    embedder = Embedder(open_network(MODEL, "test", streaming))
    ours = np.concatenate([embedder.take(rows) for rows in np.split(ROWS, cuts)])
    assert np.allclose(ours[SEEN - 1 :], original(ROWS), atol=1e-3, rtol=0)
    assert np.ptp(ours) > 10


def test_a_reset_embedder_is_a_fresh_one() -> None:
    embedder = Embedder(open_network(MODEL, "test", streaming))
    first = embedder.take(ROWS)
    assert not np.array_equal(embedder.take(ROWS), first)
    embedder.reset()
    assert np.array_equal(embedder.take(ROWS), first)


def test_the_spectrum_equals_the_originals() -> None:
    """Over all levels: within what 32 bits can tell of a band that is 80 dB below the loudest."""
    network, chance = open_network(packaged() / "melspectrogram.onnx", "test"), np.random.default_rng(2)
    spectrum = Spectrum(packaged() / "melspectrogram.onnx")
    for loudness in (0.0, 1.0, 30.0, 1_000.0, 30_000.0):
        sound = np.round(chance.normal(0.0, 1.0, 480 + 1280) * loudness).astype(np.float32)
        (theirs,) = network.run(None, {"input": sound[None]})
        assert np.allclose(spectrum.rows(sound)[0], theirs.reshape(8, 32), atol=1e-3)


@pytest.mark.parametrize("name", ["melspectrogram.onnx", "alexa_v0.1.onnx", "silero_vad.onnx"])
def test_another_network_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "melspectrogram.onnx").write_bytes((packaged() / "melspectrogram.onnx").read_bytes())
    (tmp_path / "embedding_model.onnx").write_bytes((packaged() / name).read_bytes())
    with pytest.raises(ConfigError, match=r"embedding_model\.onnx cannot be used: "):
        open_features(tmp_path, 16)


def test_another_spectrum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "melspectrogram.onnx"
    for content in (MODEL.read_bytes(), b"not a network" * 100, b""):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="is not openWakeWord's spectrum"):
            Spectrum(path)
    with pytest.raises(ConfigError, match="No such file"):
        Spectrum(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("damaged", [b"\x0a", b"\x0a\x05ab", b"\x0d\x00\x00\x00\x00", b"\x80"])
def test_what_is_no_message_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="ONNX file"):
        list(_onnxfile.fields(damaged))


def test_what_was_read_is_written_as_it_was() -> None:
    model = MODEL.read_bytes()
    assert _onnxfile.message(_onnxfile.fields(model)) == model


def test_the_last_embeddings_are_those_of_real_sound_only() -> None:
    features = _features.open_features(packaged(), 17)
    hop = np.zeros(1280, np.int16)
    for taken in range(1, 30):
        features.take([hop])
        assert (features.last(16) is not None) == (taken >= 25)
        assert (features.last(16, before=1) is not None) == (taken >= 26)
