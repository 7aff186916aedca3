"""Every fault the simulator knows: the box says what is wrong, and comes back to idle by itself."""

import asyncio

import pytest

from tests.support.house import House, living
from voicebox.core.scenes import scene
from voicebox.core.state import Fault, Phase, State
from voicebox.simulator.faults import FAULTS
from voicebox.virtualtime import run_virtual

ANSWERED = "answered"
LIRAS = [name for name, fault in FAULTS.items() if fault.service in ("", "lira")]
BRIEF = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3.0"}

OUTCOMES: dict[str, set[str]] = {
    # opening
    "unauthorized": {Fault.REFUSED},
    "http_503": {ANSWERED},
    "unauthorized_message": {Fault.REFUSED},
    "session_not_found": {Fault.REFUSED},
    "already_joined": {Fault.BUSY},  # this server hangs up with 1008 on a leave before the join: a minute's back-off
    "already_joined_always": {Fault.BUSY},
    "never_joined": {Fault.OFFLINE},
    # listening
    "rate_limited": {Fault.BUSY, ANSWERED},
    "drop_mid_utterance": {ANSWERED},  # what was said is not replayed, the rest of it is answered
    "no_reply": {Fault.NO_REPLY},
    # answering
    "close_1008": {ANSWERED, Fault.BUSY},  # a minute's back-off, and nobody waits that long
    "token_expires": {ANSWERED, Fault.REFUSED},
}
"""What becomes of one question. All other faults strike while the answer comes, which is heard, and change no light."""


async def one_question(fault: str) -> House:
    async with living(faults=[fault], options=BRIEF) as house:
        await house.wake()
        house.say()
        await house.until(lambda: house.phase is Phase.IDLE, within=600)
        await asyncio.sleep(house.app.box.state.policy.fault_shown + 1)  # passing faults fade
        assert house.phase is Phase.IDLE
        assert house.app.box.state.fault in (None, Fault.REFUSED)
        assert not house.app.session.connected
        assert house.app.hearing.trouble() is None
        return house


@pytest.mark.parametrize("fault", LIRAS)
def test_the_box_comes_back_from_every_fault(fault: str) -> None:
    """COM-08, LIKU-46: each kind of trouble has its light."""
    house = run_virtual(one_question(fault))
    shown: set[str] = set(house.faults)
    if Phase.SPEAKING in house.phases:
        shown.add(ANSWERED)
    assert shown == OUTCOMES.get(fault, {ANSWERED})
    for said in house.faults:
        assert scene(State(fault=said)) in house.lamp.scenes
    for said in house.faults - {Fault.BUSY}:  # in mid-conversation the status line says what goes on
        assert any(said in text for _, text in house.systemd.told)


@pytest.mark.parametrize("fault", [name for name in LIRAS if FAULTS[name].once and name != "token_expires"])
def test_after_a_fault_that_passes_the_next_question_is_answered(fault: str) -> None:
    async def main() -> list[Phase]:
        async with living(faults=[fault], options=BRIEF) as house:
            await house.wake()
            house.say()
            await house.until(lambda: house.phase is Phase.IDLE, within=600)
            await asyncio.sleep(1)
            before = len(house.phases)
            await house.ask()
            return house.phases[before:]

    assert Phase.SPEAKING in run_virtual(main())
