"""Speech is searched from where the window begins, each sample once."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.microphone import Script, World, in_world
from voicebox.audio.base import BLOCK
from voicebox.core.events import SpeechStarted, SpeechStopped
from voicebox.core.state import Phase, Window
from voicebox.uplink import RING_SECONDS

RING = RING_SECONDS * 16_000


@given(
    before=st.integers(0, 200),
    back=st.integers(-10, 70_000),
    between=st.integers(0, 5),
    after=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_every_sample_since_the_window_began_is_searched_exactly_once(
    before: int, back: int, between: int, after: int
) -> None:
    script = Script()

    async def test(world: World) -> None:
        world.hear(before)
        world.listen(max(0, min(world.position, world.position - back)))
        world.hear(between)  # before the loop has come to it
        await asyncio.sleep(0)
        world.hear(after)

    in_world(script, test)
    (since,) = script.begun
    end = (before + between + after) * BLOCK
    assert script.searched == list(range(end - len(script.searched), end))  # once each, in order, to the end
    first = end - len(script.searched)
    assert since <= first < since + BLOCK  # whole blocks, so up to 20 ms later


def test_no_further_back_than_the_ring_reaches() -> None:
    script = Script()

    async def test(world: World) -> None:
        world.hear(RING // BLOCK + 10)
        world.listen(0)

    world = in_world(script, test)
    assert script.searched[0] == world.position - RING
    assert len(script.searched) == RING


def test_a_window_from_now_on_searches_nothing_of_before() -> None:
    script = Script()

    async def test(world: World) -> None:
        world.hear(50)
        world.listen(None)
        await asyncio.sleep(0)
        world.hear(3)

    in_world(script, test)
    assert script.searched == list(range(50 * BLOCK, 53 * BLOCK))


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.THINKING, Phase.SPEAKING])
def test_nothing_is_searched_while_nobody_is_to_be_heard(phase: Phase) -> None:
    script = Script()

    async def test(world: World) -> None:
        world.listen(0)
        await asyncio.sleep(0)
        world.hear(5)
        world.decide(phase, Window(0))
        world.hear(5)
        world.decide(Phase.LISTENING)  # in writing: no window
        await asyncio.sleep(0)
        world.hear(5)

    in_world(script, test)
    assert script.searched == list(range(5 * BLOCK))


def test_a_search_given_up_before_it_began_does_not_begin() -> None:
    script = Script()

    async def test(world: World) -> None:
        world.hear(5)
        world.listen(0)
        world.decide(Phase.IDLE)
        await asyncio.sleep(0)
        world.hear(5)

    in_world(script, test)
    assert script.searched == []


def test_the_end_of_an_utterance_in_what_was_kept_ends_the_search_there() -> None:
    script = Script()
    script.finds = {3 * BLOCK: SpeechStarted(3 * BLOCK), 6 * BLOCK: SpeechStopped(6 * BLOCK)}

    async def test(world: World) -> None:
        world.hear(10)
        world.listen(0)
        await asyncio.sleep(0)
        world.hear(5)

    world = in_world(script, test)
    assert world.found == [SpeechStarted(3 * BLOCK), SpeechStopped(6 * BLOCK)]
    assert script.searched[-1] == 7 * BLOCK - 1


def test_each_time_it_listens_the_search_begins_anew() -> None:
    script = Script()

    async def test(world: World) -> None:
        for since in (0, 640):
            world.listen(since)
            await asyncio.sleep(0)
            world.hear(2)
            world.decide(Phase.SPEAKING)

    in_world(script, test)
    assert script.begun == [0, 640]


def test_somebody_speaks_only_while_the_box_listens() -> None:
    script = Script()

    async def test(world: World) -> None:
        script.speaking = True
        assert not world.hearing.speaking
        world.listen(0)
        await asyncio.sleep(0)
        assert world.hearing.speaking

    in_world(script, test)


def test_a_window_that_stayed_open_over_a_reply_is_searched_on_from_where_it_ended() -> None:
    """What was said before the reply is known, and the reply itself is nobody's speech."""
    script = Script()

    async def test(world: World) -> None:
        world.listen(0)
        await asyncio.sleep(0)
        world.hear(5)
        world.decide(Phase.SPEAKING, Window(0, armed=True))
        world.hear(50)
        world.listen(0)
        await asyncio.sleep(0)
        world.hear(2)

    in_world(script, test)
    assert script.begun == [0, 55 * BLOCK]
    assert script.searched == list(range(55 * BLOCK, 57 * BLOCK))


def test_over_a_reply_another_finder_searches_from_its_beginning_to_its_end() -> None:
    script, over = Script(), Script()
    over.finds = {12 * BLOCK: SpeechStarted(12 * BLOCK)}

    async def test(world: World) -> None:
        world.listen(0)
        await asyncio.sleep(0)
        world.hear(10)
        for phase in (Phase.SPEAKING, Phase.SPEAKING):
            world.decide(phase)
            world.hear(5)
        world.decide(Phase.LISTENING, Window(None))
        await asyncio.sleep(0)
        world.hear(5)

    world = in_world(script, test, over)
    assert over.begun == [10 * BLOCK]  # once, though the core decided more than once meanwhile
    assert over.searched == list(range(10 * BLOCK, 20 * BLOCK))
    assert script.searched == list(range(20 * BLOCK, 25 * BLOCK))
    assert world.found == [SpeechStarted(12 * BLOCK)]


@pytest.mark.parametrize(("muted", "written"), [(True, False), (False, True)])
def test_nobody_is_overheard_who_was_not_asked(muted: bool, written: bool) -> None:
    over = Script()

    async def test(world: World) -> None:
        world.decide(Phase.SPEAKING, muted=muted, written=written)
        world.hear(5)

    in_world(Script(), test, over)
    assert over.searched == []


def test_a_finder_that_is_exchanged_searches_at_once() -> None:
    first, second = Script(), Script()

    async def test(world: World) -> None:
        world.decide(Phase.SPEAKING)
        world.hear(5)
        world.hearing.overhear_with(second)
        world.hear(5)
        world.hearing.overhear_with(None)
        world.hear(5)

    in_world(Script(), test, first)
    assert first.searched == list(range(5 * BLOCK))
    assert second.searched == list(range(5 * BLOCK, 10 * BLOCK))
