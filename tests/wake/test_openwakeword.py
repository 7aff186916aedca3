"""The decisions of the openWakeWord engine: which scores are a detection, and when; which phrases it accepts."""

import logging
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.speech import Samples, hops, say, silence
from voicebox.errors import ConfigError
from voicebox.onnx import Network
from voicebox.wake import openwakeword
from voicebox.wake.base import HOP, Detection, Phrase
from voicebox.wake.openwakeword import OpenWakeWord, built_in

JARVIS = Phrase("hey_jarvis")
WARM_UP = 25  # hops: 10 until an embedding sees only real audio, 15 more until hey_jarvis' sixteen do
VOICES = [
    "espeak:en-us",
    "espeak:en-gb+f3",
    "espeak:en-gb-scotland@140",
    "espeak:en-us+m3@190",
    "espeak:en-gb-x-rp+f2",
    "espeak:en-029+m5",
    "flite:kal",
    "flite:awb",
    "flite:rms",
    "flite:slt",
]
QUIET = np.zeros(HOP, np.int16)


def hear(engine: OpenWakeWord, *pieces: Samples) -> list[Detection]:
    return [detection for hop in hops(*pieces) for detection in engine.process(hop)]


class Scripted:
    """Stands in for a phrase network: gives the scores it is told, then 0."""

    def __init__(self, network: Network, scores: list[list[float]]) -> None:
        self._count: int = network.get_outputs()[0].shape[1]
        self._scores = iter(scores)
        self.get_inputs, self.get_outputs = network.get_inputs, network.get_outputs

    def run(self, outputs: None, inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        assert outputs is None
        assert len(inputs) == 1
        return [np.array([next(self._scores, [0.0] * self._count)], np.float32)]


def scripted(engine: OpenWakeWord, *scripts: list[list[float]]) -> list[list[str]]:
    """What ``engine`` detects while its phrases' networks give these scores, one row for each hop after the warm-up."""
    for _ in range(max(listener.window for listener in engine._listeners) + 8):
        assert engine.process(QUIET) == []
    for listener, scores in zip(engine._listeners, scripts, strict=True):
        listener._network = Scripted(listener._network, scores)
    return [[d.model for d in engine.process(QUIET)] for _ in range(max(map(len, scripts)))]


def column(*scores: float) -> list[list[float]]:
    return [[score] for score in scores]


def heard_at(rows: list[list[str]]) -> list[int]:
    return [index for index, row in enumerate(rows) if row]


# --- hearing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("voice", VOICES)
def test_hears_the_wake_word_once_from_every_voice(voice: str) -> None:
    (detection,) = hear(OpenWakeWord([JARVIS]), silence(2.5), say("hey jarvis", voice), silence(1))
    assert detection.model == "hey_jarvis"
    assert 0.5 <= detection.score <= 1.0


def test_ten_minutes_of_chatter_do_not_wake_it() -> None:
    """Everyday sentences in six voices, near misses such as "hey, Marcus" and "jar" among them."""
    sentences = (Path(__file__).parent / "chatter.txt").read_text().splitlines()
    engine = OpenWakeWord([JARVIS])
    seconds, turn = 0.0, 0
    while seconds < 600:
        sentence, voice = sentences[turn % len(sentences)], VOICES[(turn + turn // len(sentences)) % 6]
        spoken = say(sentence, voice)
        assert hear(engine, spoken) == [], f"woken by {sentence!r} in voice {voice}"
        seconds += spoken.size / 16_000
        turn += 1
    assert hear(engine, say("hey jarvis"), silence(0.5)), "it was deaf all along"


def test_several_phrases_at_once_are_told_apart() -> None:
    engine = OpenWakeWord([JARVIS, Phrase("alexa"), Phrase("weather"), Phrase("timer")])
    said = ["alexa", "hey jarvis", "what's the weather?", "set a five minute timer"]
    heard = [hear(engine, silence(4), say(text, "flite:rms"), silence(1)) for text in said]
    assert [[d.model for d in one] for one in heard] == [["alexa"], ["hey_jarvis"], ["weather"], ["5_minute_timer"]]


def test_a_model_given_by_path_scores_like_the_built_in_one(tmp_path: Path) -> None:
    path = shutil.copy(built_in()["hey_jarvis"], tmp_path / "mine.onnx")
    engine = OpenWakeWord([JARVIS, Phrase(str(path))])
    detections = hear(engine, silence(2), say("hey jarvis"), silence(0.5))
    assert [d.model for d in detections] == ["hey_jarvis", str(path)]
    assert detections[0].score == detections[1].score


@pytest.mark.parametrize("value", [32_767, -32_768])
def test_the_loudest_samples_there_are_give_finite_scores(value: int) -> None:
    engine = OpenWakeWord([JARVIS])
    assert hear(engine, np.full(40 * HOP, value, np.int16)) == []
    assert 0.0 <= engine.scores["hey_jarvis"] < 0.5


# --- deciding ------------------------------------------------------------------------------------------------------


def test_detects_at_the_threshold_and_not_below() -> None:
    rows = scripted(OpenWakeWord([Phrase("hey_jarvis", threshold=0.75)]), column(0.7499, 0.0, 0.75))
    assert heard_at(rows) == [2]


def test_patience_wants_consecutive_frames() -> None:
    rows = scripted(OpenWakeWord([Phrase("hey_jarvis", patience=3)]), column(0.9, 0.9, 0.4, 0.9, 0.9, 0.9, 0.0))
    assert heard_at(rows) == [5]


def test_each_phrase_has_its_own_threshold_and_patience() -> None:
    engine = OpenWakeWord([Phrase("hey_jarvis", threshold=0.3), Phrase("alexa", threshold=0.9, patience=2)])
    rows = scripted(engine, column(0.4, 0.0, 0.0, 0.0), column(0.8, 0.95, 0.95, 0.0))
    assert rows == [["hey_jarvis"], [], ["alexa"], []]


@pytest.mark.parametrize(("seconds", "frames"), [(2.0, 25), (0.8, 10), (0.81, 11), (0.0, 1)])
def test_refractory_time_is_audio_time(seconds: float, frames: int) -> None:
    rows = scripted(OpenWakeWord([JARVIS], refractory=seconds), column(*[0.9] * 60))
    assert heard_at(rows) == list(range(0, 60, frames))


def test_refractory_time_is_shared_within_a_phrase_and_with_no_other() -> None:
    one_minute, five_minutes = [0.0, 0.9, 0.0, 0, 0, 0, 0], [0.0, 0.0, 0.9, 0, 0, 0, 0]
    engine = OpenWakeWord([Phrase("timer"), JARVIS], refractory=0.24)
    rows = scripted(engine, [one_minute, five_minutes, five_minutes, five_minutes], column(0.0, 0.9, 0.0, 0.0))
    assert rows == [["1_minute_timer"], ["hey_jarvis"], [], ["5_minute_timer"]]


@pytest.mark.parametrize("wild", [math.nan, math.inf, -math.inf, -0.5, 1.5])
def test_what_is_no_score_never_detects_and_is_reported_once(wild: float, caplog: pytest.LogCaptureFixture) -> None:
    engine = OpenWakeWord([Phrase("hey_jarvis", threshold=0.01)])
    with caplog.at_level(logging.WARNING):
        assert heard_at(scripted(engine, column(wild, wild, wild))) == []
    assert engine.scores == {"hey_jarvis": 0.0}
    assert len(caplog.records) == 1
    assert "hey_jarvis" in caplog.text


def test_a_rounding_error_above_one_is_a_one() -> None:
    engine = OpenWakeWord([JARVIS])
    assert heard_at(scripted(engine, column(1.00001))) == [0]
    assert engine.scores == {"hey_jarvis": 1.0}


# --- only real audio counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "first"), [("hey_jarvis", 25), ("weather", 31), ("timer", 43)])
def test_nothing_is_detected_before_the_features_are_of_real_audio_only(model: str, first: int) -> None:
    """Even if the network would cry out at everything; after a reset as at the start."""
    engine = OpenWakeWord([Phrase(model)])
    listener = engine._listeners[0]
    listener._network = Scripted(listener._network, [[1.0] * 7] * 200)
    for _ in range(2):
        quiet = [engine.process(QUIET) for _ in range(first - 1)]
        assert not any(quiet)
        assert set(engine.scores.values()) == {0.0}
        assert engine.process(QUIET)
        engine.reset()


def test_a_reset_forgets_the_audio_before_it() -> None:
    """Scores after a gap are those of a fresh engine, bit for bit."""
    used, fresh = OpenWakeWord([JARVIS]), OpenWakeWord([JARVIS])
    hear(used, silence(3), say("hey jarvis", "flite:kal"))
    used.reset()
    for hop in hops(silence(1), say("hey jarvis"), silence(2)):
        assert used.process(hop) == fresh.process(hop)
        assert used.scores == fresh.scores


def test_a_reset_in_mid_phrase_breaks_the_phrase() -> None:
    engine = OpenWakeWord([JARVIS])
    first, second = np.array_split(say("hey jarvis"), 2)
    hear(engine, silence(3), first)
    engine.reset()
    assert hear(engine, second, silence(3)) == []
    assert len(hear(engine, say("hey jarvis"), silence(1))) == 1


def test_a_reset_ends_patience_and_refractory_time() -> None:
    patient = OpenWakeWord([Phrase("hey_jarvis", patience=2)], refractory=60)
    assert heard_at(scripted(patient, column(0.0, 0.9))) == []
    patient.reset()
    assert heard_at(scripted(patient, column(0.9, 0.9))) == [1]
    patient.reset()
    assert heard_at(scripted(patient, column(0.9, 0.9))) == [1]


# --- refusing ------------------------------------------------------------------------------------------------------


def refused(*models: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        OpenWakeWord([Phrase(model) for model in models])
    return caught.value.problems


def test_a_misspelt_phrase_is_refused_with_the_nearest_and_all_names() -> None:
    (problem,) = refused("hey_jarvs")
    assert "did you mean hey_jarvis?" in problem
    assert "alexa, hey_jarvis, hey_marvin, hey_mycroft, timer, weather" in problem


def test_all_problems_are_told_at_once() -> None:
    problems = refused("abracadabra", "/nowhere/mine.onnx", "alexa", "alexa")
    assert len(problems) == 3
    assert "abracadabra" in problems[0]
    assert "did you mean" not in problems[0]
    assert "/nowhere/mine.onnx cannot be read: No such file" in problems[1]
    assert "alexa is given twice" in problems[2]


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"not a network" * 100)
    assert refused(str(path)) == (f"wake word model {path} is not a usable ONNX file",)


@pytest.mark.parametrize("name", ["melspectrogram.onnx", "embedding_model.onnx", "silero_vad.onnx"])
def test_a_network_of_another_kind_is_refused(name: str) -> None:
    path = built_in()["alexa"].with_name(name)
    (problem,) = refused(str(path))
    assert str(path) in problem
    assert "was not made for openWakeWord" in problem


def test_a_path_model_with_several_outputs_is_refused() -> None:
    path = built_in()["timer"]
    (problem,) = refused(str(path))
    assert f"{path} has 7 outputs" in problem


@pytest.mark.parametrize(
    ("phrase", "wrong"),
    [
        (Phrase("alexa", threshold=0.0), "threshold"),
        (Phrase("alexa", threshold=1.1), "threshold"),
        (Phrase("alexa", threshold=math.nan), "threshold"),
        (Phrase("alexa", patience=0), "patience"),
    ],
)
def test_impossible_demands_are_refused(phrase: Phrase, wrong: str) -> None:
    with pytest.raises(ConfigError, match=f"alexa: the {wrong} must be"):
        OpenWakeWord([phrase])


def test_no_phrase_at_all_is_refused() -> None:
    assert "no wake word is given" in refused()[0]


def test_a_missing_package_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert refused("alexa") == ("the package openwakeword is missing; mend it with: pip install openwakeword==0.4.0",)


def test_a_package_without_models_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(openwakeword, "packaged", lambda: tmp_path)
    assert "pip install openwakeword==0.4.0" in refused("alexa")[0]


def test_a_missing_onnxruntime_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (problem,) = refused("alexa")
    assert "pip install onnxruntime" in problem


def test_neither_the_package_nor_what_it_drags_in_is_imported() -> None:
    """The 150 MB of openwakeword's own imports stay out of the daemon."""
    script = (
        "import sys; from voicebox.wake.base import Phrase; from voicebox.wake.openwakeword import OpenWakeWord\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "OpenWakeWord([Phrase('hey_jarvis')])\n"
        "print(*{'openwakeword', 'scipy', 'sklearn', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["onnxruntime"]
