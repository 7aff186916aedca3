"""Written turns and the session's settings, asked of a running box over its socket, in virtual time."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.asking import ask, asked, refused
from tests.support.house import House
from voicebox.core.events import MuteChanged, SessionUpdated, Source, TextAsked
from voicebox.core.state import Phase
from voicebox.remote import LONGEST_TEXT
from voicebox.services import lira
from voicebox.virtualtime import run_virtual


def messages(house: House, kind: str) -> list[dict[str, Any]]:
    """Text messages of this type that the service received, on the newest connection."""
    parsed = [json.loads(message.text) for message in house.received() if message.text]
    return [message for message in parsed if message["type"] == kind]


def written(house: House) -> list[str]:
    return [message["text"] for message in messages(house, "text")]


def cuts(house: House) -> list[Any]:
    return [command for _, step in house.steps for command in step.commands if getattr(command, "source", None)]


# --- written turns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("muted", [False, True])
def test_a_written_turn_is_answered_aloud_and_the_microphone_stays_closed(muted: bool) -> None:
    async def main() -> House:
        async with asked() as house:
            house.app.box.dispatch(MuteChanged(muted))
            await ask(house, "say", text="  what time is it? ")
            await house.until_phase(Phase.SPEAKING)
            house.say("cut_in")  # nobody hears it
            await house.until_phase(Phase.IDLE)
            await asyncio.sleep(1)
            assert not house.app.session.connected
            return house

    house = run_virtual(main())
    assert house.phases == [Phase.IDLE, Phase.CONNECTING, Phase.THINKING, Phase.SPEAKING, Phase.IDLE]
    assert written(house) == ["what time is it?"]
    assert bytes(house.wire.received_pcm) == b""
    assert all(message.text is not None for message in house.received())
    assert messages(house, "audio_start") == []
    assert house.app.uplink.counts.sent == 0
    assert house.heard(1).tobytes() == bytes(house.wire.sent_pcm[1])
    assert house.heard(1).size > 24_000


def test_written_turns_asked_while_connecting_all_arrive_in_order() -> None:
    async def main() -> House:
        async with asked() as house:
            for text in ("one", "two", "three"):
                house.app.box.dispatch(TextAsked(text))
            await house.until_phase(Phase.SPEAKING)
            return house

    house = run_virtual(main())
    assert written(house) == ["one", "two", "three"]
    assert house.app.uplink.counts.sent == 0


def test_a_written_turn_while_listening_is_answered_and_it_listens_on() -> None:
    async def main() -> House:
        async with asked(duplex="half") as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            await ask(house, "say", text="what time is it?")
            assert house.phases[-1] is Phase.THINKING
            await house.until_phase(Phase.SPEAKING)
            await house.until_phase(Phase.LISTENING)
            return house

    house = run_virtual(main())
    assert len(messages(house, "text")) == 1
    assert house.heard(1).tobytes() == bytes(house.wire.sent_pcm[1])


def test_a_written_turn_cuts_the_reply_and_is_answered() -> None:
    async def main() -> House:
        async with asked() as house:
            await house.ask()
            await asyncio.sleep(2)
            await ask(house, "say", text="stop, what else?")
            assert house.phases[-1] is Phase.THINKING
            await house.until_phase(Phase.SPEAKING)
            await asyncio.sleep(2)
            return house

    house = run_virtual(main())
    cut = house.cuts[0]
    assert cuts(house)[0].source is Source.TEXT
    assert house.backend.heard_after(cut) <= 480
    assert house.stale(cut) == 0
    assert bytes(house.wire.sent_pcm[2]).startswith(house.heard(2).tobytes())
    assert house.heard(2).size > 24_000


def test_a_second_written_turn_cuts_the_answer_to_the_first_and_is_answered() -> None:
    """The service, too, says that it cut the first: that is not the end."""

    async def main() -> House:
        async with asked() as house:
            await ask(house, "say", text="tell me a story")
            await house.until_phase(Phase.SPEAKING)
            await asyncio.sleep(2)
            await ask(house, "say", text="another one")
            await house.until_phase(Phase.SPEAKING)
            await house.until_phase(Phase.IDLE)
            return house

    house = run_virtual(main())
    assert house.phases[3:] == [Phase.SPEAKING, Phase.THINKING, Phase.SPEAKING, Phase.IDLE]
    assert house.heard(2).tobytes() == bytes(house.wire.sent_pcm[2])
    assert house.app.uplink.counts.sent == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), ("  \n", "empty"), (7, "text"), (None, "text"), ("x" * (LONGEST_TEXT + 1), "too long")],
)
def test_what_is_no_written_turn_is_refused(text: object, words: str) -> None:
    async def main() -> None:
        async with asked() as house:
            assert words in await refused(house, "say", text=text)
            assert house.phases == [Phase.IDLE]

    run_virtual(main())


def test_a_service_that_takes_no_text_says_so_and_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lira.Service, "capabilities", replace(lira.Service.capabilities, text_input=False, name="mute"))

    async def main() -> None:
        async with asked() as house:
            assert await refused(house, "say", text="hello") == "unsupported: mute takes no written turns"
            await asyncio.sleep(1)
            assert house.phases == [Phase.IDLE]
            assert house.simulator.connections == []

    run_virtual(main())


# --- the session's settings ----------------------------------------------------------------------------------------


def test_settings_of_the_open_session_reach_the_service() -> None:
    async def main() -> House:
        async with asked() as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            await ask(house, "session.set", settings={"personality": "süß", "volume": 0.5, "deep": {"list": [1, None]}})
            await house.until(lambda: any(isinstance(step.event, SessionUpdated) for _, step in house.steps))
            return house

    house = run_virtual(main())
    sent = messages(house, "settings")[-1]
    assert sent == {"type": "settings", "personality": "süß", "volume": 0.5, "deep": {"list": [1, None]}}


@pytest.mark.parametrize("values", [None, {}, [], "personality=kind", 7])
def test_what_are_no_settings_is_refused(values: object) -> None:
    async def main() -> None:
        async with asked() as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            before = len(house.received())
            assert "settings" in await refused(house, "session.set", settings=values)
            await asyncio.sleep(0)
            assert [m for m in house.received()[before:] if m.text and "settings" in m.text] == []

    run_virtual(main())


def test_without_a_session_there_are_no_settings_to_change() -> None:
    async def main() -> None:
        async with asked() as house:
            assert "no session is open" in await refused(house, "session.set", settings={"personality": "kind"})

    run_virtual(main())


def test_settings_that_no_service_would_read_do_not_cost_the_session() -> None:
    async def main() -> None:
        async with asked() as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            deep: list[Any] = []
            for _ in range(400):
                deep = [deep]
            assert "too deep" in await refused(house, "session.set", settings={"deep": deep})
            house.say()
            await house.until_phase(Phase.SPEAKING)

    run_virtual(main())


def test_a_new_conversation_where_there_is_none_is_refused() -> None:
    async def main() -> None:
        async with asked() as house:
            assert "unsupported" in await refused(house, "conversation.new")

    run_virtual(main())
