"""What every wake word engine promises (voicebox/wake/base.py), asked of each module found there."""

import importlib
import pkgutil

import numpy as np
import pytest

import voicebox.wake
from tests.support.speech import hops, say, silence
from voicebox.assets import speech
from voicebox.errors import ConfigError
from voicebox.wake.base import HOP, Detection, Detector, Phrase

ENGINES = sorted(m.name for m in pkgutil.iter_modules(voicebox.wake.__path__) if m.name != "base" and m.name[0] != "_")
JARVIS = Phrase("hey_jarvis")


@pytest.fixture(params=ENGINES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def make(name: str, *phrases: Phrase, refractory: float = 2.0) -> Detector:
    detector: Detector = importlib.import_module(f"voicebox.wake.{name}").Engine(phrases, refractory)
    return detector


def hear(detector: Detector, *pieces: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> list[Detection]:
    return [detection for hop in hops(*pieces) for detection in detector.process(hop)]


def test_there_is_an_engine() -> None:
    assert ENGINES


def test_hears_the_wake_word_once_and_says_which(name: str) -> None:
    (detection,) = hear(make(name, JARVIS), silence(3), speech("wake"), silence(1))
    assert detection.model == "hey_jarvis"
    assert JARVIS.threshold <= detection.score <= 1.0


def test_hears_the_wake_word_again_after_the_refractory_time(name: str) -> None:
    detector = make(name, JARVIS)
    heard = [len(hear(detector, silence(3), speech("ask_time"), silence(1))) for _ in range(3)]
    assert heard == [1, 1, 1]


def test_hears_one_wake_word_only_within_the_refractory_time(name: str) -> None:
    twice = (silence(3), speech("wake"), silence(1), speech("wake"), silence(1))
    assert len(hear(make(name, JARVIS, refractory=4.0), *twice)) == 1
    assert len(hear(make(name, JARVIS, refractory=1.0), *twice)) == 2


def test_while_the_box_plays_something_other_demands_hold(name: str) -> None:
    demanding = Phrase("hey_jarvis", playing_threshold=1.0, playing_patience=50)
    for playing, heard in ((False, 1), (True, 0)):
        detector = make(name, demanding)
        pieces = (silence(3), speech("wake"), silence(1))
        assert len([d for hop in hops(*pieces) for d in detector.process(hop, playing=playing)]) == heard


def test_a_glance_takes_a_hop_or_leaves_it(name: str) -> None:
    """With or without it, the same is detected, and at the same hop."""
    glancing, plain = make(name, JARVIS), make(name, JARVIS)
    taken = []
    for hop in hops(silence(14), speech("wake"), silence(1)):
        taken.append(glancing.glance(hop))
        detected = [] if taken[-1] else glancing.process(hop)
        assert detected == plain.process(hop)
        assert glancing.scores == plain.scores
    assert not any(taken[:25]), "it knew nothing yet"


def test_a_stretch_of_sound_is_judged_by_itself_and_the_stream_goes_on_undisturbed(name: str) -> None:
    detector, undisturbed = make(name, JARVIS), make(name, JARVIS)
    spoken = np.concatenate(list(hops(silence(3), speech("wake"), silence(1))))
    scores = []
    for count, hop in enumerate(hops(silence(3), speech("wake"), silence(1))):
        assert detector.process(hop) == undisturbed.process(hop)
        if count % 10 == 0:
            assert detector.hears(np.concatenate(list(hops(silence(4)))))["hey_jarvis"] < 0.1
            assert detector.hears(spoken)["hey_jarvis"] > 0.9
        scores.append(detector.scores)
        assert detector.scores == undisturbed.scores
    assert detector.hears(spoken)["hey_jarvis"] == pytest.approx(max(s["hey_jarvis"] for s in scores), abs=1e-6)


@pytest.mark.parametrize("said", ["cut_in", "answer", "answer2"])
def test_other_shipped_speech_does_not_wake_it(name: str, said: str) -> None:
    assert hear(make(name, JARVIS), silence(3), speech(said), silence(1)) == []


def test_silence_scores_nothing(name: str) -> None:
    detector = make(name, JARVIS)
    assert hear(detector, silence(5)) == []
    assert 0.0 <= detector.scores["hey_jarvis"] < 0.1


def test_scores_are_zero_at_first_and_rise_with_the_wake_word(name: str) -> None:
    detector = make(name, JARVIS)
    assert detector.scores == {"hey_jarvis": 0.0}
    seen = []
    for hop in hops(silence(3), speech("wake"), silence(0.5)):
        detector.process(hop)
        seen.append(detector.scores["hey_jarvis"])
    assert min(seen) >= 0.0
    assert 0.9 < max(seen) <= 1.0


def test_after_a_reset_the_wake_word_is_heard_anew(name: str) -> None:
    detector = make(name, JARVIS, refractory=60.0)
    assert len(hear(detector, silence(3), speech("wake"), silence(1))) == 1
    detector.reset()
    assert detector.scores == {"hey_jarvis": 0.0}
    assert len(hear(detector, silence(3), speech("wake"), silence(1))) == 1


def test_a_reset_at_every_hop_keeps_it_deaf(name: str) -> None:
    detector = make(name, JARVIS)
    for hop in hops(silence(3), say("hey jarvis"), silence(1)):
        assert detector.process(hop) == []
        detector.reset()


def test_neither_changes_nor_keeps_the_samples(name: str) -> None:
    """The caller may use its buffer again."""
    detector, shared, heard = make(name, JARVIS), np.zeros(HOP, np.int16), []
    for hop in hops(silence(3), speech("wake"), silence(1)):
        shared[:] = hop
        heard += detector.process(shared)
        assert np.array_equal(shared, hop)
        shared[:] = 32_767
    assert len(heard) == 1


@pytest.mark.parametrize(
    "samples", [np.zeros(HOP - 1, np.int16), np.zeros((1, HOP), np.int16), np.zeros(HOP, np.float32)]
)
def test_anything_but_a_hop_of_int16_is_a_mistake_of_the_caller(
    name: str, samples: np.ndarray[tuple[int, ...], np.dtype[np.int16]]
) -> None:
    with pytest.raises(ValueError, match="1280"):
        make(name, JARVIS).process(samples)


def test_an_unknown_phrase_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="hey_jarvis"):
        make(name, Phrase("hey_jarvs"))


def test_no_phrase_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        make(name)
