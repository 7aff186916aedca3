"""The queue between the event loop and the card: what ends when."""

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
