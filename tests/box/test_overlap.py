"""Somebody speaks over a reply: who may cut it, what only makes it pause, and what makes it softer."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.matrix.witness import assert_silent, events, interruptions, place, sent, uplink
from tests.support.house import House, living
from voicebox.assets import speech
from voicebox.audio.pcm import Samples
from voicebox.core.commands import Duck, Flush, Hold, Resume
from voicebox.core.events import Interrupted, MuteChanged, ReplyDone, SpeakerDrained, SpeechStarted, SpeechStopped
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

FADE = 72
"""Samples over which the speaker fades: 3 ms at 24 kHz."""


def may_cut(*who: str, duck: bool = False) -> dict[str, str]:
    by = ", ".join(f'"{name}"' for name in who)
    return {"VOICEBOX_INTERRUPTION__BY": f"[{by}]", "VOICEBOX_INTERRUPTION__DUCK": str(duck).lower()}


def cough(milliseconds: int = 150) -> Samples:
    """Something that sounds like speech, but not for long."""
    said = speech("ask_time")
    begin = int(np.flatnonzero(np.abs(said) > 1000)[0])
    return said[begin : begin + 16 * milliseconds]


def told(house: House, kind: type) -> list[float]:
    """When this was commanded."""
    return [at for at, step in house.steps for command in step.commands if isinstance(command, kind)]


def sources(house: House) -> list[str]:
    """Who has cut a reply."""
    commands = [command for _, step in house.steps for command in step.commands]
    return [str(command.source) for command in commands if isinstance(command, Flush) and command.source]


def assert_heard_but_for_fades(heard: Samples, said: Samples, fades: int) -> None:
    """All of it, once, in order; where it was held it fades out and in."""
    assert heard.size == said.size > 24_000
    assert 0 < np.count_nonzero(heard != said) <= fades * FADE


async def over(house: House) -> None:
    await house.until(lambda: bool(events(house, SpeakerDrained)))


# --- the box hears it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("duplex", "milliseconds"), [("half", 150), ("half", 250), ("full", 150)])
def test_a_cough_makes_it_pause_and_go_on_without_a_sample_lost_or_doubled(duplex: str, milliseconds: int) -> None:
    async def main() -> House:
        async with living(duplex=duplex, options=may_cut("speech")) as house:
            await house.ask()
            for _ in range(3):
                await asyncio.sleep(2)
                house.backend.say(cough(milliseconds))
            await over(house)
            return house

    house = run_virtual(main())
    assert len(told(house, Hold)) == len(told(house, Resume)) == 3
    for held, resumed in zip(told(house, Hold), told(house, Resume), strict=True):
        assert 0.1 < resumed - held < 0.5
        first, last = (round((at - house.backend.started) * 24_000) for at in (held, resumed))
        assert not house.backend.spk[first + 480 : last].any()  # 20 ms after it fell silent
    assert sources(house) == interruptions(house) == []
    assert_heard_but_for_fades(house.heard(1), sent(house), fades=6)


def test_the_guard_is_as_long_as_the_owner_says() -> None:
    async def main(guard: str) -> list[str]:
        options = may_cut("speech") | {"VOICEBOX_INTERRUPTION__GUARD_MS": guard}
        async with living(duplex="half", options=options) as house:
            await house.ask()
            await asyncio.sleep(2)
            house.backend.say(cough(400))
            await asyncio.sleep(2)
            return sources(house)[:1]

    assert run_virtual(main("300")) == ["speech"]
    assert run_virtual(main("600")) == []


@pytest.mark.parametrize("service", ["lira", "zeebee"])
def test_whoever_goes_on_speaking_cuts_the_reply_and_is_heard_from_before_they_began(service: str) -> None:
    async def main() -> tuple[House, int]:
        async with living(service=service, duplex="half", options=may_cut("speech")) as house:
            await house.ask()
            await asyncio.sleep(3)
            at, before = house.backend.position, uplink(house).size
            house.say("cut_in")
            await house.until_phase(Phase.LISTENING)
            assert events(house, SpeechStarted)[-1].at >= at
            await house.until_phase(Phase.SPEAKING)
            await asyncio.sleep(2)
            begin = place(house, uplink(house)[before : before + 16_000])
            assert begin <= at + 16_000 * 0.3  # speech begins 160 ms into it; 300 ms before that are sent too
            return house, at

    house, at = run_virtual(main())
    assert sources(house)[0] == "speech"
    cut = house.cuts[0]
    assert_silent(house, cut)
    began = at / 16_000 * 24_000
    (held,) = told(house, Hold)[:1]
    assert (held - house.backend.started) * 24_000 - began < 24_000 * 0.4  # silent soon after speech is to be heard
    assert house.heard(2).size > 24_000


def test_in_full_duplex_the_service_says_that_it_was_no_cough() -> None:
    """Though it may not cut its reply itself: what it heard counts as words, before the guard is over."""

    async def main() -> House:
        options = may_cut("speech") | {"VOICEBOX_INTERRUPTION__GUARD_MS": "2000"}
        async with living(options=options) as house:
            await house.ask()
            await asyncio.sleep(3)
            house.say("cut_in")
            await house.until_phase(Phase.LISTENING)
            return house

    house = run_virtual(main())
    assert sources(house) == ["speech"]
    (held,) = told(house, Hold)
    assert told(house, Flush)[0] - held < 1.0
    assert events(house, Interrupted)


def test_a_held_reply_whose_microphone_is_muted_goes_on() -> None:
    async def main() -> House:
        async with living(duplex="half", options=may_cut("speech")) as house:
            await house.ask()
            await asyncio.sleep(2)
            house.say("cut_in")
            await house.until(lambda: bool(told(house, Hold)))
            await asyncio.sleep(0.1)
            house.app.box.dispatch(MuteChanged(muted=True))
            assert told(house, Resume)
            await house.until_phase(Phase.IDLE)
            return house

    house = run_virtual(main())
    assert sources(house) == []
    assert_heard_but_for_fades(house.heard(1), sent(house), fades=2)


# --- who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplex", ["half", "full"])
def test_the_wake_word_does_not_cut_where_it_may_not(duplex: str) -> None:
    async def main() -> House:
        async with living(duplex=duplex, options=may_cut("server", "button")) as house:
            await house.ask()
            await asyncio.sleep(2)
            await house.wake()
            await over(house)
            assert house.phases[-2:] == [Phase.SPEAKING, Phase.LISTENING]
            return house

    house = run_virtual(main())
    assert sources(house) == []
    assert house.heard(1).tobytes() == bytes(house.wire.sent_pcm[1])


@pytest.mark.parametrize("service", ["lira", "nextevi", "liku"])
def test_a_service_that_may_not_cut_is_heard_as_far_as_it_got_and_its_next_reply_follows(service: str) -> None:
    async def main() -> House:
        async with living(service=service, options=may_cut("wake_word", "button")) as house:
            await house.ask()
            await asyncio.sleep(3)
            house.say("cut_in")
            await house.until(lambda: bool(events(house, Interrupted)))
            assert house.phase is Phase.SPEAKING
            await house.until(lambda: len(events(house, ReplyDone)) >= 1 and len(events(house, SpeakerDrained)) >= 1)
            await house.until_phase(Phase.IDLE, 90)
            return house

    house = run_virtual(main())
    assert set(interruptions(house)) == {"server"}
    assert sources(house) == []
    assert house.cuts == []
    for reply in (1, 2):
        assert house.heard(reply).tobytes() == bytes(house.wire.sent_pcm[reply])
    assert house.faults == set()


def test_a_box_that_hears_itself_again_shuts_the_services_ear_at_once() -> None:
    """In mid-reply the echo is no longer cancelled, and all of the reply has come: nothing else would close it."""

    async def main() -> None:
        async with living(options=may_cut("button")) as house:
            await house.ask()
            await house.until(lambda: bool(events(house, ReplyDone)))
            before = uplink(house).size
            await asyncio.sleep(0.5)
            assert uplink(house).size > before
            house.app.box.set_policy(replace(house.app.box.state.policy, full_duplex=False))
            await asyncio.sleep(0.2)
            before = uplink(house).size
            await asyncio.sleep(1.0)
            assert house.phase is Phase.SPEAKING
            assert uplink(house).size == before

    run_virtual(main())


# --- softer ----------------------------------------------------------------------------------------------------------


def test_a_reply_that_speech_may_not_cut_is_softer_while_somebody_speaks() -> None:
    async def main() -> House:
        async with living(options=may_cut(duck=True)) as house:
            await house.ask()
            await asyncio.sleep(3)
            house.say("cut_in")
            await over(house)
            return house

    house = run_virtual(main())
    softer, louder = (step_times(house, on) for on in (True, False))
    assert len(softer) == len(louder) >= 1
    heard, said = house.heard(1).astype(float), sent(house).astype(float)
    first = min(begin for reply, begin, _ in house.backend.speaker.spoken if reply == 1)
    begin, end = (round((at - house.backend.started) * 24_000) - first for at in (softer[0], louder[0]))
    assert end - begin > 24_000 * 0.3
    settled = slice(begin + 720, end)  # 20 ms of ramp behind the card's 10 ms
    assert np.allclose(heard[settled], said[settled] * 10 ** (-12 / 20), atol=1.0)
    assert np.array_equal(heard[: begin - 1], said[: begin - 1])
    assert np.array_equal(heard[-4800:], said[heard.size - 4800 : heard.size])
    assert events(house, SpeechStopped)


def step_times(house: House, on: bool) -> list[float]:
    return [at for at, step in house.steps for command in step.commands if command == Duck(on)]


def test_half_duplex_ducks_nothing_and_asks_no_network() -> None:
    async def main() -> House:
        async with living(duplex="half", options=may_cut("button", duck=True)) as house:
            assert house.app.hearing._over is None
            await house.ask()
            await asyncio.sleep(2)
            house.say("cut_in")
            await over(house)
            return house

    house = run_virtual(main())
    assert house.heard(1).tobytes() == bytes(house.wire.sent_pcm[1])
