"""Amplifiers that sleep: what the card is given so that they swallow no syllable, sample by sample."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.house import NO_FILE
from voicebox import parts
from voicebox.audio.amplifier import REST, Amplifier
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.playback import Playback
from voicebox.settings import load

PERIOD = 120
SLEEP_AFTER = 5.0
LOUD = 8_000


class Card:
    def __init__(self, amplifier: Amplifier | None = None) -> None:
        self.time = 0.0
        self.drained: list[int] = []
        self.playback = Playback(
            lambda reply_id, _: self.drained.append(reply_id), clock=lambda: self.time, amplifier=amplifier
        )

    def take(self, seconds: float) -> NDArray[np.int16]:
        """What it is given in this time; nothing while it rests."""
        pieces = []
        for _ in range(round(seconds * PLAYBACK_RATE / PERIOD)):
            if not self.playback.asleep:
                pieces.append(self.playback.pull(PERIOD, self.time, sleep_after=SLEEP_AFTER) or b"")
            self.time += PERIOD / PLAYBACK_RATE
        return np.frombuffer(b"".join(pieces), np.int16)

    def say(self, reply_id: int, seconds: float) -> None:
        self.playback.play(reply_id, np.full(round(seconds * PLAYBACK_RATE), LOUD, np.int16).tobytes())
        self.playback.finish(reply_id)

    def notice(self, seconds: float) -> None:
        self.playback.notify(np.full(round(seconds * PLAYBACK_RATE), LOUD, np.int16).tobytes())


def silent_before(heard: NDArray[np.int16]) -> float:
    """Seconds of silence before the first sound."""
    return float(np.flatnonzero(heard)[0]) / PLAYBACK_RATE


def woken() -> Amplifier:
    return Amplifier(pre_silence=0.3)


def test_the_first_sound_of_all_comes_after_the_pre_silence_and_is_whole() -> None:
    card = Card(woken())
    card.say(1, 0.5)
    heard = card.take(1.0)
    assert silent_before(heard) == 0.3
    assert np.count_nonzero(heard == LOUD) == 0.5 * PLAYBACK_RATE
    assert card.drained == [1]
    assert card.playback.underruns == 0


@pytest.mark.parametrize(("rest", "expected"), [(SLEEP_AFTER + 1, 0.3), (REST - 0.5, 0.0)])
def test_it_comes_again_only_after_a_rest(rest: float, expected: float) -> None:
    card = Card(woken())
    card.say(1, 0.5)
    card.take(0.8)
    card.take(rest)
    assert card.playback.asleep == (rest > SLEEP_AFTER)
    card.say(2, 0.5)
    assert silent_before(card.take(1.0)) == expected


def test_a_rest_of_a_stream_that_never_rests_counts_too() -> None:
    card = Card(Amplifier(pre_silence=0.3, rests=False))
    card.notice(0.1)
    card.take(REST + 1)
    card.say(1, 0.5)
    assert silent_before(card.take(1.0)) == 0.3


def test_our_own_sounds_wait_for_it_and_what_follows_does_not() -> None:
    card = Card(woken())
    card.notice(0.2)
    heard = card.take(0.5)
    assert silent_before(heard) == 0.3
    assert np.count_nonzero(heard == LOUD) == 0.2 * PLAYBACK_RATE
    card.say(1, 0.5)
    assert silent_before(card.take(0.5)) == 0.0


def test_a_reply_that_is_flushed_meanwhile_is_never_heard() -> None:
    card = Card(woken())
    card.say(1, 0.5)
    heard = [card.take(0.1)]
    flushed = card.playback.flush(1)
    heard.append(card.take(0.5))
    assert (flushed.reply_id, flushed.discarded) == (0, 12_000)
    assert not np.concatenate(heard).any()
    card.say(2, 0.1)
    heard_after = card.take(1.0)
    assert silent_before(heard_after) <= 0.3
    assert np.count_nonzero(heard_after) == 0.1 * PLAYBACK_RATE


def test_a_held_reply_does_not_wake_it_before_it_goes_on() -> None:
    card = Card(woken())
    card.playback.hold()
    card.say(1, 0.5)
    card.take(1.0)
    card.playback.resume()
    assert silent_before(card.take(1.0)) == 0.3


def test_without_it_a_sound_begins_at_once() -> None:
    card = Card()
    card.say(1, 0.5)
    assert silent_before(card.take(1.0)) == 0.0


@pytest.mark.parametrize(("amplifier", "sleeps"), [(Amplifier(), True), (Amplifier(rests=False), False)])
def test_the_stream_rests_unless_it_must_not(amplifier: Amplifier, sleeps: bool) -> None:
    card = Card(amplifier)
    card.say(1, 0.1)
    given = card.take(60.0)
    assert card.playback.asleep == sleeps
    assert given.size == pytest.approx((SLEEP_AFTER + 0.1 if sleeps else 60.0) * PLAYBACK_RATE, abs=PERIOD * 2)
    assert not given[2_400:].any()


def test_dither_takes_the_place_of_silence_and_touches_no_sound() -> None:
    card = Card(Amplifier(rests=False, dither=True))
    noise = card.take(30.0)
    assert set(noise.tolist()) == {-1, 0, 1}
    assert abs(float(noise.mean())) < 0.01
    assert min(np.abs(period).max() for period in noise.reshape(-1, PERIOD)) == 1
    card.say(1, 0.5)
    assert list(card.take(0.5)) == [LOUD] * 12_000
    card.playback.set_volume(0.0)
    card.say(2, 0.5)
    assert np.abs(card.take(1.0)[480:]).max() == 1


@pytest.mark.parametrize(
    ("written", "rests", "dither"), [("off", True, False), ("stream", False, False), ("dither", False, True)]
)
def test_the_owners_choice_arrives(written: str, rests: bool, dither: bool) -> None:
    environ = {"VOICEBOX_PLAYBACK__KEEP_AWAKE": written, "VOICEBOX_PLAYBACK__PRE_SILENCE_MS": "250"}
    backend: Any = parts.backend(load(NO_FILE, environ))
    amplifier = backend.speaker._amplifier
    assert (amplifier.rests, amplifier._dither, amplifier._pre_silence) == (rests, dither, 0.25)
