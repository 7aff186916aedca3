"""Speech is searched from where the window begins, each sample once; and what the two finders make of it."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.house import Ear, living
from voicebox import parts
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.pcm import Samples, from_bytes, to_bytes
from voicebox.audio.vad import WINDOW, Endpointer
from voicebox.core.events import Event, SpeechStarted, SpeechStopped
from voicebox.core.state import Phase, State, Window
from voicebox.hearing import Canceller, GateFinder, Hearing, SpeechFinder, UtteranceFinder
from voicebox.uplink import RING_SECONDS, Ring, Uplink
from voicebox.virtualtime import run_virtual
from voicebox.wake.base import Detection

RING = RING_SECONDS * 16_000


class Script:
    """A finder that notes what it is given and finds what it is told to, by position."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.searched: list[int] = []  # every sample's position
        self.finds: dict[int, Event] = {}
        self.speaking = False

    def called(self, at: int) -> None:
        pass

    def begin(self, since: int) -> None:
        self.begun.append(since)
        self.searched.clear()

    def block(self, position: int, samples: Samples) -> list[Event]:
        assert len(samples) == BLOCK
        assert samples[0] == value(position)
        self.searched += range(position, position + BLOCK)
        return [self.finds[position]] if position in self.finds else []


def value(position: int) -> int:
    return position % 32_749


class World:
    """A Hearing with a microphone whose samples tell their own position."""

    def __init__(
        self, finder: SpeechFinder, over: SpeechFinder | None = None, canceller: Canceller | None = None
    ) -> None:
        self.found: list[Event] = []
        self.uplink = Uplink()
        self.position = 0
        self.state = State()
        self.hearing = Hearing(
            self.uplink, None, finder, self.dispatch, asyncio.get_running_loop(), over=over, canceller=canceller
        )

    def dispatch(self, event: Event) -> None:
        self.found.append(event)
        if isinstance(event, SpeechStopped):  # as the core does
            self.decide(Phase.THINKING)

    def decide(self, phase: Phase, window: Window | None = None, *, muted: bool = False, written: bool = False) -> None:
        self.state = State(phase=phase, window=window, muted=muted, written=written)
        self.hearing.follow(self.state)

    def listen(self, since: int | None) -> None:
        self.decide(Phase.LISTENING, Window(since, armed=True))

    def hear(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            samples = np.array([value(at) for at in range(self.position, self.position + BLOCK)], np.int16)
            self.hearing.block(Block(self.position, to_bytes(samples), self.position / 16_000))
            self.position += BLOCK

    def sound(self, loud: bool, blocks: int) -> None:
        for _ in range(blocks):
            samples = np.tile(np.array([9000, -9000] if loud else [3, -3], np.int16), BLOCK // 2)
            self.hearing.block(Block(self.position, to_bytes(samples), self.position / 16_000))
            self.position += BLOCK


def in_world(finder: SpeechFinder, test: Callable[[World], Awaitable[None]], over: SpeechFinder | None = None) -> World:
    async def main() -> World:
        world = World(finder, over)
        await test(world)
        await asyncio.sleep(0)
        return world

    return run_virtual(main())


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


# --- the finders ---------------------------------------------------------------------------------------------------


def test_the_gate_tells_when_somebody_speaks_also_of_what_was_kept() -> None:
    async def test(world: World) -> None:
        world.sound(loud=False, blocks=100)
        world.sound(loud=True, blocks=20)
        world.listen(90 * BLOCK)
        await asyncio.sleep(0)
        assert world.hearing.speaking
        world.sound(loud=False, blocks=60)

    found = in_world(GateFinder(), test).found
    assert [type(event) for event in found] == [SpeechStarted, SpeechStopped]
    began, ended = found
    assert isinstance(began, SpeechStarted)
    assert isinstance(ended, SpeechStopped)
    assert 100 * BLOCK <= began.at <= 110 * BLOCK
    assert 120 * BLOCK <= ended.at <= 150 * BLOCK


def test_who_was_answered_at_once_is_not_taken_to_speak_on_after_the_answer() -> None:
    """Else the follow-up would last as long as any listening, and its light would not be seen."""

    async def test(world: World) -> None:
        world.listen(None)
        await asyncio.sleep(0)
        world.sound(loud=False, blocks=100)
        world.sound(loud=True, blocks=20)
        world.decide(Phase.SPEAKING)  # before there was quiet for half a second
        world.sound(loud=False, blocks=100)
        world.listen(None)
        await asyncio.sleep(0)
        world.sound(loud=False, blocks=100)

    found = in_world(GateFinder(), test).found
    assert [type(event) for event in found] == [SpeechStarted]


def test_whoever_still_speaks_when_the_next_conversation_begins_is_told_again() -> None:
    async def test(world: World) -> None:
        world.sound(loud=False, blocks=100)
        for _ in range(2):
            world.listen(None)
            await asyncio.sleep(0)
            world.sound(loud=True, blocks=20)
            world.decide(Phase.IDLE)

    found = in_world(GateFinder(), test).found
    assert [type(event) for event in found] == [SpeechStarted, SpeechStarted]


class Loud:
    """A network that takes everything loud for speech."""

    def __init__(self) -> None:
        self.windows = 0

    def probability(self, window: Samples) -> float:
        self.windows += 1
        return 1.0 if int(window.max()) > 1000 else 0.0

    def reset(self) -> None:
        """It has no memory."""


def test_an_utterance_is_found_where_it_was_also_if_most_of_it_is_history() -> None:
    network = Loud()

    async def test(world: World) -> None:
        world.sound(loud=False, blocks=100)
        world.sound(loud=True, blocks=40)
        world.listen(80 * BLOCK)
        await asyncio.sleep(0)
        assert world.hearing.speaking
        world.sound(loud=False, blocks=60)
        assert not world.hearing.speaking

    world = in_world(UtteranceFinder(Endpointer(network)), test)
    began, ended = world.found
    assert isinstance(began, SpeechStarted)
    assert isinstance(ended, SpeechStopped)
    assert abs(began.at - 100 * BLOCK) <= WINDOW
    assert abs(ended.at - (140 * BLOCK + 700 * 16)) <= WINDOW
    searched = ended.at - 80 * BLOCK
    assert network.windows == pytest.approx(searched / WINDOW, abs=2)


def test_half_an_utterance_of_the_last_conversation_is_not_taken_over() -> None:
    async def test(world: World) -> None:
        world.listen(0)
        await asyncio.sleep(0)
        world.sound(loud=True, blocks=40)
        world.decide(Phase.IDLE)
        world.sound(loud=False, blocks=10)
        world.listen(None)
        await asyncio.sleep(0)
        world.sound(loud=False, blocks=100)

    found = in_world(UtteranceFinder(Endpointer(Loud())), test).found
    assert [type(event) for event in found] == [SpeechStarted]


def test_what_is_cleaned_for_the_service_is_searched_as_it_was_heard() -> None:
    """The wake word's ring, too, holds what the microphone gave."""
    searched: list[int] = []

    class Noting:
        speaking = False

        def called(self, at: int) -> None:
            pass

        def begin(self, since: int) -> None:
            assert since == 0

        def block(self, position: int, samples: Samples) -> list[Event]:
            assert position == len(searched) * BLOCK
            searched.append(int(samples[0]))
            return []

    async def main() -> None:
        uplink, heard = Uplink(), Ring()
        hearing = Hearing(
            uplink, None, Noting(), lambda _: None, asyncio.get_running_loop(), lambda samples: -samples, heard=heard
        )
        for number in range(4):
            hearing.block(Block(number * BLOCK, to_bytes(np.full(BLOCK, number + 1, np.int16)), number * 0.02))
            if number == 1:
                hearing.follow(State(phase=Phase.LISTENING, window=Window(0)))
                await asyncio.sleep(0)
        assert list(uplink.ring.read(0, 4 * BLOCK)[::BLOCK]) == [-1, -2, -3, -4]
        assert list(heard.read(0, 4 * BLOCK)[::BLOCK]) == [1, 2, 3, 4]

    run_virtual(main())
    assert searched == [1, 2, 3, 4]


def test_a_box_that_cleans_the_sound_still_scores_it_as_it_was_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silencer:
        def process(self, samples: Samples) -> Samples:
            return np.zeros_like(samples)

        def close(self) -> None:
            pass

    class Noting(Ear):
        def process(self, samples: Samples, *, playing: bool = False) -> list[Detection]:
            scored.append(samples)
            return super().process(samples, playing=playing)

    scored: list[Samples] = []
    monkeypatch.setattr(parts, "front_end", lambda _: Silencer())

    async def main() -> Samples:
        async with living(detector=Noting()) as house:
            await house.wake()
            await asyncio.sleep(1)
            assert not np.any(house.app.uplink.ring.read(0, 16_000))
            return house.backend.mic

    mic = run_virtual(main())
    heard = np.concatenate(scored)
    assert heard.size > 2 * 16_000
    assert np.array_equal(heard, mic[: heard.size])


class Holding:
    """A canceller that keeps three blocks back and turns their sound round."""

    def __init__(self) -> None:
        self.active = self.converged = True
        self._held: list[Block] = []

    def process(self, block: Block) -> list[Block]:
        self._held.append(Block(block.position, to_bytes(-from_bytes(block.pcm)), block.captured_at))
        return [self._held.pop(0)] if len(self._held) > 3 else []


def test_what_the_canceller_gives_back_is_all_that_anybody_hears() -> None:
    async def main() -> None:
        world = World(Script(), canceller=Holding())
        world.hear(10)
        assert world.uplink.ring.end == 7 * BLOCK
        assert world.uplink.ring.read(BLOCK, 5).tolist() == [-value(at) for at in range(BLOCK, BLOCK + 5)]
        assert world.hearing.trouble() is None

    run_virtual(main())


def test_speech_over_a_reply_is_not_looked_for_while_the_echo_is_still_there() -> None:
    async def main() -> None:
        over, canceller = Script(), Holding()
        canceller.process = lambda block: [block]  # type: ignore[method-assign]  # as it came
        world = World(Script(), over, canceller)
        canceller.converged = False
        world.decide(Phase.SPEAKING)
        world.hear(5)
        assert over.searched == []
        canceller.converged = True
        world.hear(1)
        assert over.searched == list(range(5 * BLOCK, 6 * BLOCK))

    run_virtual(main())
