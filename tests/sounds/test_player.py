"""When it is heard, and what gives way to what: told by a speaker that notes, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from tests.core.story import AT, LATER, LISTENING, SPEAKING, wake
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.core.cues import AGAIN_AFTER, Cue
from voicebox.core.events import (
    ButtonPressed,
    ButtonTapped,
    Category,
    Device,
    DeviceLost,
    DeviceReady,
    Event,
    MuteChanged,
    ReplyDone,
    SessionEnded,
    SessionReady,
    SpeakerDrained,
    StopRequested,
    TextAsked,
)
from voicebox.core.state import Policy, State
from voicebox.core.transitions import step
from voicebox.sounds.library import Library
from voicebox.sounds.player import PAUSE, SETTLED, Sounds, Wanted
from voicebox.virtualtime import run_virtual

EARCON = 0.1  # seconds
MESSAGE = 3.0
REFUSED = SessionEnded("", Category.AUTH)
PRESS = ButtonPressed(AT)
UNPLUGGED = DeviceLost(Device.MICROPHONE, "")
ALL = Wanted(earcons=True, opening=True, messages=True)


class Noted:
    """A speaker's notices."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []

    def notify(self, pcm: bytes) -> None:
        name = "hush" if not pcm else NAMES[int(np.frombuffer(pcm[:2], np.int16)[0])]
        self.heard.append((round(asyncio.get_running_loop().time(), 3), name))


NAMES = dict(enumerate(Cue, start=1))
NUMBERS = {cue: number for number, cue in NAMES.items()}


class Shelf(Library):
    """Every sound is its own number."""

    def __init__(self) -> None:
        self.loaded: list[Cue] = []

    def look(self) -> None: ...

    def load(self, cue: Cue) -> bytes:
        self.loaded.append(cue)
        seconds = MESSAGE if cue in list(Cue)[7:] else EARCON
        return np.full(round(seconds * PLAYBACK_RATE), NUMBERS[cue], np.int16).tobytes()


class Stage:
    """The core, and the sounds that follow it."""

    def __init__(self, wanted: Wanted) -> None:
        self.speaker, self.library = Noted(), Shelf()
        self.loop = asyncio.get_running_loop()
        self.sounds = Sounds(self.library, self.speaker.notify, self.loop, wanted)
        self.state = State()

    def happens(self, *events: Event) -> None:
        for event in events:
            before, (self.state, _) = self.state, step(self.state, event)
            self.sounds.follow(before, event, self.state)

    def news(self) -> list[tuple[float, str]]:
        """What was heard since last asked."""
        heard, self.speaker.heard = self.speaker.heard, []
        return heard


def stage(play: Callable[[Stage], Awaitable[None]], wanted: Wanted = ALL) -> None:
    async def main() -> None:
        there = Stage(wanted)
        run = asyncio.ensure_future(there.sounds.run())
        await asyncio.sleep(1.0)
        await play(there)
        there.sounds.close()
        run.cancel()

    run_virtual(main())


def test_earcons_are_heard_at_once() -> None:
    async def play(there: Stage) -> None:
        there.happens(wake())
        assert there.news() == [(1.0, "wake")]
        await asyncio.sleep(0.05)
        there.happens(SessionReady(), ButtonPressed(LATER), ButtonTapped(LATER))
        assert there.news() == [(1.05, "end")]  # in place of what was left of the other

    stage(play)


@pytest.mark.parametrize(
    ("wanted", "heard"),
    [
        (Wanted(opening=False), ["mute", "unmute", "end"]),
        (Wanted(opening=True), ["wake", "mute", "unmute", "end"]),
        (Wanted(earcons=False, opening=True), []),
    ],
)
def test_what_is_not_wanted_is_not_heard(wanted: Wanted, heard: list[str]) -> None:
    async def play(there: Stage) -> None:
        there.happens(*SPEAKING, MuteChanged(muted=True), MuteChanged(muted=False), ReplyDone(1), SpeakerDrained(1))
        there.happens(SessionEnded(""), StopRequested())
        assert [name for _, name in there.news()] == heard

    stage(play, wanted)


def test_where_the_echo_is_known_to_be_taken_out_listening_is_heard() -> None:
    """It may become so, or cease to be, while the box runs."""

    async def play(there: Stage) -> None:
        for full_duplex in (False, True, False):
            there.state = State(Policy(full_duplex=full_duplex))
            there.happens(wake())
        assert [name for _, name in there.news()] == ["wake"]

    stage(play, Wanted())


def test_a_message_follows_the_earcon_and_is_said_once() -> None:
    async def play(there: Stage) -> None:
        there.happens(PRESS, REFUSED)
        await asyncio.sleep(10)
        assert there.news() == [(1.0, "button"), (1.0 + EARCON + PAUSE, "wrong_token")]
        there.happens(PRESS, REFUSED)
        await asyncio.sleep(10)
        assert there.news() == [(11.0, "button"), (11.0, "error")]

    stage(play)


def test_it_is_said_again_after_a_long_while_and_after_a_cure() -> None:
    async def play(there: Stage) -> None:
        there.happens(wake(), REFUSED)
        await asyncio.sleep(AGAIN_AFTER + MESSAGE + 1)
        assert [name for _, name in there.news()] == ["wake", "wrong_token"]  # nobody tried: nothing in between
        there.happens(wake(), REFUSED)
        await asyncio.sleep(10)
        assert [name for _, name in there.news()] == ["wake", "wrong_token"]
        there.happens(wake(), REFUSED)
        assert [name for _, name in there.news()] == ["wake", "error"]
        there.happens(wake(), SessionReady(), REFUSED)
        await asyncio.sleep(10)
        assert [name for _, name in there.news()] == ["wake", "wrong_token"]

    stage(play)


def test_an_earcon_does_not_cut_a_message() -> None:
    async def play(there: Stage) -> None:
        there.happens(wake(), REFUSED)
        await asyncio.sleep(1)
        there.news()
        there.happens(MuteChanged(muted=True), PRESS)
        await asyncio.sleep(10)
        assert there.news() == []
        there.happens(MuteChanged(muted=False))
        assert [name for _, name in there.news()] == ["unmute"]

    stage(play)


def test_who_tries_again_is_not_talked_over_and_the_message_counts_as_not_said() -> None:
    async def play(there: Stage) -> None:
        there.happens(wake(), REFUSED)
        await asyncio.sleep(1)
        there.news()
        there.happens(wake())
        assert there.news() == [(2.0, "hush"), (2.0, "wake")]
        await asyncio.sleep(0.5)
        there.happens(REFUSED)
        await asyncio.sleep(10)
        assert [name for _, name in there.news()] == ["wrong_token"]

    stage(play)


def test_the_end_of_a_message_cut_short_is_not_that_of_the_next() -> None:
    async def play(there: Stage) -> None:
        there.happens(wake(), REFUSED)
        await asyncio.sleep(1)
        there.happens(wake(), SessionEnded("", Category.QUOTA))
        await asyncio.sleep(1)
        assert there.news()[-1][1] == "used_up"
        there.happens(MuteChanged(muted=True))
        assert there.news() == []

    stage(play)


def test_a_message_never_begins_once_somebody_speaks_to_the_box() -> None:
    async def play(there: Stage) -> None:
        there.happens(wake(), REFUSED)
        there.happens(*LISTENING)
        await asyncio.sleep(10)
        assert [name for _, name in there.news()] == ["wake", "wake"]

    stage(play)


def test_without_messages_the_error_is_heard() -> None:
    async def play(there: Stage) -> None:
        there.happens(wake(), REFUSED)
        await asyncio.sleep(10)
        assert [name for _, name in there.news()] == ["error"]
        assert set(there.library.loaded) == set(list(Cue)[:7])

    stage(play, Wanted(messages=False))


def test_without_a_speaker_nothing_counts_as_said() -> None:
    async def play(there: Stage) -> None:
        there.happens(DeviceLost(Device.SPEAKER, ""), wake(), REFUSED)
        await asyncio.sleep(10)
        assert there.news() == []
        there.happens(DeviceReady(Device.SPEAKER), wake(), REFUSED)
        await asyncio.sleep(10)
        assert [name for _, name in there.news()] == ["wake", "wrong_token"]

    stage(play)


def test_a_box_that_starts_without_microphone_says_so_once_it_has_waited() -> None:
    async def play(there: Stage) -> None:
        there.happens(UNPLUGGED)
        await asyncio.sleep(60)
        assert there.news() == [(SETTLED, "no_microphone")]
        there.happens(PRESS)
        await asyncio.sleep(60)
        assert [name for _, name in there.news()] == ["error"]

    stage(play)


def test_a_conversation_in_writing_is_not_talked_over() -> None:
    async def play(there: Stage) -> None:
        there.happens(UNPLUGGED)
        await asyncio.sleep(SETTLED - 2)
        there.happens(TextAsked("hello"))
        await asyncio.sleep(60)
        assert there.news() == []

    stage(play)


def test_a_microphone_that_comes_late_or_goes_at_night_is_no_news() -> None:
    async def play(there: Stage) -> None:
        there.happens(UNPLUGGED)
        await asyncio.sleep(5)
        there.happens(DeviceReady(Device.MICROPHONE))
        await asyncio.sleep(60)
        there.happens(UNPLUGGED)
        await asyncio.sleep(60)
        assert there.news() == []
        there.happens(PRESS)
        await asyncio.sleep(60)
        assert [name for _, name in there.news()] == ["no_microphone"]

    stage(play)


def test_before_the_earcons_are_read_the_box_works_silently() -> None:
    async def main() -> list[tuple[float, str]]:
        there = Stage(ALL)
        there.happens(wake(), SessionEnded(""))
        return there.news()

    assert run_virtual(main()) == []


def test_what_nobody_expected_is_not_swallowed(tmp_path: Path) -> None:
    """It ends the run by way of the loop's exception handler, as whatever a device's callback raises does."""

    async def main() -> list[object]:
        there = Stage(ALL)
        contexts: list[dict[str, object]] = []
        there.loop.set_exception_handler(lambda _, context: contexts.append(context))

        def fail(cue: Cue) -> bytes:
            raise RuntimeError(f"{tmp_path}: {cue}")

        there.library.load = fail  # type: ignore[method-assign]
        there.happens(wake(), REFUSED)
        await asyncio.sleep(1)
        return [context.get("exception") for context in contexts if "handle" in context]

    (error,) = run_virtual(main())
    assert isinstance(error, RuntimeError)
