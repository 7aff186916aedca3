"""The real button on mock pins: tap to talk, tap to interrupt, hold to talk while held."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from tests.support.house import SILENT_AFTER, House, living, now
from voicebox.assets import speech
from voicebox.core.events import ReplyStarted
from voicebox.core.state import Phase
from voicebox.demo.finger import PIN, Finger
from voicebox.virtualtime import run_virtual


@pytest.fixture
def finger() -> Iterator[Finger]:
    finger = Finger()
    yield finger
    finger.close()


@asynccontextmanager
async def living_with_button(**how: Any) -> AsyncIterator[House]:
    async with living(options={"VOICEBOX_BUTTON__PIN": str(PIN)}, **how) as house:
        yield house


async def tap(finger: Finger) -> None:
    finger.press()
    await asyncio.sleep(0.15)
    finger.release()
    await asyncio.sleep(0.1)


async def hold(finger: Finger, house: House, name: str = "ask_time") -> int:
    """Press, speak, let go; returns the microphone position of the press."""
    at = house.backend.position
    finger.press()
    await asyncio.sleep(0.2)
    await asyncio.sleep(house.say(name))
    finger.release()
    return at


def test_lira_40_a_tap_interrupts_without_the_server(finger: Finger) -> None:
    async def main() -> House:
        async with living_with_button() as house:
            await tap(finger)
            house.say()
            await house.until_phase(Phase.SPEAKING)
            await asyncio.sleep(2)
            await tap(finger)
            assert len(house.cuts) == 1
            assert house.phases[-2:] == [Phase.SPEAKING, Phase.LISTENING]
            await asyncio.sleep(1)
            await tap(finger)
            assert house.phases[-2:] == [Phase.LISTENING, Phase.IDLE]
            return house

    house = run_virtual(main())
    cut = house.cuts[0]
    assert house.backend.heard_after(cut) <= SILENT_AFTER
    assert house.stale(cut) == 0


@pytest.mark.parametrize("duplex", ["half", "full"])
def test_push_to_talk_is_answered_after_the_release(finger: Finger, duplex: str) -> None:
    async def main() -> tuple[House, int]:
        async with living_with_button(duplex=duplex, brain="parrot") as house:
            at = await hold(finger, house)
            released = now()
            await house.until_phase(Phase.SPEAKING)
            assert now() - released < 1.0  # the stop ended the turn, not a pause
            return house, at

    house, at = run_virtual(main())
    begin = at - 4_800  # 300 ms before the press
    received = bytes(house.wire.received_pcm)
    mic = house.backend.mic.tobytes()
    said = len(speech("ask_time")) + 3_200  # and 200 ms after the release
    assert len(received) // 2 >= said + 4_800
    assert mic[2 * begin :].startswith(received[: 2 * said])


def test_push_to_talk_released_before_the_session_is_up_is_answered(finger: Finger) -> None:
    """The service comes up 6 s after the press; everything said by then is sent, its end included."""

    async def main() -> tuple[House, int]:
        async with living_with_button(faults=["http_503=6"], brain="parrot") as house:
            at = await hold(finger, house)
            assert house.phase is Phase.CONNECTING
            await house.until_phase(Phase.SPEAKING)
            await house.until_phase(Phase.LISTENING)
            return house, at

    house, at = run_virtual(main())
    types = [json.loads(message.text)["type"] for message in house.received() if message.text is not None]
    assert types[:4] == ["join", "settings", "audio_start", "audio_stop"]
    said = speech("ask_time")
    received = np.frombuffer(bytes(house.wire.received_pcm), "<i2")
    mic = house.backend.mic[at - 4_800 :]
    assert np.array_equal(received[: said.size], mic[: said.size])
    assert len([step for _, step in house.steps if isinstance(step.event, ReplyStarted)]) == 1


def test_a_pause_while_the_button_is_held_does_not_let_the_service_talk(finger: Finger) -> None:
    async def main() -> House:
        async with living_with_button() as house:
            finger.press()
            await asyncio.sleep(0.5)
            await asyncio.sleep(house.say() + 3)  # a long pause: the service answers
            assert len(house.wire.sent_pcm) >= 1
            assert house.phase is Phase.LISTENING
            await asyncio.sleep(house.say("cut_in"))
            assert not house.backend.spk.any()
            finger.release()
            await house.until_phase(Phase.IDLE, within=60)
            return house

    run_virtual(main())


@pytest.mark.parametrize("hold_for", [0.15, 1.5])
def test_a_button_that_may_not_cut_leaves_the_reply_and_the_conversation_alone(finger: Finger, hold_for: float) -> None:
    async def main() -> House:
        options = {"VOICEBOX_BUTTON__PIN": str(PIN), "VOICEBOX_INTERRUPTION__BY": '["server", "wake_word"]'}
        async with living(options=options, duplex="half") as house:
            await tap(finger)
            house.say()
            await house.until_phase(Phase.SPEAKING)
            await asyncio.sleep(2)
            finger.press()
            await asyncio.sleep(hold_for)
            finger.release()
            await house.until_phase(Phase.LISTENING)
            await tap(finger)
            assert house.phases[-2:] == [Phase.LISTENING, Phase.IDLE]  # here it has its usual meaning
            return house

    house = run_virtual(main())
    assert house.cuts == []
    assert house.heard(1).tobytes() == bytes(house.wire.sent_pcm[1])
