"""The whole box with a microphone that hears its speaker: in virtual time, with the real canceller and wake word."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.house import House, living
from tests.support.room import Reader, Room
from tests.support.speech import Samples, silence
from tests.support.speech import say as spoken
from voicebox import remote
from voicebox.assets import speech
from voicebox.audio.echo import EchoCanceller
from voicebox.core.events import Interrupted, WakeDetected
from voicebox.core.state import Phase
from voicebox.simulator import Simulator
from voicebox.uplink import WakeListener
from voicebox.virtualtime import run_virtual
from voicebox.wake.base import Phrase
from voicebox.wake.openwakeword import OpenWakeWord

TALK = spoken("The train to the airport leaves every fifteen minutes from platform four, and it takes half an hour.")
NAME = spoken("Hey Jarvis.", "flite:rms")
BOAST = np.concatenate([NAME, silence(0.4), TALK, NAME, silence(0.4)])
"""It says its own wake word: as the first words it ever says, and again."""


@asynccontextmanager
async def talking(*texts: Samples, echo: bool = True, duplex: str = "auto") -> AsyncIterator[House]:
    """A box that is asked, and answers with these texts in turn. Without ``echo`` it does not know its echo."""
    simulator = Simulator("lira", keep=True)
    simulator._setup = replace(simulator._setup, brain=Reader(*texts))
    parts: dict[str, Any] = {"backend": Room(), "simulator": simulator, "echo": EchoCanceller() if echo else None}
    parts["detector"] = OpenWakeWord([Phrase("hey_jarvis")])
    options = {"VOICEBOX_CONVERSATION__FOLLOW_UP_S": "1", "VOICEBOX_SIMULATOR__BRAIN": "talker"}
    async with living(duplex=duplex, options=options, **parts) as house:
        await asyncio.sleep(3)  # the wake word's networks need two seconds of sound
        yield house


async def asked(house: House) -> None:
    """Somebody asks, and it begins to answer."""
    house.backend.say(speech("ask_time"))
    await house.until_phase(Phase.SPEAKING)


def wakes(house: House) -> int:
    return sum(isinstance(step.event, WakeDetected) for _, step in house.steps)


def listener(house: House) -> WakeListener:
    assert house.app.listener is not None
    return house.app.listener


def test_com_07_it_neither_wakes_nor_interrupts_itself_though_it_says_its_own_name() -> None:
    async def main() -> None:
        async with talking(BOAST) as house:
            for turn in range(2):
                await asked(house)
                await house.until_phase(Phase.LISTENING)
                await house.until_phase(Phase.IDLE)
                assert wakes(house) == turn + 1  # the question's
            assert house.cuts == []
            assert listener(house).ours >= 1  # it did hear itself
            assert not any(isinstance(step.event, Interrupted) for _, step in house.steps)

    run_virtual(main())


def test_without_knowing_its_voice_it_would_wake_itself() -> None:
    """Or the test above would prove nothing."""

    async def main() -> None:
        async with talking(BOAST, echo=False) as house:
            await asked(house)
            await house.until(lambda: wakes(house) == 2, within=20)

    run_virtual(main())


@pytest.mark.parametrize("turn", [0, 1])
def test_com_07_the_wake_word_works_over_its_answer(turn: int) -> None:
    """As loud as the echo at the microphone; over the second answer as over the first it ever gave."""

    async def main() -> None:
        async with talking(np.concatenate([TALK, TALK])) as house:
            for _ in range(turn):
                await asked(house)
                await house.until_phase(Phase.IDLE)
            await asked(house)
            await asyncio.sleep(4)
            house.backend.say(spoken("hey jarvis", "espeak:en-gb"))
            await house.until_phase(Phase.LISTENING, within=3)
            assert len(house.cuts) == 1

    run_virtual(main())


def test_full_duplex_begins_with_the_answer_after_the_echo_is_gone() -> None:
    async def main() -> None:
        async with talking(TALK) as house:
            open_while_speaking = []
            for _ in range(2):
                await asked(house)
                await asyncio.sleep(4)
                open_while_speaking.append(house.app.box.state.window is not None)
                await house.until_phase(Phase.IDLE)
            assert open_while_speaking == [False, True]
            echo = remote.actions(house.app)["status"]({})["echo"]  # type: ignore[index]  # it answers at once
            assert echo["cancelled"]
            assert echo["attenuation_db"] > 15
            assert echo["delay_ms"] == pytest.approx(60, abs=5)
            assert abs(echo["drift_ppm"]) < 5

    run_virtual(main())
