"""The box's own sounds: heard at once, over whatever else is heard, and no part of any reply."""

import numpy as np
import pytest

from voicebox.audio import pcm as sound
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.playback import FADE, Playback

REPLY = 7


class Card:
    """Pulls from a Playback; what is handed over at once sounds."""

    def __init__(self, rate: int = PLAYBACK_RATE) -> None:
        self.drained: list[int] = []
        self.woken = 0
        self.time = 100.0
        self.rate = rate
        self.playback = Playback(lambda reply_id, _: self.drained.append(reply_id), clock=self.now, wake=self.wake)
        self.playback.open_card(rate)

    def now(self) -> float:
        return self.time

    def wake(self) -> None:
        self.woken += 1

    def pull(self, frames: int, **more: float) -> sound.Samples:
        out = self.playback.pull(frames, self.time, **more)
        self.time += frames / self.rate
        return sound.from_bytes(out or b"")


def tone(count: int, value: int) -> bytes:
    return sound.to_bytes(np.full(count, value, np.int16))


def test_a_notice_in_silence_is_heard_and_nobody_is_told_of_its_end() -> None:
    card = Card()
    card.playback.notify(tone(300, 5))
    assert card.playback.buffered == 0
    assert list(card.pull(480)) == [5] * 300 + [0] * 180
    assert card.playback.playing == (0, 0)
    assert not card.pull(480).any()
    assert card.drained == []


def test_over_a_reply_it_changes_neither_its_sound_nor_its_end() -> None:
    card = Card()
    card.playback.play(REPLY, tone(960, 100))
    card.playback.finish(REPLY)
    card.pull(240)
    card.playback.notify(tone(480, 5))
    assert list(card.pull(720)) == [105] * 480 + [100] * 240
    assert card.drained == [REPLY]


def test_a_notice_longer_than_the_reply_does_not_delay_its_end() -> None:
    card = Card()
    card.playback.play(REPLY, tone(240, 100))
    card.playback.finish(REPLY)
    card.playback.notify(tone(960, 5))
    assert list(card.pull(480)) == [105] * 240 + [5] * 240
    assert card.drained == [REPLY]
    assert list(card.pull(480)) == [5] * 480


def test_a_flush_cuts_the_reply_and_not_the_notice() -> None:
    card = Card()
    card.playback.play(REPLY, tone(24_000, 100))
    card.pull(240)
    card.playback.notify(tone(1200, 5))
    flushed = card.playback.flush(REPLY)
    fade = round(FADE * PLAYBACK_RATE)
    assert flushed.reply_id == REPLY
    assert flushed.discarded == 24_000 - 240 - fade
    out = card.pull(1200)
    assert list(out[fade:]) == [5] * (1200 - fade)
    card.playback.play(REPLY + 1, tone(240, 50))
    assert list(card.pull(240)) == [50] * 240


def test_a_reply_begins_under_a_notice() -> None:
    card = Card()
    card.playback.notify(tone(480, 5))
    card.pull(240)
    card.playback.play(REPLY, tone(480, 100))
    assert list(card.pull(480)) == [105] * 240 + [100] * 240
    assert card.playback.underruns == 0


def test_both_together_are_clipped_and_do_not_wrap() -> None:
    card = Card()
    card.playback.play(REPLY, tone(10, 32_000))
    card.playback.notify(tone(10, 1_000))
    assert list(card.pull(10)) == [32_767] * 10


def test_a_sleeping_card_is_woken() -> None:
    card = Card()
    card.pull(480, sleep_after=0.0)
    assert card.playback.asleep
    card.playback.notify(tone(480, 5))
    assert card.woken == 1
    assert list(card.pull(480, sleep_after=0.0)) == [5] * 480
    assert not card.playback.asleep


@pytest.mark.parametrize("pause", [480, 24_000])
def test_a_volume_set_in_silence_is_that_of_its_first_sample(pause: int) -> None:
    """Awake (20 ms of silence) or asleep."""
    card = Card()
    card.pull(480)
    card.pull(pause, sleep_after=0.5)
    card.playback.set_volume(0.5)
    card.playback.duck(on=True)
    card.playback.notify(tone(480, 8_000))
    assert list(card.pull(480)) == [1_000] * 480
    card.playback.play(REPLY, tone(480, 8_000))
    assert card.pull(480)[0] == round(1_000 * 10 ** (-12 / 20))


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_it_is_heard_at_the_cards_rate(rate: int) -> None:
    card = Card(rate)
    card.playback.notify(tone(2_400, 1000))  # 0.1 s
    out = card.pull(rate // 5)
    assert np.count_nonzero(np.abs(out) > 500) == pytest.approx(rate / 10, rel=0.01)


def test_another_card_does_not_play_the_rest_at_a_wrong_rate() -> None:
    card = Card()
    card.playback.notify(tone(2_400, 1000))
    card.playback.open_card(48_000)
    assert not card.pull(480).any()


def test_a_newer_notice_takes_the_place_of_an_older_one_without_a_click() -> None:
    card = Card()
    card.playback.notify(tone(4_800, 8_000))
    assert list(card.pull(240)) == [8_000] * 240
    card.playback.notify(tone(480, 100))
    out = card.pull(960)
    fade = round(FADE * PLAYBACK_RATE)
    assert list(out[fade:]) == [100] * (480 - fade) + [0] * 480
    assert np.abs(np.diff(np.concatenate([[8_000], out[:fade]]).astype(int))).max() < 300
    assert out[0] > 7_000


@pytest.mark.parametrize("rate", [24_000, 44_100])
def test_an_empty_notice_only_ends_the_one_before(rate: int) -> None:
    card = Card(rate)
    card.playback.notify(tone(24_000, 8_000))
    card.pull(rate // 10)
    card.playback.notify(b"")
    out = card.pull(rate // 10).astype(int)
    fade = round(FADE * rate)
    assert np.abs(np.diff(np.concatenate([[8_000], out]))).max() < 300
    assert out[:fade].any()
    assert not out[fade:].any()
    card.playback.notify(b"")
    assert not card.pull(rate // 10).any()
