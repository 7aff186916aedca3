"""What was played, on a line of 16 kHz samples."""

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.audio.reference import SECONDS, Downsampler, Reference

Samples = NDArray[np.int16]


def tone(seconds: float, rate: int, hertz: float = 440.0) -> Samples:
    return np.asarray(np.rint(8_000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)), np.int16)


def play(reference: Reference, sound: Samples, rate: int = 24_000, at: float = 10.0, period: int = 120) -> None:
    for start in range(0, sound.size, period):
        reference.heard(sound[start : start + period].tobytes(), rate, at + start / rate)
        if start % 7 == 0:
            reference.update()
    reference.update()


@pytest.mark.parametrize("rate", [16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("start", [1_000.0, 1_000.5, 1_003.125])
def test_it_can_be_read_between_its_samples_whatever_the_cards_rate(rate: int, start: float) -> None:
    reference = Reference()
    play(reference, tone(1.0, rate), rate)
    expected = 8_000 * np.sin(2 * np.pi * 440 * (start + np.arange(160)) / 16_000)
    assert np.abs(reference.read(start, 160) - expected).max() < 20


@pytest.mark.parametrize("rate", [24_000, 44_100, 48_000])
def test_hardly_anything_is_held_back(rate: int) -> None:
    sampler, given, made = Downsampler(rate), 0, 0
    for size in (1, 7, 480, 133, 960):
        given, made = given + size, made + sampler.process(np.ones(size, np.int16)).size
        assert given * 16_000 / rate - made < 17


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    heard = Downsampler(48_000).process(tone(0.5, 48_000, 11_000))
    assert np.abs(heard[100:]).max() < 80  # 40 dB


def test_an_index_is_known_by_its_time() -> None:
    reference = Reference()
    known = [reference.known]
    play(reference, tone(2.0, 24_000))
    assert [*known, reference.known] == [False, True]
    assert reference.index(11.0) == pytest.approx(16_000, abs=2)


def test_while_the_card_rests_the_line_goes_on_in_silence() -> None:
    reference = Reference()
    play(reference, tone(0.5, 24_000))
    assert reference.runs == 1
    play(reference, tone(0.5, 24_000), at=12.0)
    assert reference.runs == 2
    assert reference.index(12.25) == pytest.approx(2.25 * 16_000, abs=20)
    assert np.abs(reference.read(16_000, 8_000)).max() == 0
    assert np.abs(reference.read(2.1 * 16_000, 1_000)).max() > 7_000


def test_it_knows_where_the_last_sound_ended() -> None:
    reference = Reference()
    assert reference.sounding_until < -16_000
    sound = np.concatenate([tone(0.5, 24_000), np.zeros(24_000, np.int16), np.full(2_400, 5, np.int16)])
    play(reference, sound)
    assert abs(reference.sounding_until - 8_000) < 30  # what is fainter than -72 dBFS is no sound


def test_outside_of_what_is_kept_there_is_silence() -> None:
    reference = Reference()
    play(reference, np.full(24_000 * (SECONDS + 1), 1_000, np.int16))
    assert not reference.read(reference.end, 100)[50:].any()
    assert not reference.read(reference.end - (SECONDS + 0.5) * 16_000, 100).any()
    assert reference.read(reference.end - (SECONDS - 0.5) * 16_000, 100).min() > 990
    assert not reference.read(-500, 100).any()


def test_another_card_begins_a_new_run() -> None:
    reference = Reference()
    for rate, at in ((24_000, 10.0), (48_000, 10.5)):  # before anybody looks
        for start in range(0, rate // 2, 240):
            reference.heard(tone(0.5, rate)[start : start + 240].tobytes(), rate, at + start / rate)
    reference.update()
    assert reference.runs == 2
    assert reference.end == pytest.approx(16_000, abs=40)


def test_what_nobody_takes_in_does_not_pile_up() -> None:
    reference = Reference()
    for count in range(10_000):
        reference.heard(bytes(240), 24_000, count * 0.005)
    assert len(reference._waiting) <= 800
