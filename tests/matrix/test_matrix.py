"""Every service in every situation, the whole box in virtual time: what is heard, what is sent, phases, faults.

Where a service lacks something (a message for interruptions, written turns, a limit of its own) the cell holds it to
what its capabilities then promise. No cell is skipped.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.matrix.witness import (
    ONE_TURN,
    SERVICES,
    assert_begins,
    assert_silent,
    assert_was_said,
    assert_whole,
    audio_up_since,
    capabilities,
    count_dials,
    cut_on_the_wire,
    events,
    fields,
    heard,
    interruptions,
    kinds,
    living_briefly,
    place,
    sent,
    to_the_end,
    uplink,
    watch,
)
from tests.support.bounded import run_bounded
from tests.support.house import House, living, now
from voicebox import remote
from voicebox.audio.base import BLOCK
from voicebox.core.events import ReplyText, SessionLost, SessionWarning, Source, Transcript, VendorRaw
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.demo.finger import PIN, Finger
from voicebox.errors import VoiceboxError
from voicebox.simulator import base as simulator

Situation = Callable[[str], Coroutine[Any, Any, None]]
SITUATIONS: dict[str, Situation] = {}


def situation(test: Situation) -> Situation:
    SITUATIONS[test.__name__] = test
    return test


async def answered_again(house: House) -> None:
    """Another conversation, in good order."""
    before = len(house.phases)
    played = heard(house).size
    await house.ask(within=90.0)
    await to_the_end(house)
    assert house.phases[before:] == ONE_TURN[1:]
    assert_whole(house, heard(house)[played:], sent(house))


# --- as it should be -----------------------------------------------------------------------------------------------


@situation
async def happy_turn(service: str) -> None:
    async with living_briefly(service) as house:
        await house.ask()
        await to_the_end(house)
        assert house.phases == ONE_TURN
        assert house.faults == set()
        assert len(house.simulator.connections) == 1
        assert_whole(house, heard(house), sent(house))
        assert_was_said(house)
        assert [event.role for event in events(house, Transcript)][:1] == ["user"]
        assert events(house, ReplyText)


@situation
async def two_turns(service: str) -> None:
    async with living_briefly(service) as house:
        await house.ask()
        await house.until_phase(Phase.LISTENING)
        await asyncio.sleep(0.5)
        house.say("cut_in")
        await house.until_phase(Phase.SPEAKING)
        await to_the_end(house)
        assert house.phases == [*ONE_TURN[:-1], Phase.THINKING, Phase.SPEAKING, Phase.LISTENING, Phase.IDLE]
        assert len(house.simulator.connections) == 1
        for reply in (1, 2):
            assert_whole(house, house.heard(reply), sent(house, reply=reply))
        if not capabilities(house).streams:  # the thread of the conversation is in our hands
            told = [fields(m).get("conversation_id") for m in house.received() if fields(m).get("type") == "audio"]
            assert told[0] is None
            assert told[1]


@situation
async def clean_end_of_ours(service: str) -> None:
    """We say goodbye as the protocol has it, and close with 1000."""
    async with living_briefly(service) as house:
        links = watch(house)
        await house.ask()
        await to_the_end(house)
        assert [link._socket.close_code for link in links] == [1000]
        assert (kinds(house, "received")[-1] == "leave") == (service == "lira")
        assert house.faults == set()


@situation
async def clean_end_of_theirs(service: str) -> None:
    """They close with 1000 after the reply: it is heard whole, and nobody redials."""
    async with living_briefly(service, faults=["meeting_ends"]) as house:
        dials = count_dials(house)
        await house.ask()
        await to_the_end(house)
        await asyncio.sleep(10)  # the dice of the tests make a redial due within 6 s
        assert house.phases == [*ONE_TURN[:-2], Phase.IDLE]
        assert len(dials) == 1
        assert house.faults == set()
        assert_whole(house, heard(house), sent(house))


@situation
async def idle_for_a_minute(service: str) -> None:
    """Kept warm: the link lives, the microphone does not go up, and the next question is answered over it."""
    async with living_briefly(service, options={"VOICEBOX_SESSION__KEEP_WARM_S": "120"}) as house:
        await house.ask()
        await house.until_phase(Phase.IDLE)
        await asyncio.sleep(1.5)
        since, before = now(), len(kinds(house, "received"))
        await asyncio.sleep(60)
        assert house.app.session.connected
        assert audio_up_since(house, since) == []
        signs = {"nextevi": {"keep_alive"}, "zeebee": {"ping", "pong"}}.get(service, set())  # others: WebSocket pings
        told = set(kinds(house, "received")[before:])
        assert told <= signs
        assert bool(told) == bool(signs)
        played = heard(house).size
        await house.ask()
        await house.until_phase(Phase.IDLE)
        assert len(house.simulator.connections) == 1
        assert_whole(house, heard(house)[played:], sent(house, reply=2))
        assert house.faults == set()


# --- interruptions -------------------------------------------------------------------------------------------------


@situation
async def barge_in_by_speaking(service: str) -> None:
    """The server says so; or (LIKU) the adapter infers it; or (utterances) speech alone cuts nothing."""
    async with living(service=service) as house:
        await house.ask()
        await asyncio.sleep(3)
        house.say("cut_in")
        if not capabilities(house).streams:
            await asyncio.sleep(4)
            assert house.cuts == []
            assert house.phase is Phase.SPEAKING
            assert not capabilities(house).server_interrupts
            await house.wake()
            assert len(house.cuts) == 1
            assert_silent(house, house.cuts[0])
            return
        await house.until(lambda: len(house.cuts) == 1)
        assert interruptions(house) == [Source.SERVER]
        assert cut_on_the_wire(house) == (1 if capabilities(house).server_interrupts else 0)
        await house.until_phase(Phase.SPEAKING)
        await asyncio.sleep(3)
        assert_silent(house, house.cuts[0])
        assert_begins(house, house.heard(1), sent(house, reply=1))
        assert_begins(house, house.heard(2), sent(house, reply=2))


async def cut_in(house: House, interrupt: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Ask, cut the answer, ask something else: the second answer is heard from its beginning, nothing of the first."""
    await house.ask()
    await asyncio.sleep(2)
    await interrupt()
    assert len(house.cuts) == 1
    assert interruptions(house) == []  # nobody had to tell us
    assert house.phases[-1] is Phase.LISTENING
    house.say("cut_in")
    await house.until(lambda: house.heard(house.cuts[0].floor + 1).size > 0)
    await asyncio.sleep(3)
    assert house.phase is Phase.SPEAKING
    assert len(house.simulator.connections) == 1
    assert_silent(house, house.cuts[0])
    assert_begins(house, house.heard(1), sent(house, reply=1))
    assert_begins(house, house.heard(house.cuts[0].floor + 1), sent(house, reply=2))


@situation
async def barge_in_by_wake_word(service: str) -> None:
    async with living(service=service, duplex="half") as house:
        await cut_in(house, house.wake)


@situation
async def barge_in_by_button(service: str) -> None:
    finger = Finger()

    async def tap() -> None:
        finger.press()
        await asyncio.sleep(0.15)
        finger.release()
        await asyncio.sleep(0.1)

    try:
        async with living(service=service, duplex="half", options={"VOICEBOX_BUTTON__PIN": str(PIN)}) as house:
            await cut_in(house, tap)
    finally:
        finger.close()


@situation
async def text_turn(service: str) -> None:
    async with living_briefly(service) as house:
        say = remote.actions(house.app)["say"]
        if not capabilities(house).text_input:
            with pytest.raises(VoiceboxError, match="unsupported"):
                say({"do": "say", "text": "hello"})
            await asyncio.sleep(1)
            assert house.phases == [Phase.IDLE]
            assert house.simulator.connections == []
            return
        say({"do": "say", "text": "hello"})
        await house.until_phase(Phase.SPEAKING)
        await to_the_end(house)
        assert [fields(m)["text"] for m in house.received() if fields(m).get("type") == "text"] == ["hello"]
        assert house.wire.received_pcm == b""
        assert heard(house).tobytes() == sent(house).tobytes() != b""  # a chirp


# --- the link breaks -----------------------------------------------------------------------------------------------


@situation
async def drop_mid_reply(service: str) -> None:
    """What has come is heard; the box dials again by itself; the next question is answered whole."""
    async with living_briefly(service, faults=["drop_mid_reply"]) as house:
        await house.ask()
        await to_the_end(house)
        assert len(house.simulator.connections) == 2
        assert_begins(house, heard(house), sent(house, 0))
        assert uplink(house, 0).size
        await answered_again(house)
        assert house.faults == set()


@situation
async def drop_mid_utterance(service: str) -> None:
    """What was said until the link broke is never replayed: the new connection gets what was said from then on."""
    async with living_briefly(service, faults=["drop_mid_utterance"]) as house:
        await house.wake()
        house.say()
        await house.until(lambda: bool(events(house, SessionLost)))
        lost = house.backend.position
        await to_the_end(house)
        assert len(house.simulator.connections) == 2
        again = uplink(house, 1)
        if capabilities(house).streams:
            assert Phase.SPEAKING in house.phases  # the rest of it
            assert place(house, again[:8_000]) >= lost - BLOCK
        else:
            assert again.size == 0
        await answered_again(house)
        assert house.faults == set()


# --- the service does not want to -----------------------------------------------------------------------------------


@situation
async def auth_refused_at_start(service: str) -> None:
    """The light says so, and nobody knocks again until somebody asks."""
    async with living_briefly(service, faults=["unauthorized"]) as house:
        dials = count_dials(house)
        await house.wake()
        house.say()
        await house.until(lambda: house.app.box.state.fault is Fault.REFUSED)
        await to_the_end(house)
        await asyncio.sleep(10)  # the dice of the tests make a redial due within 6 s
        assert len(dials) == 1
        assert house.phases == [*ONE_TURN[:2], Phase.IDLE]
        assert house.lamp.scenes[-1] is Scene.REFUSED
        assert house.simulator.connections == []
        assert not house.backend.spk.any()


@situation
async def auth_expired_later(service: str) -> None:
    """LIKU's token is ours to renew, and is; of the others the owner must get a new one."""
    async with living_briefly(service, faults=["token_expires"]) as house:
        dials = count_dials(house)
        await house.ask()
        await to_the_end(house)
        if service == "liku":
            assert house.faults == set()
            assert_whole(house, heard(house), sent(house, 0))
            await answered_again(house)
            return
        await asyncio.sleep(10)  # the dice of the tests make a redial due within 6 s
        assert house.faults == {Fault.REFUSED}
        assert house.lamp.scenes[-1] is Scene.REFUSED
        assert len(dials) == 1
        played = heard(house)
        assert 0 < played.size <= sent(house).size


@situation
async def rate_limited(service: str) -> None:
    """In mid-session where the service knows that; else by HTTP, with the time to wait. The answer is heard."""
    in_session = service in ("lira", "nextevi")
    async with living_briefly(service, faults=["rate_limited" if in_session else "http_503=3"]) as house:
        asked = now()
        await house.ask()
        waited = now() - asked
        await to_the_end(house)
        assert len(house.simulator.connections) == 1
        assert_whole(house, heard(house), sent(house))
        assert house.faults == ({Fault.BUSY} if in_session else set())
        assert in_session or waited >= 3
        verdict = house.app.adapter.refused(429, {"Retry-After": "7"})
        assert (verdict.retry, verdict.retry_after) == (True, 7)


# --- what should not come ------------------------------------------------------------------------------------------


@situation
async def malformed_frame(service: str) -> None:
    async with living_briefly(service, faults=["malformed_json"]) as house:
        await house.ask()
        await to_the_end(house)
        assert house.phases == ONE_TURN
        assert house.faults == set()
        assert_whole(house, heard(house), sent(house))
        told = [event for event in events(house, SessionWarning) if event.kind == "malformed"]
        assert len(told) + len(events(house, VendorRaw)) >= 4  # of five


@situation
async def unknown_type(service: str) -> None:
    async with living_briefly(service, faults=["unknown_type"]) as house:
        await house.ask()
        await to_the_end(house)
        assert house.phases == ONE_TURN
        assert house.faults == set()
        assert_whole(house, heard(house), sent(house))
        assert "weather_report" in [event.type for event in events(house, VendorRaw)]


# --- the table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("service", SERVICES)
def test_matrix(service: str, name: str) -> None:
    """COM-11: one stream of events, the same conversation, whatever the service."""
    run_bounded(SITUATIONS[name](service))


def test_the_table_is_whole() -> None:
    """Every service can be simulated."""
    assert set(SERVICES) <= set(simulator.discover())
