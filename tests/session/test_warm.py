"""Kept warm: after a conversation the connection stays for a while, deaf and dumb; and a connection that must end soon
is replaced in a quiet moment. COM-06: nothing the microphone hears leaves the box outside a conversation."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.support.house import House, living, now
from tests.support.session import Line, running
from tests.support.vendor import cut
from voicebox import pumps
from voicebox.core.events import ButtonPressed, ButtonTapped, Event, SessionEnded, SessionLost, SessionReady
from voicebox.core.state import Phase
from voicebox.services import lira
from voicebox.services.base import Rate
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual

WARM = 20.0
OPTIONS = {
    "VOICEBOX_SESSION__KEEP_WARM_S": str(WARM),
    "VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "2",
    "VOICEBOX_CONVERSATION__FOLLOW_UP_S": "2",
}


@asynccontextmanager
async def warm(**more: Any) -> AsyncIterator[House]:
    async with living(options=OPTIONS, **more) as house:
        yield house


async def parked(house: House) -> None:
    """One conversation, from its first word to its end."""
    await house.ask()
    await house.until_phase(Phase.IDLE)
    await asyncio.sleep(0.5)  # what was on its way has arrived


def tap(house: House) -> None:
    house.app.box.dispatch(ButtonPressed(house.backend.position))
    house.app.box.dispatch(ButtonTapped(house.backend.position))


def of(house: House, kind: type[Event]) -> list[Event]:
    return [step.event for _, step in house.steps if isinstance(step.event, kind)]


def test_two_conversations_are_one_connection_and_the_second_begins_at_once() -> None:
    async def main() -> House:
        async with warm(brain="parrot") as house:
            await parked(house)
            woken = now()
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            assert now() - woken <= 0.15
            house.say()
            await house.until_phase(Phase.SPEAKING)
            await house.until_phase(Phase.IDLE)
            return house

    house = run_virtual(main())
    assert len(house.simulator.connections) == 1
    assert len(of(house, SessionReady)) == 2
    assert house.heard(2).tobytes() == bytes(house.wire.sent_pcm[2])


@pytest.mark.parametrize("duplex", ["half", "full"])
def test_com_06_nothing_is_streamed_while_parked(duplex: str) -> None:
    async def main() -> tuple[int, int, int]:
        async with warm(brain="parrot", duplex=duplex) as house:
            await parked(house)
            before = len(house.received())
            sent = house.app.uplink.counts.sent
            house.say()  # they talk to each other
            await asyncio.sleep(8)
            assert house.app.session.connected
            return before, len(house.received()), house.app.uplink.counts.sent - sent

    before, after, sent = run_virtual(main())
    assert before == after
    assert sent == 0


def test_it_closes_in_good_order_when_its_time_is_over() -> None:
    async def main() -> House:
        async with warm(brain="parrot") as house:
            await house.ask()
            await house.until_phase(Phase.IDLE)
            idle = now()
            await asyncio.sleep(WARM - 0.1)
            assert house.app.session.connected
            await house.app.session.closed()
            assert now() - idle == pytest.approx(WARM, abs=0.1)
            await asyncio.sleep(1)
            return house

    house = run_virtual(main())
    assert house.received()[-1].text == '{"type":"leave"}'
    assert of(house, SessionLost) == of(house, SessionEnded) == []


def test_each_conversation_gives_it_the_whole_time_anew() -> None:
    async def main() -> None:
        async with warm(brain="parrot") as house:
            await parked(house)
            await asyncio.sleep(WARM - 3)
            await parked(house)
            await asyncio.sleep(WARM - 3)
            assert house.app.session.connected
            assert len(house.simulator.connections) == 1

    run_virtual(main())


def test_a_reply_that_still_comes_while_parked_is_never_heard() -> None:
    async def main() -> House:
        async with warm() as house:
            await house.ask()
            await asyncio.sleep(1)
            tap(house)  # interrupts
            tap(house)  # ends
            house.app.session._dispatch = unexpected
            await house.until_phase(Phase.IDLE)
            await asyncio.sleep(3)
            house.app.session._dispatch = house.app.box.dispatch
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            await asyncio.sleep(1)
            return house

    def unexpected(event: Event) -> None:
        raise AssertionError(f"reported while parked: {event}")

    house = run_virtual(main())
    assert house.stale(house.cuts[0]) == 0
    assert {reply for reply, _, _ in house.backend.speaker.spoken} == {1}


def test_the_answer_to_what_was_said_before_is_not_heard_in_the_next_conversation() -> None:
    """Asked, ended by the button before the answer came, and woken again while it comes."""

    async def main() -> House:
        async with warm() as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            await asyncio.sleep(house.say() + 0.1)
            tap(house)
            await asyncio.sleep(1)  # the answer to it is on its way
            assert house.wire.sent_pcm
            assert house.phases[-2:] == [Phase.LISTENING, Phase.IDLE]
            await house.wake()
            await asyncio.sleep(1.5)
            assert house.phase is Phase.LISTENING
            return house

    house = run_virtual(main())
    assert house.backend.speaker.spoken == []
    assert len(house.simulator.connections) == 1


def test_a_connection_lost_while_parked_is_silent_and_the_next_wake_dials() -> None:
    async def main() -> House:
        async with warm(brain="parrot") as house:
            await parked(house)
            cut(house.simulator)
            await asyncio.sleep(3)
            assert not house.app.session.connected
            assert len(house.simulator.connections) == 1
            await house.ask()
            return house

    house = run_virtual(main())
    assert len(house.simulator.connections) == 2
    assert of(house, SessionLost) == of(house, SessionEnded) == []
    assert house.faults == set()


def test_a_stop_closes_a_parked_connection_at_once() -> None:
    async def main() -> tuple[House, float]:
        async with warm(brain="parrot") as house:
            await parked(house)
            house.stop.set()
            told = now()
            await house.running
            return house, now() - told

    house, took = run_virtual(main())
    assert took <= 1.0
    assert house.received()[-1].text == '{"type":"leave"}'


def test_the_cap_and_the_longest_session_end_a_parked_connection_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumps, "COUNT_EVERY", 1.0)

    async def main(limit: str) -> House:
        limited = OPTIONS | {limit: str(12 / 60)}
        async with living(brain="parrot", options=limited) as house:
            await parked(house)
            assert house.app.session.connected
            async with asyncio.timeout(12):
                await house.app.session.closed()
            await asyncio.sleep(0.1)
            assert house.faults == set()
            return house

    for limit in ("VOICEBOX_SESSION__DAILY_MINUTES", "VOICEBOX_SESSION__MAX_MINUTES"):
        house = run_virtual(main(limit))
        assert house.received()[-1].text == '{"type":"leave"}'


def test_without_it_the_connection_closes_with_the_conversation() -> None:
    async def main() -> None:
        async with living(brain="parrot", options={"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "2"}) as house:
            await parked(house)
            assert not house.app.session.connected

    run_virtual(main())


# --- the service's own limit ---------------------------------------------------------------------------------------


@asynccontextmanager
async def limited(monkeypatch: pytest.MonkeyPatch, **more: Any) -> AsyncIterator[House]:
    monkeypatch.setattr(pumps, "PLAN_AHEAD", 5.0)
    monkeypatch.setattr(lira.Service, "capabilities", replace(lira.Service.capabilities, session_limit=9.0))
    options = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "60"}
    async with living(options=options, **more) as house:
        yield house


def test_it_is_redialled_before_the_services_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> House:
        async with limited(monkeypatch) as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            ready = now()
            await house.until(lambda: bool(of(house, SessionLost)))
            assert now() - ready == pytest.approx(4.0, abs=0.2)
            await house.until_phase(Phase.LISTENING, within=3)
            house.say()
            await house.until_phase(Phase.SPEAKING)
            return house

    house = run_virtual(main())
    assert len(house.simulator.connections) == 2
    assert house.received(0)[-1].text == '{"type":"leave"}'
    assert house.faults == set()


def test_but_only_in_a_quiet_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> House:
        async with limited(monkeypatch) as house:
            await house.ask()
            while not of(house, SessionLost):
                phase = house.phase
                await asyncio.sleep(0.02)
            assert phase is Phase.LISTENING
            assert not house.app.hearing.speaking
            return house

    house = run_virtual(main())
    assert house.heard(1).tobytes() == bytes(house.wire.sent_pcm[1])
    assert house.heard(1).size > 5 * 24_000  # it was not quiet for more than the time that was planned


# --- limits on the wire --------------------------------------------------------------------------------------------


def most_within(seconds: float, times: Iterable[float]) -> int:
    ordered = sorted(times)
    return max(sum(first <= at < first + seconds for at in ordered) for first in ordered)


def test_the_services_rates_are_kept_on_the_wire_and_over_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = (Rate("audio", 5, 1.0), Rate("text", 3, 2.0), Rate("any", 6, 1.0))
    monkeypatch.setattr(lira.Service, "capabilities", replace(lira.Service.capabilities, rates=rates))

    async def main() -> Simulator:
        async with Simulator(keep=True) as simulator:
            line = Line(simulator.url, token=simulator.token, meeting=simulator.meeting_id)
            async with running(line):
                for number in (1, 2):
                    line.session.open()
                    await line.until(SessionReady, number)
                    line.listen()
                    line.hear(100)  # two seconds at once: 20 messages
                    for turn in range(4):
                        line.session.update({"turn": turn})
                    await asyncio.sleep(10)
                    line.uplink.set_window(None)
                    await line.hang_up()
            return simulator

    simulator = run_virtual(main())
    messages = [m for c in simulator.connections for m in c.messages if m.direction == "received"]
    audio = [m.at for m in messages if m.text is None]
    text = [m.at for m in messages if m.text is not None]
    assert len(audio) == 40
    assert len([m for m in messages if m.text and '"turn"' in m.text]) == 8
    assert most_within(1.0, audio) == 5
    assert most_within(2.0, text) == 3
    assert most_within(1.0, audio + text) <= 6
