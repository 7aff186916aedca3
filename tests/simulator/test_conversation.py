"""LIRA-46: what it answers, how fast, and how it is interrupted."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from tests.simulator.client import QUESTION, SILENCE, Client, client_of
from voicebox.assets import speech
from voicebox.audio.pcm import resample
from voicebox.errors import ConfigError
from voicebox.simulator import Simulator
from voicebox.simulator.brains import BRAINS
from voicebox.simulator.pacing import BURSTY, Pace, Playout
from voicebox.simulator.turns import Turn, Turns
from voicebox.virtualtime import run_virtual

CUT_IN = speech("cut_in").tobytes()


def turn_of(pcm: bytes) -> bytes:
    turns = Turns()
    (turn,) = [event for event in (*turns.feed(pcm), *turns.finish()) if isinstance(event, Turn)]
    return turn.pcm


def at_24k(pcm: bytes) -> bytes:
    return resample(np.frombuffer(pcm, "<i2"), 16_000, 24_000).tobytes()


@pytest.mark.parametrize("live", [False, True], ids=["backlog", "live"])
def test_the_parrot_says_back_exactly_the_turn(live: bool) -> None:
    """LIRA-46: every sample, at 24 kHz; what was received is what was sent."""

    async def main() -> None:
        async with Simulator(keep=True) as simulator, client_of(simulator) as client:
            await client.listen(simulator)
            await client.speak(SILENCE + QUESTION + SILENCE, live=live)
            await client.until("ai_response_end")
            (kept,) = simulator.connections
        assert kept.received_pcm == SILENCE + QUESTION + SILENCE
        assert client.audio() == at_24k(turn_of(SILENCE + QUESTION + SILENCE))
        assert kept.sent_pcm == {1: client.audio()}
        assert kept.late_pcm == {}

    run_virtual(main())


def test_audio_stop_ends_the_turn_without_a_hang_over() -> None:
    """LIRA-46, push-to-talk: the reply holds the last sample."""

    async def main() -> None:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.listen(simulator)
            await client.speak(QUESTION)
            await client.send({"type": "audio_stop"})
            await client.until("ai_response_end", 2)
        assert client.audio() == at_24k(QUESTION)

    run_virtual(main())


def test_the_talker_gives_its_long_answers_in_turn() -> None:
    """LIRA-46"""

    async def main() -> None:
        async with Simulator(brain="talker", keep=True) as simulator, client_of(simulator) as client:
            await client.join(simulator)
            for _ in range(3):
                await client.send({"type": "text", "text": "well?"})
                await client.until("ai_response_end")
                await client.silence(15)
            kept = simulator.connections[0].sent_pcm
        first, second = (at_24k(speech(name).tobytes()) for name in ("answer", "answer2"))
        assert kept == {1: first, 2: second, 3: first}

    run_virtual(main())


def test_unknown_brains_and_services_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="parrot, talker"):
        Simulator(brain="oracle")
    with pytest.raises(ConfigError, match="lira"):
        Simulator("alexa")
    assert all(kind.DESCRIPTION for kind in BRAINS.values())


async def talking(client: Client, simulator: Simulator) -> None:
    await client.listen(simulator)
    await client.speak(QUESTION + SILENCE)
    await client.until("audio")


def test_speech_interrupts_a_reply_that_is_being_sent() -> None:
    """LIRA-46: no sound follows the interruption, and the new turn is answered."""

    async def main() -> None:
        async with Simulator(brain="talker", keep=True) as simulator, client_of(simulator) as client:
            await talking(client, simulator)
            await client.speak(CUT_IN[: 32_000 * 3 // 10])
            await client.until("interruption", 0.1)
            at = len(client.got)
            await client.speak(CUT_IN[32_000 * 3 // 10 :] + SILENCE)
            await client.until("transcript", 0.1)
            assert client.audio(at) == b""
            await client.until("ai_response_end")
            kept = simulator.connections[0].sent_pcm
        assert len(kept[1]) < 48_000
        assert client.audio(at) == kept[2] == at_24k(speech("answer2").tobytes())

    run_virtual(main())


def test_speech_interrupts_a_reply_that_was_sent_but_is_still_playing() -> None:
    """LIRA-46: it sends faster than real time, so it keeps count of what can still be heard."""

    async def main() -> None:
        async with Simulator(brain="talker") as simulator, client_of(simulator) as client:
            await talking(client, simulator)
            sent = await client.until("ai_response_end")
            assert sent.at < 14.28 / 4
            await asyncio.sleep(14 - sent.at)
            await client.speak(CUT_IN[:16_000])
            await client.until("interruption", 0.1)

    run_virtual(main())


def test_nobody_interrupts_a_reply_that_has_been_heard() -> None:
    async def main() -> None:
        async with Simulator(brain="talker") as simulator, client_of(simulator) as client:
            await talking(client, simulator)
            await client.until("ai_response_end")
            await asyncio.sleep(15)
            await client.speak(CUT_IN + SILENCE)
            await client.until("ai_response_end")
        assert "interruption" not in client.kinds

    run_virtual(main())


def test_a_cough_does_not_interrupt() -> None:
    """LIRA-46: 200 ms of energy are needed."""

    async def main() -> None:
        async with Simulator(brain="talker") as simulator, client_of(simulator) as client:
            await talking(client, simulator)
            await client.speak(SILENCE + CUT_IN[1600:5000] + SILENCE)
            await client.until("ai_response_end")
        assert "interruption" not in client.kinds

    run_virtual(main())


def test_a_written_turn_cuts_the_reply_before_it() -> None:
    async def main() -> None:
        async with Simulator(brain="talker") as simulator, client_of(simulator) as client:
            await talking(client, simulator)
            await client.send({"type": "text", "text": "something else"})
            await client.until("interruption", 0.1)
            assert (await client.until("transcript", 0.1)).fields["text"] == "something else"
            await client.until("ai_response_end")
        assert client.kinds.count("ai_response_end") == 1

    run_virtual(main())


def test_two_clients_do_not_disturb_each_other() -> None:
    async def main() -> None:
        async with Simulator(keep=True) as simulator, client_of(simulator) as one, client_of(simulator) as two:
            await asyncio.gather(one.listen(simulator), two.listen(simulator))
            await asyncio.gather(one.speak(QUESTION + SILENCE), two.speak(CUT_IN + SILENCE))
            await asyncio.gather(one.until("ai_response_end"), two.until("ai_response_end"))
            assert {bytes(kept.received_pcm) for kept in simulator.connections} == {
                QUESTION + SILENCE,
                CUT_IN + SILENCE,
            }
        assert one.audio() == at_24k(turn_of(QUESTION + SILENCE))
        assert two.audio() == at_24k(turn_of(CUT_IN + SILENCE))

    run_virtual(main())


# pacing

PCM = bytes(range(256)) * 600  # 3.2 s


def test_replies_are_sent_faster_than_real_time_in_short_messages() -> None:
    """LIRA-46: 4 to 8 times, messages of 40 to 100 ms, nothing lost between them."""
    schedule = list(Pace().schedule(PCM))
    assert b"".join(pcm for _, pcm in schedule) == PCM
    assert {len(pcm) for _, pcm in schedule[:-1]} == {3840}
    assert 4 <= 3.2 / schedule[-1][0] <= 8


def test_bursty_replies_have_gaps_of_200_to_400_ms() -> None:
    """LIRA-45: as the vendor measured."""
    schedule = list(BURSTY.schedule(PCM))
    offsets = sorted({offset for offset, _ in schedule})
    gaps = [round(b - a, 3) for a, b in pairwise(offsets)]
    assert gaps == [0.2, 0.3, 0.4, 0.2]
    assert b"".join(pcm for _, pcm in schedule) == PCM
    assert schedule[-1][0] < 3.2


def test_playout_counts_on_from_what_is_still_playing() -> None:
    async def main() -> None:
        playout = Playout()
        seen = [playout.playing]
        playout.add(1.0)
        playout.add(1.0)
        await asyncio.sleep(1.9)
        seen.append(playout.playing)
        await asyncio.sleep(0.2)
        seen.append(playout.playing)
        playout.add(1.0)
        seen.append(playout.playing)
        playout.cut()
        seen.append(playout.playing)
        assert seen == [False, True, False, True, False]

    run_virtual(main())
