"""When samples pass, told from callbacks that come when they can."""

import numpy as np
import pytest

from voicebox.audio.clock import StreamClock

RATE, BLOCK = 16_000, 320


def run(clock: StreamClock, seconds: float, *, ppm: float = 0.0, jitter: float = 0.001, first: int = 0) -> int:
    """Callbacks of a card whose crystal is slower by ``ppm``; returns the index after the last."""
    chance = np.random.default_rng(1)
    for index in range(first, first + round(seconds * RATE), BLOCK):
        clock.update(index, true_time(index, ppm) + chance.normal(0, jitter))
    return first + round(seconds * RATE)


def true_time(index: float, ppm: float = 0.0) -> float:
    return 50.0 + index * (1 + ppm * 1e-6) / RATE


def test_jitter_is_smoothed_away() -> None:
    clock = StreamClock(RATE)
    last = run(clock, 10)
    assert abs(clock.time(last) - true_time(last)) < 0.0005
    times = []
    chance = np.random.default_rng(2)
    for index in range(last, last + 50 * BLOCK, BLOCK):
        clock.update(index, true_time(index) + chance.normal(0, 0.001))
        times.append(clock.time(index))
    assert np.abs(np.diff(times) - BLOCK / RATE).max() < 0.0001


@pytest.mark.parametrize("ppm", [-100.0, 0.0, 100.0])
def test_the_crystals_rate_is_learnt(ppm: float) -> None:
    clock = StreamClock(RATE)
    last = run(clock, 60, ppm=ppm)
    ahead = last + 10 * RATE
    assert abs(clock.time(ahead) - true_time(ahead, ppm)) < 0.0007


def test_index_is_times_inverse() -> None:
    clock = StreamClock(RATE)
    last = run(clock, 5, ppm=80)
    assert clock.index(clock.time(last + 123.25)) == pytest.approx(last + 123.25, abs=1e-3)


def test_one_callback_that_comes_very_late_means_nothing() -> None:
    clock = StreamClock(RATE)
    last = run(clock, 10)
    before = [clock.time(last), clock.time(last + 10 * RATE)]
    clock.update(last, true_time(last) + 0.2)
    assert [clock.time(last), clock.time(last + 10 * RATE)] == pytest.approx(before, abs=0.0005)


def test_a_step_that_lasts_is_believed() -> None:
    clock = StreamClock(RATE)
    last = run(clock, 10)
    for index in range(last, last + 3 * BLOCK, BLOCK):
        assert abs(clock.time(index) - true_time(index)) < 0.001
        clock.update(index, true_time(index) + 0.3)
    assert abs(clock.time(last) - true_time(last) - 0.3) < 0.001


def test_opened_anew_it_still_knows_the_crystal() -> None:
    clock = StreamClock(RATE)
    run(clock, 60, ppm=100)
    clock.restart()
    known = [clock.known]
    clock.update(0, 7.0)
    assert [*known, clock.known] == [False, True]
    assert clock.time(100 * RATE) == pytest.approx(7.0 + 100 * (1 + 100e-6), abs=0.003)
