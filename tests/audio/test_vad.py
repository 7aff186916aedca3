"""Utterances are found where they are, whatever the blocks they come in."""

import numpy as np
import pytest

from tests.support.speech import noise, say, silence
from voicebox.audio.pcm import Samples
from voicebox.audio.vad import FAINT, TAIL, WINDOW, Endpoint, Endpointer, Silero, SpeechBegan, SpeechEnded

RATE = 16_000
LOUD, QUIET = 1000, 0


class Loudness:
    """Speech is what is loud."""

    def __init__(self) -> None:
        self.asked = self.resets = 0

    def probability(self, window: Samples) -> float:
        assert window.shape == (WINDOW,)
        self.asked += 1
        return float(window.mean() / LOUD)

    def reset(self) -> None:
        self.resets += 1


def blocks(*stretches: tuple[int, int]) -> Samples:
    """(windows, value) one after another."""
    return np.concatenate([np.full(count * WINDOW, value, np.int16) for count, value in stretches])


def found(endpointer: Endpointer, samples: Samples, start: int = 0, size: int = 320) -> list[Endpoint]:
    cut = range(0, len(samples), size)
    return [event for at in cut for event in endpointer.feed(start + at, samples[at : at + size])]


@pytest.mark.parametrize("size", [1, 320, 512, 1600, 10**6])
def test_zbe_56_an_utterance_ends_after_700_ms_of_silence(size: int) -> None:
    """Exactly, and the same in bursts as live"""
    sound = blocks((10, QUIET), (20, LOUD), (10, QUIET), (20, LOUD), (60, QUIET))
    assert found(Endpointer(Loudness()), sound, 16_000, size) == [
        SpeechBegan(16_000 + 10 * WINDOW),
        SpeechEnded(16_000 + 60 * WINDOW + 700 * 16),
    ]


def test_zbe_56_a_pause_longer_than_that_makes_two_utterances() -> None:
    sound = blocks((20, LOUD), (25, QUIET), (20, LOUD), (25, QUIET))
    assert [type(event) for event in found(Endpointer(Loudness()), sound)] == [SpeechBegan, SpeechEnded] * 2


def test_zbe_56_less_than_300_ms_of_speech_is_no_utterance() -> None:
    """LIKU-42: the device tells speech from silence."""
    assert found(Endpointer(Loudness()), blocks((9, LOUD), (60, QUIET))) == []
    assert len(found(Endpointer(Loudness()), blocks((10, LOUD), (60, QUIET)))) == 2
    assert found(Endpointer(Loudness()), blocks(*[(9, LOUD), (23, QUIET)] * 5)) == [], "coughs do not add up"


def test_zbe_25_zbe_56_an_utterance_is_cut_so_that_it_lasts_20_s_with_its_pre_roll() -> None:
    endpointer = Endpointer(Loudness(), preroll_ms=500)
    first, cut, second, *_ = found(endpointer, blocks((5, QUIET), (1000, LOUD)))
    assert first == SpeechBegan(5 * WINDOW)
    assert cut == SpeechEnded(5 * WINDOW + 20 * RATE - RATE // 2, cut=True)
    assert isinstance(second, SpeechBegan)
    assert 0 <= second.at - cut.at < WINDOW, "who goes on speaking goes on being heard"


NAME = 20 * WINDOW  # where the wake word ends


@pytest.mark.parametrize("recognised", [NAME - TAIL, NAME, NAME + RATE])
def test_zbe_56_the_wake_word_alone_is_no_utterance_for_two_seconds(recognised: int) -> None:
    """A question after a pause that would else have ended it belongs to it, and ends as any other."""
    endpointer = Endpointer(Loudness())
    endpointer.called(recognised)
    endpointer.reset()  # a conversation begins
    events = found(endpointer, blocks((20, LOUD), (60, QUIET), (20, LOUD), (60, QUIET)))
    assert events == [SpeechBegan(0), SpeechEnded(100 * WINDOW + 7 * RATE // 10)]


def test_the_wake_word_alone_becomes_an_utterance_in_the_end() -> None:
    endpointer = Endpointer(Loudness())
    endpointer.called(NAME)
    assert found(endpointer, blocks((20, LOUD), (80, QUIET))) == [SpeechBegan(0), SpeechEnded(NAME + 2 * RATE)]


def test_whoever_spoke_on_after_the_wake_word_has_spoken() -> None:
    endpointer = Endpointer(Loudness())
    endpointer.called(NAME - TAIL - 1)
    assert found(endpointer, blocks((20, LOUD), (60, QUIET))) == [SpeechBegan(0), SpeechEnded(NAME + 7 * RATE // 10)]


def test_a_gap_is_silence_and_the_network_forgets_what_was_before() -> None:
    detector = Loudness()
    endpointer = Endpointer(detector)
    speech = blocks((20, LOUD))
    assert found(endpointer, speech) == [SpeechBegan(0)]
    before = detector.resets
    assert found(endpointer, speech, len(speech) + 320) == [], "20 ms are nothing"
    assert detector.resets == before + 1
    end = 2 * len(speech) + 320
    events = found(endpointer, speech, end + RATE)
    assert isinstance(events[0], SpeechEnded)
    assert end - WINDOW < events[0].at - 700 * 16 <= end
    assert events[1] == SpeechBegan(end + RATE)


def test_reset_forgets_an_utterance_that_is_going_on() -> None:
    endpointer = Endpointer(Loudness())
    found(endpointer, blocks((20, LOUD)))
    before = endpointer.speaking
    endpointer.reset()
    assert (before, endpointer.speaking) == (True, False)
    assert found(endpointer, blocks((60, QUIET)), 20 * WINDOW) == []


def test_less_probability_is_enough_to_go_on_than_to_begin() -> None:
    endpointer = Endpointer(Loudness())
    assert found(endpointer, blocks((20, 400))) == []
    sound = blocks((20, LOUD), (60, 400), (60, QUIET))
    began, ended = found(endpointer, sound, 20 * WINDOW)
    assert ended.at - began.at == 80 * WINDOW + 700 * 16


@pytest.fixture(scope="module")
def silero() -> Silero:
    return Silero()


@pytest.mark.parametrize("gain", [0, -20])
@pytest.mark.parametrize("voice", ["flite:rms", "flite:slt", "espeak:en-us", "espeak:en-gb+f3", "flite:awb"])
def test_zbe_56_silero_finds_a_sentence(silero: Silero, voice: str, gain: int) -> None:
    """Loud or quiet (down to -44 dBFS), over the hiss of a microphone"""
    spoken = np.concatenate([silence(1), say("what time is it in London now", voice), silence(2)])
    hiss = noise(len(spoken) / RATE, -70)[: len(spoken)]
    sound = (spoken * 10 ** (gain / 20)).astype(np.int16) + hiss
    began, ended = found(Endpointer(silero), sound)
    loud = np.flatnonzero(np.abs(spoken) > 1000)
    assert isinstance(began, SpeechBegan)
    assert loud[0] - 0.1 * RATE < began.at < loud[0] + 0.3 * RATE, "a pre-roll of 300 ms covers the rest"
    assert isinstance(ended, SpeechEnded)
    assert loud[-1] < ended.at < loud[-1] + 1.2 * RATE


@pytest.mark.parametrize("pink", [False, True])
def test_silero_hears_no_speech_in_noise(silero: Silero, pink: bool) -> None:
    assert found(Endpointer(silero), noise(5, -30, pink=pink)) == []


def test_silero_is_not_asked_about_silence(silero: Silero, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr(silero, "_network", refuse)
    assert silero.probability(noise(1, FAINT - 3)[:WINDOW]) == 0.0


def test_silero_scores_alike_after_a_reset(silero: Silero) -> None:
    spoken = say("hello there")
    silero.reset()
    first = [silero.probability(spoken[at : at + WINDOW]) for at in range(0, 20 * WINDOW, WINDOW)]
    silero.reset()
    assert [silero.probability(spoken[at : at + WINDOW]) for at in range(0, 20 * WINDOW, WINDOW)] == first
    assert max(first) > 0.9
