"""The queue between the event loop and the card: what ends when."""

import numpy as np

from voicebox.audio import pcm as sound
from voicebox.audio.playback import Playback


def test_a_reply_without_sound_left_ends_after_the_sound_before_it() -> None:
    ended: list[tuple[int, float]] = []
    queue = Playback(lambda reply_id, when: ended.append((reply_id, when)), clock=lambda: 0.0)
    queue.play(1, bytes(2 * 480))
    queue.finish(2)
    assert ended == []
    queue.pull(240, 0.0)
    assert ended == []
    queue.pull(480, 0.01)
    assert ended == [(2, 0.02)]


def test_replies_end_in_their_order_though_timers_do_not() -> None:
    queue = Playback(lambda *_: None, clock=lambda: 0.0)
    queue.play(1, bytes(2 * 480))
    queue.finish(1)
    queue.finish(2)
    queue.play(3, bytes(2 * 480))
    queue.finish(3)
    queue.pull(481, 0.0)
    assert queue.over(3) == 0
    assert [queue.over(2), queue.over(2), queue.over(2), queue.over(1)] == [1, 2, 0, 0]


def test_the_end_of_a_flushed_reply_is_never_reported() -> None:
    ended: list[int] = []
    queue = Playback(lambda reply_id, _: ended.append(reply_id), clock=lambda: 0.0)
    queue.play(1, bytes(2 * 480))
    queue.finish(2)
    queue.flush(2)
    queue.pull(4800, 0.0)
    assert ended == []


def test_a_flush_while_the_card_is_dry_in_mid_reply_says_what_it_cut() -> None:
    now = 0.0
    queue = Playback(lambda *_: None, clock=lambda: now)
    queue.play(1, bytes(2 * 960))
    queue.pull(480, 0.0)
    now = 1.0  # the card has not asked for more
    flushed = queue.flush(1)
    assert (flushed.reply_id, flushed.played, flushed.discarded) == (1, 480, 480 - 72)
    assert queue.flush(1).reply_id == 0


def test_a_flush_while_the_network_stalls_in_mid_reply_says_what_it_cut() -> None:
    now = 0.0
    queue = Playback(lambda *_: None, clock=lambda: now)
    queue.play(1, bytes(2 * 480))
    queue.pull(960, 0.0)
    now = 1.0
    flushed = queue.flush(1)
    assert (flushed.reply_id, flushed.played, flushed.discarded) == (1, 480, 0)
    assert queue.flush(1).reply_id == 0


def test_a_flush_after_the_end_of_a_reply_cuts_nothing() -> None:
    now = 0.0
    queue = Playback(lambda *_: None, clock=lambda: now)
    queue.play(1, bytes(2 * 480))
    queue.finish(1)
    queue.pull(960, 0.0)
    now = 1.0
    assert queue.flush(1).reply_id == 0


def flushed_while_fading(pulled: int) -> np.ndarray:
    """What is heard of a steady reply that is held and, so many samples later, flushed."""
    queue = Playback(lambda *_: None, clock=lambda: 0.0)
    queue.play(1, np.full(4800, 8000, np.int16).tobytes())
    out = [queue.pull(480, 0.0)]
    queue.hold()
    out.append(queue.pull(pulled, 0.02))
    queue.flush(1)
    out.append(queue.pull(480, 0.03))
    queue.play(2, np.full(240, 5, np.int16).tobytes())
    assert list(sound.from_bytes(queue.pull(240, 0.05) or b"")) == [5] * 240
    return sound.from_bytes(b"".join(piece or b"" for piece in out)).astype(np.int32)


def test_a_flush_in_the_middle_of_a_holds_fade_does_not_click() -> None:
    for pulled in (1, 24, 48, 71, 72, 100):
        heard = flushed_while_fading(pulled)
        assert np.abs(np.diff(heard)).max() < 8000 / 20
        assert not heard[480 + pulled + 72 :].any()
        assert (np.diff(heard) <= 0).all()


def test_silence_counts_only_if_the_card_got_any() -> None:
    now = 0.0
    queue = Playback(lambda *_: None, clock=lambda: now)
    queue.play(1, bytes(2 * 480))
    queue.pull(480, 0.0)  # all there is, and just enough
    now = 0.02
    assert queue.dry == 0
    queue.play(1, bytes(2 * 480))
    assert queue.underruns == 0
    queue.pull(960, 0.02)
    now = 0.05
    assert round(queue.dry, 6) == 0.01
    queue.play(1, bytes(2 * 480))
    assert (queue.underruns, queue.dry) == (1, 0)


def test_what_is_held_or_finished_is_not_dry() -> None:
    now = 0.0
    queue = Playback(lambda *_: None, clock=lambda: now)
    queue.play(1, bytes(2 * 480))
    queue.pull(460, 0.0)
    queue.hold()
    queue.pull(960, 0.02)
    now = 1.0
    assert queue.dry == 0
    queue.resume()
    queue.play(1, bytes(2 * 480))
    assert queue.underruns == 0
    queue.pull(960, now)
    now = 2.0
    assert queue.dry > 0
    queue.hold()
    assert queue.dry == 0
    queue.resume()
    queue.finish(1)
    assert (queue.dry, queue.underruns) == (0, 0)
