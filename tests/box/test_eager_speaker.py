"""Who is speaking when the session becomes ready is not cut off by the deadline for those who say nothing."""

import asyncio

import pytest

from tests.support.house import living
from voicebox.core.events import SessionReady, SpeechStarted
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

LISTEN_TIMEOUT = 2.0


@pytest.mark.parametrize("service", ["lira", "zeebee"])
def test_speech_that_began_while_connecting_has_the_time_of_an_utterance(service: str) -> None:
    async def main() -> None:
        options = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": str(LISTEN_TIMEOUT)}
        async with living(service=service, duplex="half", faults=["no_reply"], options=options) as house:
            house.say("answer")
            await asyncio.sleep(0.5)
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            ready = next(index for index, (_, step) in enumerate(house.steps) if isinstance(step.event, SessionReady))
            assert any(isinstance(step.event, SpeechStarted) for _, step in house.steps[:ready])
            await asyncio.sleep(LISTEN_TIMEOUT + 0.5)
            assert Phase.IDLE not in house.phases[1:]

    run_virtual(main())
