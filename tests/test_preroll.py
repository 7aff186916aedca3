"""No first word lost: what the bench proves over 500 wakes, over a few here; and that its account can tell."""

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK
from voicebox.bench import preroll
from voicebox.bench._figures import Options
from voicebox.services.base import discover

Samples = NDArray[np.int16]


def noise(samples: int) -> Samples:
    return np.random.default_rng(1).normal(0, 32, samples).astype(np.int16)


@pytest.mark.parametrize("service", discover())
def test_all_that_was_said_is_heard_once_over_a_cold_connection(service: str) -> None:
    figures = preroll.service_figures(service, Options(scale=0.01))
    assert [figure for figure in figures if not figure.ok] == []
    assert sum(figure.unit == "samples" for figure in figures) == 4


def test_the_waits_are_as_long_as_they_are_said_to_be() -> None:
    tally = preroll.repeat("lira", preroll.one_wake, 4, Random(3))  # noqa: S311  # delays, not secrets
    assert tally.wakes == len(tally.waited) == len(tally.behind) == 4
    assert 1.0 < max(tally.waited) < 3.5
    assert len({round(wait, 3) for wait in tally.waited}) == 4


MEANT = noise(16_000)


@pytest.mark.parametrize(
    ("received", "lost", "doubled"),
    [
        (MEANT, 0, 0),
        (np.zeros(0, np.int16), 16_000, 0),
        (np.delete(MEANT, slice(8_000, 8_800)), 800, 0),
        (np.concatenate([MEANT[:8_000], MEANT[7_200:]]), 0, 800),
        (np.concatenate([noise(800)[::-1], MEANT]), 0, 800),
        (MEANT[:-1], 1, 0),
    ],
    ids=["all", "nothing", "hole", "stutter", "foreign", "end"],
)
def test_the_account_tells_what_is_missing_and_what_is_too_much(received: Samples, lost: int, doubled: int) -> None:
    found = preroll.account(MEANT, received)
    assert found == pytest.approx((lost, doubled), abs=16)  # places are known by eight samples
    assert [amount > 0 for amount in found] == [lost > 0, doubled > 0]


def test_of_resampled_sound_one_sample_too_few_is_noticed() -> None:
    alike = MEANT + np.random.default_rng(2).normal(0, 3, MEANT.size).astype(np.int16)
    assert preroll.likeness(MEANT, alike) == (0, 0)
    assert preroll.likeness(MEANT, alike[:-BLOCK]) == (0, 0)  # it may still be in a resampler
    assert preroll.likeness(MEANT, np.delete(alike, 8_000))[0] > 6_000
    assert preroll.likeness(MEANT, np.insert(alike, 8_000, 0))[0] > 6_000
    assert preroll.likeness(MEANT, np.concatenate([alike, alike[:1_000]]))[1] > 500
    assert preroll.likeness(MEANT, np.concatenate([alike, np.zeros(1_000, np.int16)])) == (0, 0)
