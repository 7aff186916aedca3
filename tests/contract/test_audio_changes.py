"""What is done to sound on its way, with every back-end: held, softened, made louder, not captured, stopped."""

import asyncio
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.boxes import MOST_AFTER_FLUSH, Box, Samples, find, noise
from tests.support.hearing import account
from voicebox.audio.base import BLOCK, PLAYBACK_RATE
from voicebox.audio.playback import FADE

HOLD_FADE = round(FADE * PLAYBACK_RATE)


def cut(heard: Samples, reply: Samples) -> int:
    """Samples of silence in the middle of the reply, of which not one is lost or doubled: all but the two fades are
    bit-exact."""
    sounding = np.flatnonzero(heard)
    jumps = np.diff(sounding)
    at = int(np.argmax(jumps))
    before = heard[sounding[0] : sounding[at] + 2]  # the last sample of the fade is 0
    after = heard[sounding[at + 1] : sounding[-1] + 1]
    assert before.size + after.size == reply.size
    ramp = np.arange(1, HOLD_FADE + 1) / HOLD_FADE
    meant = reply.astype(np.float64)
    meant[before.size - HOLD_FADE : before.size] *= 1 - ramp
    meant[before.size : before.size + HOLD_FADE] *= ramp
    assert np.abs(np.concatenate([before, after]) - meant).max() <= 1
    assert np.array_equal(before[:-HOLD_FADE], reply[: before.size - HOLD_FADE])
    assert np.array_equal(after[HOLD_FADE:], reply[before.size + HOLD_FADE :])
    return int(jumps[at]) - 2


class TestHold:
    def test_keeps_every_sample_and_goes_on_with_the_next(self, box: Box) -> None:
        reply = noise(1.0, seed=20)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(1, reply.tobytes())
            speaker.finish(1)
            await box.listen(7_001)
            called = box.now()
            speaker.hold()
            await box.listen(1_200)
            still = speaker.playing
            buffered = speaker.buffered
            await box.listen(3_600)
            assert speaker.playing == still
            assert speaker.buffered == buffered > 0.3
            assert still[0] == 1
            assert box.drained == []
            resumed = box.now()
            speaker.resume()
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            heard = box.heard()
            assert cut(heard, reply) == pytest.approx(resumed - called, abs=500)
            silent_at = int(np.flatnonzero(heard)[0]) + still[1]
            assert silent_at - called <= MOST_AFTER_FLUSH
            assert not heard[silent_at : resumed - box.tolerance].any()
            assert speaker.underruns == 0

        box.run(test)

    def test_of_the_last_samples_holds_back_the_end(self, box: Box) -> None:
        reply = noise(0.2, seed=21)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(1, reply.tobytes())
            speaker.finish(1)
            async with asyncio.timeout(10):
                while speaker.buffered:
                    await box.listen(24)
            speaker.hold()
            await box.listen(4_800)
            assert box.drained == []
            speaker.resume()
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            assert box.drained == [1]
            find(reply, box.heard())

        box.run(test)

    def test_in_silence_keeps_the_next_reply_until_it_ends(self, box: Box) -> None:
        reply = noise(0.2, seed=22)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.hold()
            speaker.play(1, reply.tobytes())
            speaker.finish(1)
            speaker.finish(2)
            await box.listen(4_800)
            assert box.drained == []
            assert not box.heard().any()
            speaker.resume()
            speaker.resume()
            await box.until(lambda: box.drained == [1, 2])
            await box.listen(2_400)
            find(reply, box.heard())

        box.run(test)

    def test_ends_with_a_flush_and_the_next_reply_is_whole(self, box: Box) -> None:
        dead, alive = noise(2.0, seed=23), noise(0.2, seed=24)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(1, dead.tobytes())
            await box.listen(4_800)
            speaker.hold()
            await box.listen(2_400)
            _, played = speaker.playing
            flushed = speaker.flush(1)
            assert (flushed.reply_id, flushed.played) == (1, played)
            assert flushed.discarded == dead.size - played
            await box.listen(1_200)
            silent = box.heard()[-600:]
            speaker.play(2, alive.tobytes())
            speaker.finish(2)
            await box.until(lambda: box.drained == [2])
            await box.listen(2_400)
            assert not silent.any()
            assert np.count_nonzero(box.heard()) == played - 1 + alive.size  # the fade ends with a zero
            find(alive, box.heard())

        box.run(test)

    def test_ends_with_the_flush_of_older_replies_too(self, box: Box) -> None:
        reply = noise(0.6, seed=25)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(2, reply.tobytes())
            speaker.finish(2)
            await box.listen(4_800)
            speaker.hold()
            await box.listen(2_400)
            speaker.flush(1)
            await box.until(lambda: box.drained == [2])
            await box.listen(2_400)
            assert cut(box.heard(), reply) == pytest.approx(2_400, abs=700)

        box.run(test)


async def softened(
    box: Box, soften: Callable[[], object], restore: Callable[[], object]
) -> tuple[NDArray[np.int32], int]:
    """A second of the level 8000 that is softened for a quarter of it: what was heard of it, and which of its samples
    was due when it was."""
    reply = np.full(PLAYBACK_RATE, 8_000, np.int16)
    box.backend.speaker.play(1, reply.tobytes())
    box.backend.speaker.finish(1)
    await box.listen(6_000)
    called = box.now()
    soften()
    await box.listen(6_000)
    restore()
    await box.until(lambda: box.drained == [1])
    await box.listen(2_400)
    heard = box.heard()
    first = int(np.flatnonzero(heard)[0])
    return heard[first : first + reply.size].astype(np.int32), called - first


class TestDuck:
    def test_softens_by_12_db_without_a_click_and_comes_back_exactly(self, box: Box) -> None:
        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            level, _ = await softened(box, lambda: speaker.duck(on=True), lambda: speaker.duck(on=False))
            assert level.min() == round(8_000 * 10 ** (-12 / 20))
            softest = np.flatnonzero(level == level.min())
            assert softest.size == pytest.approx(6_000 - 480, abs=700)
            assert np.array_equal(softest, np.arange(softest[0], softest[-1] + 1))
            assert np.abs(np.diff(level)).max() < 8_000 / 400
            assert np.count_nonzero(level == 8_000) == PLAYBACK_RATE - softest.size - 2 * 479

        box.run(test)

    def test_lasts_through_a_flush(self, box: Box) -> None:
        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.duck(on=True)
            await box.listen(1_200)
            speaker.flush(1)
            speaker.play(2, np.full(2_400, 8_000, np.int16).tobytes())
            speaker.finish(2)
            await box.until(lambda: box.drained == [2])
            await box.listen(2_400)
            assert int(box.heard().max()) == round(8_000 * 10 ** (-12 / 20))

        box.run(test)


class TestCapture:
    def test_closed_it_delivers_nothing_and_its_position_never_goes_back(self, box: Box) -> None:
        async def test(box: Box) -> None:
            await box.until(lambda: len(box.blocks) >= 10)
            box.backend.capture(False)
            box.ready.clear()
            heard, position = len(box.blocks), box.backend.position
            await box.listen(24_000)
            assert len(box.blocks) == heard
            assert box.backend.position >= position
            assert box.microphone_in_use() is False
            opened = box.backend.position
            box.backend.capture(True)
            await box.until(lambda: len(box.blocks) >= heard + 10)
            assert box.microphone_in_use() is True
            positions = [block.position for block in box.blocks]
            assert all(b - a >= BLOCK for a, b in itertools.pairwise(positions))
            assert abs(positions[heard] - opened) < 16_000  # what is said now is known from what was said before
            assert positions[heard] - positions[heard - 1] > 12_000
            assert box.ready == ["microphone"]
            assert box.lost == []

        box.run(test)

    def test_replies_are_heard_meanwhile(self, box: Box) -> None:
        reply = noise(0.5, seed=20)

        async def test(box: Box) -> None:
            box.backend.speaker.play(1, reply.tobytes())
            box.backend.speaker.finish(1)
            box.backend.capture(False)
            await box.listen(4_800)
            box.backend.capture(True)
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            heard = account(reply, box.heard())
            assert heard.whole, heard

        box.run(test)

    def test_closed_before_the_start_it_is_never_opened(self, box: Box) -> None:
        async def test(box: Box) -> None:
            await box.listen(12_000)
            assert (box.blocks, box.ready, box.lost) == ([], ["speaker"], [])
            assert box.microphone_in_use() is False
            box.backend.capture(True)
            await box.until(lambda: len(box.blocks) >= 3)
            assert box.ready == ["speaker", "microphone"]

        box.deaf = True
        box.run(test)


class TestVolume:
    def test_half_is_18_db_softer_at_once_without_a_click_and_full_is_exact(self, box: Box) -> None:
        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            level, called = await softened(box, lambda: speaker.set_volume(0.5), lambda: speaker.set_volume(1.0))
            softest = np.flatnonzero(level == 1_000)
            assert level.min() == 1_000
            assert np.array_equal(softest, np.arange(softest[0], softest[-1] + 1))
            assert softest[0] - called <= 480 + MOST_AFTER_FLUSH
            assert np.abs(np.diff(level)).max() <= 7_000 / 480 + 1
            assert np.count_nonzero(level == 8_000) == PLAYBACK_RATE - softest.size - 2 * 479

        box.run(test)

    def test_concerns_our_own_sounds_too_and_0_is_silence(self, box: Box) -> None:
        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            for level in (0.0, 0.5):
                speaker.set_volume(level)
                await box.listen(1_200)
                speaker.notify(np.full(1_200, 8_000, np.int16).tobytes())
                await box.listen(3_600)
            heard = box.heard()
            assert set(heard.tolist()) == {0, 1_000}
            assert np.count_nonzero(heard) == 1_200

        box.run(test)


class TestStop:
    def test_ends_within_a_second_twice_and_nothing_comes_after(self, box: Box) -> None:
        async def test(box: Box) -> None:
            box.backend.speaker.play(1, noise(0.2, seed=15).tobytes())
            box.backend.speaker.finish(1)
            async with asyncio.timeout(1):
                await box.backend.stop()
                await box.backend.stop()
            before = len(box.blocks)
            await box.listen(12_000)
            assert len(box.blocks) == before
            assert box.drained == []

        box.run(test)

    def test_before_start_does_nothing(self, box: Box) -> None:
        asyncio.run(box.backend.stop())
