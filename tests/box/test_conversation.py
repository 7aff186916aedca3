"""The whole box in conversation: what is heard, what is sent, and what happens when a reply is cut."""

import asyncio
import json
from itertools import pairwise

import numpy as np
import pytest

from tests.support.house import SILENT_AFTER, House, living, now
from voicebox.assets import speech
from voicebox.core.events import ReplyStarted, SpeakerDrained
from voicebox.core.state import Phase
from voicebox.simulator.recording import Noted
from voicebox.virtualtime import run_virtual


def kind(message: Noted) -> str:
    return "audio" if message.text is None else json.loads(message.text)["type"]


def kinds(messages: list[Noted]) -> list[str]:
    """Message types, stretches of audio as one."""
    all_kinds = [kind(message) for message in messages]
    return [after for before, after in pairwise(["", *all_kinds]) if (before, after) != ("audio", "audio")]


@pytest.mark.parametrize("brain", ["parrot", "talker"])
def test_lira_33_what_is_heard_is_what_was_sent(brain: str) -> None:
    async def main() -> tuple[bytes, bytes]:
        async with living(brain=brain) as house:
            await house.ask()
            await house.until(lambda: any(isinstance(step.event, SpeakerDrained) for _, step in house.steps))
            return house.heard(1).tobytes(), bytes(house.wire.sent_pcm[1])

    heard, sent = run_virtual(main())
    assert len(sent) > 24_000  # half a second at least
    assert heard == sent


@pytest.mark.parametrize("faults", [[], ["late_audio"], ["late_audio=1500"]])
def test_lira_36_37_on_interruption_it_is_silent_and_late_audio_is_never_heard(faults: list[str]) -> None:
    async def main() -> House:
        async with living(faults=faults) as house:
            await house.ask()
            await asyncio.sleep(3)
            house.say("cut_in")
            await house.until(lambda: len(house.cuts) == 1)
            await house.until_phase(Phase.SPEAKING)
            await asyncio.sleep(3)
            assert bool(house.wire.late_pcm) is bool(faults)
            assert len(house.cuts) == 1
            return house

    house = run_virtual(main())
    cut = house.cuts[0]  # another follows when the box is stopped
    assert house.backend.heard_after(cut) <= SILENT_AFTER
    assert house.stale(cut) == 0
    sent, heard = bytes(house.wire.sent_pcm[2]), house.heard(2).tobytes()
    assert len(heard) > 24_000  # the next reply is heard, from its first sample
    assert sent.startswith(heard)


def test_lira_38_after_an_interruption_the_uplink_is_open_and_it_listens() -> None:
    async def main() -> None:
        async with living() as house:
            await house.ask()
            await asyncio.sleep(3)
            house.say("cut_in")
            await house.until(lambda: len(house.cuts) == 1)
            assert house.phase is Phase.LISTENING
            before = len(house.wire.received_pcm)
            await asyncio.sleep(1)
            assert len(house.wire.received_pcm) - before >= 2 * 16_000 * 9 // 10
            assert kinds(house.received())[-2:] == ["audio_start", "audio"]  # it was never stopped

    run_virtual(main())


def test_lira_39_full_duplex_keeps_streaming_during_playback() -> None:
    async def main() -> int:
        async with living() as house:
            await house.ask()
            before = len(house.wire.received_pcm)
            await asyncio.sleep(5)
            assert house.phase is Phase.SPEAKING
            return len(house.wire.received_pcm) - before

    assert run_virtual(main()) == pytest.approx(2 * 16_000 * 5, rel=0.03)


def test_lira_39_half_duplex_sends_nothing_while_the_speaker_sounds() -> None:
    async def main() -> tuple[House, float, float]:
        async with living(duplex="half", brain="parrot") as house:
            await house.ask()
            began = now()
            await house.until_phase(Phase.LISTENING)
            drained = now()
            await asyncio.sleep(1)
            return house, began, drained

    house, began, drained = run_virtual(main())
    assert drained - began > 1
    during = [kind(message) for message in house.received() if began < message.at < drained]
    assert during in ([], ["audio_stop"])
    assert kinds(house.received()) == [
        *("join", "settings", "audio_start", "audio", "audio_stop"),
        *("audio_start", "audio", "audio_stop", "leave"),
    ]
    last = house.backend.speaker.spoken[-1][2] / 24_000  # when the last sample of the reply was heard
    again = [message.at for message in house.received() if kind(message) == "audio_start"][1]
    assert again >= last


@pytest.mark.parametrize("duplex", ["half", "full"])
def test_lira_40_the_wake_word_interrupts_without_the_server(duplex: str) -> None:
    async def main() -> House:
        async with living(duplex=duplex) as house:
            await house.ask()
            await asyncio.sleep(2)
            await house.wake()
            assert house.phase is Phase.LISTENING
            house.say("cut_in")
            await house.until_phase(Phase.SPEAKING)
            await asyncio.sleep(2)
            return house

    house = run_virtual(main())
    cut = house.cuts[0]
    assert house.backend.heard_after(cut) <= SILENT_AFTER
    assert house.stale(cut) == 0
    assert len(house.simulator.connections) == 1
    assert house.heard(2).size > 24_000
    assert bytes(house.wire.sent_pcm[2]).startswith(house.heard(2).tobytes())


def test_lira_14_15_16_17_the_uplink_on_the_wire() -> None:
    async def main() -> House:
        async with living(brain="parrot", duplex="half") as house:
            await house.ask()
            await house.until_phase(Phase.LISTENING)
            await house.until_phase(Phase.IDLE)
            await asyncio.sleep(1)
            return house

    house = run_virtual(main())
    assert kinds(house.received()) == [
        *("join", "settings", "audio_start", "audio", "audio_stop"),
        *("audio_start", "audio", "audio_stop", "leave"),
    ]
    sizes = [message.size for message in house.received() if message.text is None]
    assert set(sizes) == {3_200}  # 100 ms of s16le at 16 kHz
    received = np.frombuffer(bytes(house.wire.received_pcm), "<i2")
    stretch = received[: 16_000 * 2]
    assert house.backend.mic.tobytes().find(stretch.tobytes()) % 2 == 0  # it is what the microphone heard


def test_everything_said_since_the_wake_word_arrives() -> None:
    """The pre-roll begins 1.5 s before the detection, and nothing is missing after it."""

    async def main() -> tuple[int, bytes, bytes]:
        async with living() as house:
            await house.wake()
            woken = next(step.event.at for _, step in house.steps if hasattr(step.event, "at"))
            house.say()
            await house.until_phase(Phase.SPEAKING)
            start = 2 * (woken - 24_000)
            received = bytes(house.wire.received_pcm)
            return woken, received, house.backend.mic.tobytes()[start : start + len(received)]

    woken, received, meant = run_virtual(main())
    assert woken >= 24_000
    assert len(received) > 2 * 24_000
    assert received == meant


def test_two_conversations_in_a_row_are_two_sessions() -> None:
    async def main() -> House:
        async with living(brain="parrot") as house:
            for _ in range(2):
                await house.ask()
                await house.until_phase(Phase.IDLE)
                await asyncio.sleep(1)
            return house

    house = run_virtual(main())
    assert len(house.simulator.connections) == 2
    assert [kinds(house.received(number))[-1] for number in (0, 1)] == ["leave", "leave"]
    replies = [step.event.reply_id for _, step in house.steps if isinstance(step.event, ReplyStarted)]
    assert replies == [1, 2]
    assert house.heard(2).tobytes() == bytes(house.simulator.connections[1].sent_pcm[1])
    assert house.phases == [Phase.IDLE, *[Phase.CONNECTING, Phase.LISTENING, Phase.THINKING, Phase.SPEAKING,
                                         Phase.LISTENING, Phase.IDLE] * 2]  # fmt: skip


def test_nobody_speaks_after_the_wake_word() -> None:
    async def main() -> House:
        async with living() as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            began = now()
            await house.until_phase(Phase.IDLE)
            assert now() - began == pytest.approx(10, abs=1)
            await asyncio.sleep(1)
            assert not house.app.session.connected
            return house

    house = run_virtual(main())
    assert house.faults == set()
    assert kinds(house.received())[-1] == "leave"


def test_zbe_56_a_question_after_the_wake_word_and_a_pause_is_the_utterance() -> None:
    """Many wait for the light before they ask. The wake word alone is no question to be answered meanwhile."""

    async def main() -> tuple[bytes, bytes]:
        async with living(service="zeebee", duplex="half") as house:
            name = speech("wake")
            house.backend.say(name)
            await asyncio.sleep(len(name) / 16_000 + 0.1)
            await house.wake()
            await asyncio.sleep(1.2)
            begin = house.backend.position
            end = begin + round(house.say() * 16_000)
            await asyncio.sleep(5)
            return bytes(house.wire.received_pcm), house.backend.mic.tobytes()[2 * begin : 2 * end]

    received, question = run_virtual(main())
    assert len(question) > 16_000
    assert question in received
