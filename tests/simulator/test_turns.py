"""LIRA-46: turns are found by the energy of what is heard, counted in samples."""

from itertools import pairwise

import numpy as np
import pytest

from tests.simulator.client import SILENCE, noise
from voicebox.assets import speech, speech_names
from voicebox.simulator.turns import SpeechStarted, Turn, Turns

SPOKEN = [name for name in speech_names() if not name.startswith("answer")]


def events_of(pcm: bytes, chunk: int) -> list[SpeechStarted | Turn]:
    turns = Turns()
    return [event for at in range(0, len(pcm), chunk) for event in turns.feed(pcm[at : at + chunk])]


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("chunk", [2, 640, 3200, 4096, 10**9], ids=["1sample", "20ms", "100ms", "odd", "backlog"])
def test_every_shipped_utterance_is_one_turn_however_it_arrives(name: str, chunk: int) -> None:
    """LIRA-46: the pre-roll comes faster than real time."""
    said = speech(name).tobytes()
    started, turn = events_of(SILENCE + said + SILENCE, chunk)
    assert isinstance(started, SpeechStarted)
    assert isinstance(turn, Turn)
    assert turn == events_of(SILENCE + said + SILENCE, 640)[1]


@pytest.mark.parametrize("name", SPOKEN)
def test_a_turn_holds_all_that_was_said_and_some_quiet_at_either_end(name: str) -> None:
    """LIRA-46: parrot repeats the first and the last sound."""
    said = speech(name).tobytes()
    turn = events_of(SILENCE + said + SILENCE, 640)[1]
    assert isinstance(turn, Turn)
    loud = np.flatnonzero(np.abs(np.frombuffer(said, "<i2").astype(int)) > 600)
    core = said[2 * int(loud[0]) : 2 * int(loud[-1]) + 2]
    before, found, after = turn.pcm.partition(core)
    assert found
    assert 0.15 * 32_000 <= len(before) <= 0.45 * 32_000
    assert 0.1 * 32_000 <= len(after) <= 0.45 * 32_000


def test_speech_has_started_after_200_ms_and_ended_after_700_ms_of_quiet() -> None:
    """LIRA-46, the numbers."""
    turns = Turns()
    burst = noise(1.0, -20)
    events = [
        (at, type(event))
        for at in range(200)
        for event in turns.feed((SILENCE[:32_000] + burst + SILENCE + SILENCE)[640 * at : 640 * (at + 1)])
    ]
    assert events == [(50 + 9, SpeechStarted), (100 + 34, Turn)]


def test_a_cough_is_no_turn() -> None:
    """LIRA-46: less than 200 ms."""
    assert events_of(SILENCE + noise(0.18, -20) + SILENCE, 640) == []


def test_two_sentences_with_a_long_pause_are_two_turns_and_with_a_short_one_are_one() -> None:
    said = speech("wake").tobytes()
    assert [type(e) for e in events_of(said + SILENCE + said + SILENCE, 640)] == [SpeechStarted, Turn] * 2
    assert [type(e) for e in events_of(said + SILENCE[:9600] + said + SILENCE, 640)] == [SpeechStarted, Turn]


def test_turns_never_share_a_sample() -> None:
    """What leads up to a turn does not belong to the one before."""
    spoken, pause = noise(1.0, -20), noise(0.72, -70)  # no stretch of it is like another
    sound = b"".join(spoken[at : at + 16_000] + pause[: 23_040 - 2 * at] + pause[at:] for at in (0, 4000, 8000))
    turns = [event.pcm for event in events_of(sound + SILENCE, 640) if isinstance(event, Turn)]
    assert len(turns) == 3
    places = [(sound.find(pcm), sound.find(pcm) + len(pcm)) for pcm in turns]
    assert all(start >= 0 for start, _ in places)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))


def test_the_end_of_the_stream_ends_the_turn_to_the_last_sample() -> None:
    """LIRA-46: push-to-talk has no hang-over."""
    turns = Turns()
    said = speech("wake").tobytes()[:20_002]
    assert [type(event) for event in turns.feed(said)] == [SpeechStarted]
    (turn,) = turns.finish()
    assert turn.pcm == said
    assert turns.finish() == []
    assert turns.feed(SILENCE) == []


def test_noise_without_end_is_no_turn_without_end() -> None:
    """A fan is learnt within seconds; whatever else happens, no turn is longer than 30 s."""
    turns = [event for event in events_of(noise(20, -30), 640) if isinstance(event, Turn)]
    assert len(turns) == 1
    assert turns[0].seconds < 5
    waves = (noise(1.0, -12) + SILENCE[:6400]) * 40
    longest = [event.seconds for event in events_of(waves, 640) if isinstance(event, Turn)]
    assert longest
    assert longest[0] == pytest.approx(30.0)
