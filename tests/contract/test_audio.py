"""The promises of voicebox/audio/base.py, held against every back-end: arrays in virtual time, PyAudio on PulseAudio.

What left the speaker is compared sample by sample with what was played. Both worlds carry 16-bit samples unchanged, so
"heard whole" means bit-exact.
"""

import asyncio
import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import pulse as pulse_support
from tests.support.boxes import Box, PulseBox, WavBox
from tests.support.hearing import account
from voicebox.audio.base import BLOCK, MAX_BUFFERED, PLAYBACK_RATE
from voicebox.audio.playback import FADE

Samples = NDArray[np.int16]
MOST_AFTER_FLUSH = 480  # samples at 24 kHz: 20 ms
HOLD_FADE = round(FADE * PLAYBACK_RATE)


def noise(seconds: float, seed: int, rate: int = PLAYBACK_RATE) -> Samples:
    """Loud noise without a zero, so that every sample can be told from silence and from its neighbours."""
    values = np.random.default_rng(seed).integers(1_000, 12_000, round(seconds * rate))
    return np.where(np.arange(values.size) % 2, values, -values).astype(np.int16)


def find(needle: Samples, haystack: Samples) -> int:
    """Where ``needle`` occurs, bit-exact and exactly once."""
    starts = np.flatnonzero(haystack[: haystack.size - needle.size + 1] == needle[0])
    found = [int(i) for i in starts if np.array_equal(haystack[i : i + needle.size], needle)]
    assert len(found) == 1, f"found {len(found)} times in {haystack.size} samples"
    return found[0]


@pytest.fixture(scope="module")
def pulse() -> Iterator[pulse_support.PulseServer]:
    if not pulse_support.available():
        pytest.skip("needs PulseAudio: apt-get install pulseaudio pulseaudio-utils libasound2-plugins")
    with pulse_support.PulseServer() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.env.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["wav", "portaudio"])
def box(request: pytest.FixtureRequest) -> Box:
    return WavBox() if request.param == "wav" else PulseBox(request.getfixturevalue("pulse"))


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

    def test_buffer_holds_two_minutes_and_gives_the_memory_back(self, box: Box) -> None:
        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for second in range(round(MAX_BUFFERED)):
                speaker.play(1, noise(1.0, seed=second).tobytes())
            assert speaker.buffered > MAX_BUFFERED - 5
            assert tracemalloc.get_traced_memory()[0] - before > 5_000_000
            await box.listen(480)
            flushed = speaker.flush(1)
            assert flushed.discarded > (MAX_BUFFERED - 5) * PLAYBACK_RATE
            assert speaker.buffered <= FADE
            await box.listen(2_400)
            assert speaker.buffered == 0
            assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
            tracemalloc.stop()

        box.run(test)


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


class TestDuck:
    def test_softens_by_12_db_without_a_click_and_comes_back_exactly(self, box: Box) -> None:
        reply = np.full(PLAYBACK_RATE, 8_000, np.int16)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(1, reply.tobytes())
            speaker.finish(1)
            await box.listen(6_000)
            speaker.duck(on=True)
            await box.listen(6_000)
            speaker.duck(on=False)
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            heard = box.heard()
            first = int(np.flatnonzero(heard)[0])
            level = heard[first : first + reply.size].astype(np.int32)
            assert level.min() == round(8_000 * 10 ** (-12 / 20))
            softest = np.flatnonzero(level == level.min())
            assert softest.size == pytest.approx(6_000 - 480, abs=700)
            assert np.array_equal(softest, np.arange(softest[0], softest[-1] + 1))
            assert np.abs(np.diff(level)).max() < 8_000 / 400
            assert np.count_nonzero(level == 8_000) == reply.size - softest.size - 2 * 479

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
        reply = np.full(PLAYBACK_RATE, 8_000, np.int16)

        async def test(box: Box) -> None:
            speaker = box.backend.speaker
            speaker.play(1, reply.tobytes())
            speaker.finish(1)
            await box.listen(6_000)
            called = box.now()
            speaker.set_volume(0.5)
            await box.listen(6_000)
            speaker.set_volume(1.0)
            await box.until(lambda: box.drained == [1])
            await box.listen(2_400)
            heard = box.heard()
            first = int(np.flatnonzero(heard)[0])
            level = heard[first : first + reply.size].astype(np.int32)
            softest = np.flatnonzero(level == 1_000)
            assert level.min() == 1_000
            assert np.array_equal(softest, np.arange(softest[0], softest[-1] + 1))
            assert softest[0] + first - called <= 480 + MOST_AFTER_FLUSH
            assert np.abs(np.diff(level)).max() <= 7_000 / 480 + 1
            assert np.count_nonzero(level == 8_000) == reply.size - softest.size - 2 * 479

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
