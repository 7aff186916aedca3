"""What the two finders make of what is heard: the gate, and whole utterances."""

import asyncio

import numpy as np
import pytest

from tests.support.house import Ear, living
from tests.support.microphone import Script, World, in_world, value
from voicebox import parts
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.pcm import Samples, from_bytes, to_bytes
from voicebox.audio.vad import WINDOW, Endpointer
from voicebox.core.events import Event, SpeechStarted, SpeechStopped
from voicebox.core.state import Phase, State, Window
from voicebox.hearing import GateFinder, Hearing, UtteranceFinder
from voicebox.uplink import Ring, Uplink
from voicebox.virtualtime import run_virtual
from voicebox.wake.base import Detection


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
