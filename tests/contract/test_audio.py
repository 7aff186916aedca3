"""The promises of voicebox/audio/base.py, held against every back-end: arrays in virtual time, PyAudio on PulseAudio.

What left the speaker is compared sample by sample with what was played. Both worlds carry 16-bit samples unchanged, so
"heard whole" means bit-exact.
"""

import asyncio
import itertools
import tracemalloc

import numpy as np

from tests.support.boxes import MOST_AFTER_FLUSH, Box, WavBox, find, noise
from voicebox.audio.base import BLOCK, MAX_BUFFERED, PLAYBACK_RATE
from voicebox.audio.playback import FADE


class TestMicrophone:
    def test_blocks_come_in_order_and_are_whole(self, box: Box) -> None:
        async def test(box: Box) -> None:
            await box.until(lambda: len(box.blocks) >= 60)
            positions = [block.position for block in box.blocks]
            assert positions[0] == 0
            assert all(b - a >= BLOCK for a, b in itertools.pairwise(positions))
            assert {len(block.pcm) for block in box.blocks} == {2 * BLOCK}
            assert box.backend.position == positions[-1] + BLOCK

        box.run(test)

    def test_what_is_said_arrives_bit_exact(self, box: Box) -> None:
        said = noise(1.0, seed=1, rate=16_000)

        async def test(box: Box) -> None:
            await box.say(said)
            enough = len(box.blocks) + 75
            await box.until(lambda: len(box.blocks) >= enough)
            find(said, box.mic())

        box.run(test)

    def test_blocks_that_may_wait_come_together_whole_and_in_order(self, box: Box) -> None:
        said = noise(1.0, seed=2, rate=16_000)

        async def test(box: Box) -> None:
            box.backend.wait_for(10**9)
            begun = len(box.blocks)
            await box.until(lambda: len(box.blocks) > begun)
            assert len(box.blocks) - begun > 1
            await box.say(said)
            enough = len(box.blocks) + 60
            await box.until(lambda: len(box.blocks) >= enough)
            box.backend.wait_for(0)
            enough = len(box.blocks) + 10
            await box.until(lambda: len(box.blocks) >= enough)
            find(said, box.mic())
            positions = [block.position for block in box.blocks]
            assert positions == sorted(set(positions))

        box.run(test)

    def test_ready_is_reported_for_both_and_nothing_is_lost(self, box: Box) -> None:
        async def test(box: Box) -> None:
            await box.until(lambda: len(box.blocks) >= 5)
            assert sorted(box.ready) == ["microphone", "speaker"]
            assert box.lost == []

        box.run(test)

    def test_captured_at_tells_when_evenly(self, box: Box) -> None:
        async def test(box: Box) -> None:
            await box.until(lambda: len(box.blocks) >= 100)
            now = box.clock()
            times = np.array([block.captured_at for block in box.blocks[50:]])
            assert np.abs(np.diff(times) - BLOCK / 16_000).max() < 0.001
            assert 0.01 < now - times[-1] < 0.5

        box.run(test)


class TestReference:
    def test_everything_the_card_is_given_is_told_and_when_it_is_heard(self, box: Box) -> None:
        reply, notice = noise(0.5, seed=31), noise(0.1, seed=32)

        async def test(box: Box) -> None:
            box.backend.speaker.play(1, reply.tobytes())
            box.backend.speaker.finish(1)
            await box.until(lambda: box.drained == [1])
            box.backend.speaker.notify(notice.tobytes())
            await box.listen(12_000)
            heard = box.heard()
            for sound in (reply, notice):
                given = np.frombuffer(b"".join(pcm for pcm, _, _ in box.given), np.int16)
                place = find(sound, given)
                lengths = np.cumsum([0] + [len(pcm) // 2 for pcm, _, _ in box.given])
                buffer = int(np.searchsorted(lengths, place, side="right")) - 1
                _, rate, at = box.given[buffer]
                assert rate == PLAYBACK_RATE
                said = box.index(at) + place - lengths[buffer]
                assert abs(said - find(sound, heard)) <= 5 * box.tolerance

        box.run(test)


class TestReply:
    def test_is_heard_whole_and_drained_after_its_last_sample(self, box: Box) -> None:
        reply = noise(1.5, seed=2)

        async def test(box: Box) -> None:
            for start in range(0, reply.size, 1_111):
                box.backend.speaker.play(1, reply[start : start + 1_111].tobytes())
            box.backend.speaker.finish(1)
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            heard = box.heard()
            end = find(reply, heard) + reply.size
            assert np.count_nonzero(heard) == reply.size
            assert box.drained_at[0] >= end - box.tolerance
            assert box.backend.speaker.playing == (0, 0)
            assert box.backend.speaker.underruns == 0

        box.run(test)

    def test_finished_when_the_card_holds_the_last_of_it_is_drained_after_that(self, box: Box) -> None:
        reply = noise(0.1, seed=16)

        async def test(box: Box) -> None:
            box.backend.speaker.play(1, reply.tobytes())
            async with asyncio.timeout(10):
                while box.backend.speaker.buffered:
                    await box.listen(24)
            box.backend.speaker.finish(1)
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            assert box.drained_at[0] >= find(reply, box.heard()) + reply.size - box.tolerance

        box.run(test)

    def test_replies_follow_each_other_without_a_gap(self, box: Box) -> None:
        first, second = noise(0.3, seed=3), noise(0.3, seed=4)

        async def test(box: Box) -> None:
            for reply_id, reply in enumerate((first, second), 1):
                box.backend.speaker.play(reply_id, reply.tobytes())
                box.backend.speaker.finish(reply_id)
            await box.until(lambda: box.drained == [1, 2])
            await box.listen(2_400)
            find(np.concatenate([first, second]), box.heard())

        box.run(test)

    def test_position_is_that_of_what_is_heard(self, box: Box) -> None:
        reply = noise(1.0, seed=5)

        async def test(box: Box) -> None:
            box.backend.speaker.play(7, reply.tobytes())
            await box.listen(12_000)
            now, (reply_id, played) = box.now(), box.backend.speaker.playing
            await box.listen(24_000)
            assert reply_id == 7
            true = now - find(reply, box.heard())
            assert abs(played - true) <= 5 * box.tolerance  # 10 ms on PulseAudio: it reports its delay in whole blocks

        box.run(test)

    def test_that_runs_dry_counts_one_underrun_and_goes_on(self, box: Box) -> None:
        first, second = noise(0.1, seed=6), noise(0.1, seed=7)

        async def test(box: Box) -> None:
            box.backend.speaker.play(1, first.tobytes())
            await box.listen(9_600)
            assert box.backend.speaker.underruns == 0
            box.backend.speaker.play(1, second.tobytes())
            box.backend.speaker.finish(1)
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            assert box.backend.speaker.underruns == 1
            assert find(first, box.heard()) < find(second, box.heard())

        box.run(test)

    def test_finish_in_silence_is_answered_but_not_from_within(self, box: Box) -> None:
        async def test(box: Box) -> None:
            box.backend.speaker.finish(3)
            assert box.drained == []
            await box.until(lambda: box.drained == [3])

        box.run(test)

    def test_sound_after_finish_moves_the_end(self, box: Box) -> None:
        first, second = noise(0.2, seed=8), noise(0.2, seed=9)

        async def test(box: Box) -> None:
            box.backend.speaker.play(1, first.tobytes())
            box.backend.speaker.finish(1)
            box.backend.speaker.play(1, second.tobytes())
            box.backend.speaker.finish(1)
            await box.until(lambda: bool(box.drained))
            await box.listen(2_400)
            assert box.drained == [1]
            find(np.concatenate([first, second]), box.heard())

        box.run(test)

    def test_buffer_holds_two_minutes_and_a_flush_empties_it(self, box: Box) -> None:
        async def test(box: Box) -> None:
            await overfill(box)
            flushed = box.backend.speaker.flush(1)
            assert flushed.discarded > (MAX_BUFFERED - 5) * PLAYBACK_RATE
            assert box.backend.speaker.buffered <= FADE
            await box.listen(2_400)
            assert box.backend.speaker.buffered == 0

        box.run(test)

    def test_a_flush_gives_the_memory_back(self) -> None:
        """Of the queue that both back-ends have. Where threads of PortAudio take memory, switching tracemalloc off can
        crash Python (CPython's issue 128679)."""

        async def test(box: Box) -> None:
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                await overfill(box)
                assert tracemalloc.get_traced_memory()[0] - before > 5_000_000
                box.backend.speaker.flush(1)
                await box.listen(2_400)
                assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
            finally:
                tracemalloc.stop()

        WavBox().run(test)


async def overfill(box: Box) -> None:
    """Two minutes are in the buffer, and the first of it is heard."""
    for second in range(round(MAX_BUFFERED)):
        box.backend.speaker.play(1, noise(1.0, seed=second).tobytes())
    assert box.backend.speaker.buffered > MAX_BUFFERED - 5
    await box.listen(480)


class TestFlush:
    def test_dead_reply_is_silent_within_20_ms_without_a_click_and_the_next_is_whole(self, box: Box) -> None:
        loud = np.full(5 * PLAYBACK_RATE, 8_000, np.int16)  # constant: any jump in what is heard is a click
        following = noise(0.2, seed=10)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            for cycle, wait in enumerate((4_801, 5_003, 5_107, 5_209, 4_937)):
                dead, alive = 2 * cycle + 1, 2 * cycle + 2
                begin = box.now()
                speaker.play(dead, loud.tobytes())
                await box.listen(wait)
                called = box.now()
                flushed = speaker.flush(dead)
                speaker.play(alive, following.tobytes())
                speaker.finish(alive)
                await box.until(lambda alive=alive: alive in box.drained)  # type: ignore[misc]
                await box.listen(2_400)
                heard = box.heard()[max(0, begin) :].astype(np.int32)
                following_at = find(following, heard.astype(np.int16))
                dying = heard[called - begin : following_at]
                after = int(np.flatnonzero(dying)[-1]) + 1 if dying.any() else 0
                assert after <= MOST_AFTER_FLUSH
                assert np.abs(np.diff(dying)).max(initial=0) < 8_000 / 20
                assert flushed.reply_id == dead
                assert flushed.latency <= 0.025
            assert box.drained == [2, 4, 6, 8, 10]

        box.run(test)

    def test_newer_replies_go_on(self, box: Box) -> None:
        dead, alive = noise(2.0, seed=11), noise(0.3, seed=12)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(1, dead.tobytes())
            speaker.play(2, alive.tobytes())
            speaker.finish(2)
            await box.listen(4_800)
            speaker.flush(1)
            await box.until(lambda: box.drained == [2])
            await box.listen(2_400)
            find(alive, box.heard())
            assert np.count_nonzero(box.heard()) < alive.size + dead.size / 2

        box.run(test)

    def test_late_sound_of_dead_replies_is_never_heard_nor_drained(self, box: Box) -> None:
        alive = noise(0.2, seed=13)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.flush(5)
            for dead in (4, 5):
                speaker.play(dead, noise(0.5, seed=dead).tobytes())
                speaker.finish(dead)
            assert speaker.buffered == 0
            speaker.play(6, alive.tobytes())
            speaker.finish(6)
            await box.until(lambda: box.drained == [6])
            await box.listen(2_400)
            find(alive, box.heard())
            assert np.count_nonzero(box.heard()) == alive.size

        box.run(test)

    def test_finished_then_flushed_is_not_drained(self, box: Box) -> None:
        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(1, noise(0.3, seed=14).tobytes())
            speaker.finish(1)
            await box.listen(2_400)
            speaker.flush(1)
            await box.listen(12_000)
            assert box.drained == []

        box.run(test)

    def test_in_silence_and_again_and_again_does_no_harm(self, box: Box) -> None:
        async def test(box: Box) -> None:
            for _ in range(100):
                flushed = box.backend.speaker.flush(3)
                assert (flushed.reply_id, flushed.played, flushed.discarded) == (0, 0, 0)
            box.backend.speaker.finish(4)
            await box.until(lambda: box.drained == [4])

        box.run(test)
