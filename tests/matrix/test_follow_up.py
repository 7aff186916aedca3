"""After a reply: for how long each service may still be told something without the wake word, and what ends that."""

import asyncio

import pytest

from tests.matrix.witness import ONE_TURN, SERVICES, audio_up_since, capabilities, events
from tests.support.bounded import run_bounded
from tests.support.house import House, living, now
from voicebox.core.events import SpeakerDrained, TimerExpired
from voicebox.core.state import Phase

EVERY = [(service, duplex) for service in SERVICES for duplex in ("half", "full")]


def following_up(seconds: float) -> dict[str, str]:
    return {
        "VOICEBOX_CONVERSATION__FOLLOW_UP_S": str(seconds),
        "VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "20.0",
    }


def when(house: House, event: type) -> list[float]:
    return [at for at, step in house.steps if isinstance(step.event, event)]


def waits(house: House) -> bool:
    return house.app.box.state.follow_up


@pytest.mark.parametrize(("service", "duplex"), EVERY)
def test_without_time_to_follow_up_a_reply_ends_the_conversation(service: str, duplex: str) -> None:
    async def main() -> None:
        async with living(service=service, duplex=duplex, brain="parrot", options=following_up(0)) as house:
            await house.ask()
            await house.until_phase(Phase.IDLE)
            assert house.phases == [*ONE_TURN[:-2], Phase.IDLE]
            assert when(house, SpeakerDrained) == [now()]
            await asyncio.sleep(1.5)
            assert not house.app.session.connected
            assert audio_up_since(house, when(house, SpeakerDrained)[0] + 0.2) == []

    run_bounded(main())


@pytest.mark.parametrize(("service", "duplex"), EVERY)
def test_nobody_says_more_and_it_hangs_up_when_the_time_is_over(service: str, duplex: str) -> None:
    """The time counts from the moment the last sample was heard, not from when it was sent."""

    async def main() -> None:
        async with living(service=service, duplex=duplex, brain="parrot", options=following_up(4.0)) as house:
            await house.ask()
            await house.until_phase(Phase.LISTENING)
            assert house.app.box.state.follow_up
            await house.until_phase(Phase.IDLE)
            (drained,) = when(house, SpeakerDrained)
            assert now() - drained == pytest.approx(4.0, abs=0.01)
            last = house.steps[-1][1]
            assert isinstance(last.event, TimerExpired)
            assert last.before.follow_up
            assert not last.after.follow_up
            assert house.phases == ONE_TURN
            assert bool(audio_up_since(house, drained + 0.2)) is capabilities(house).streams

    run_bounded(main())


@pytest.mark.parametrize(("service", "duplex"), EVERY)
def test_whoever_speaks_in_that_time_is_answered_without_the_wake_word(service: str, duplex: str) -> None:
    """Also if they begin when it is nearly over."""

    async def main() -> None:
        async with living(service=service, duplex=duplex, brain="parrot", options=following_up(3.0)) as house:
            await house.ask()
            await house.until_phase(Phase.LISTENING)
            await asyncio.sleep(2.2)
            assert waits(house)
            house.say("cut_in")
            await asyncio.sleep(1.2)
            assert house.phase is Phase.LISTENING
            assert not waits(house)  # somebody speaks: it is an utterance like any other
            await house.until_phase(Phase.SPEAKING)
            await house.until_phase(Phase.LISTENING)
            assert waits(house)
            await house.until_phase(Phase.IDLE)
            assert len(house.simulator.connections) == 1
            assert len(events(house, SpeakerDrained)) == 2
            assert house.heard(2).size > 24_000

    run_bounded(main())


@pytest.mark.parametrize("service", SERVICES)
def test_a_wake_word_is_followed_by_the_usual_patience(service: str) -> None:
    """Nobody has been answered yet: ``listen_timeout_s`` counts."""

    async def main() -> None:
        async with living(service=service, duplex="half", brain="parrot", options=following_up(0)) as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            began = now()
            assert not house.app.box.state.follow_up
            await house.until_phase(Phase.IDLE)
            assert now() - began == pytest.approx(20.0, abs=1.0)

    run_bounded(main())
