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
