"""No first word lost: what the bench proves over 500 wakes, over a few here; and that its account can tell."""

import asyncio
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK, CAPTURE_RATE
from voicebox.bench import _codes, preroll
from voicebox.bench._cold import ColdBox, cold_box, now
from voicebox.bench._figures import Options
from voicebox.core.events import SessionLost, SessionReady, WakeDetected
from voicebox.redial import JUMP_EVERY
from voicebox.services.base import discover
from voicebox.uplink import RING_SECONDS, STALE
from voicebox.virtualtime import run_virtual

Samples = NDArray[np.int16]

CHANCE = Random(1)  # noqa: S311  # delays, not secrets


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


# --- what may come between the wake word and the service -----------------------------------------------------------


async def woken(box: ColdBox) -> int:
    """Somebody says the wake word; where the pre-roll begins."""
    steps = len(box.steps)
    box.wake()
    _, event = await box.happened(WakeDetected, steps)
    assert isinstance(event, WakeDetected)
    return event.at - box.app.box.state.policy.preroll


def heard_from(box: ColdBox, begin: int) -> None:
    """The service has heard all from there on, but for what is being filled, and nothing else."""
    received, chunk = box.received, box.app.adapter.capabilities.uplink_chunk
    assert received.size > box.backend.position - begin - 2 * chunk
    assert np.array_equal(received, box.backend.mic[begin : begin + received.size])


def test_an_outage_longer_than_the_ring_usually_lasts_loses_nothing_if_the_owner_waits_for_it() -> None:
    async def main() -> None:
        async with cold_box("lira", CHANCE, VOICEBOX_CONVERSATION__CONNECT_TIMEOUT_S="120") as box:
            box.service.opens_at = now() + 33
            begin = await woken(box)
            await box.happened(SessionLost, 0)
            await box.happened(SessionReady, 0, within=120)
            assert box.backend.position - begin > RING_SECONDS * CAPTURE_RATE
            await asyncio.sleep(1)
            heard_from(box, begin)
            assert box.app.uplink.counts.dropped == 0

    run_virtual(main())


def test_the_wake_word_again_while_it_redials_goes_on_from_the_first() -> None:
    async def main() -> None:
        async with cold_box("lira", CHANCE) as box:
            box.service.opens_at = now() + 3
            begin = await woken(box)
            await box.happened(SessionLost, 0)
            await asyncio.sleep(JUMP_EVERY)  # from now on somebody who asks again need not wait
            assert await woken(box) > begin
            await box.happened(SessionReady, 0)
            await asyncio.sleep(1)
            heard_from(box, begin)

    run_virtual(main())


def test_a_link_lost_in_the_middle_of_the_pre_roll_repeats_nothing() -> None:
    """COM-06: what was said to the old connection is stale; the next hears what came after, two seconds of it at most
    from before it was ready."""

    async def main() -> None:
        async with cold_box("lira", CHANCE) as box:
            await woken(box)
            await box.happened(SessionReady, 0)
            box.service.break_off()
            await box.happened(SessionLost, 0)
            lost = box.backend.position - 2 * BLOCK  # it was noticed a moment later
            box.forget()
            await box.happened(SessionReady, len(box.steps))
            begin = max(lost, box.backend.position - STALE)
            await asyncio.sleep(1)
            first = box.backend.mic.tobytes().find(box.received[:64].tobytes()) // 2
            assert lost <= first < begin + box.app.adapter.capabilities.uplink_chunk
            heard_from(box, first)

    run_virtual(main())


# --- the account ---------------------------------------------------------------------------------------------------

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
    found = _codes.account(MEANT, received)
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
