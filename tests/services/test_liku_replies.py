"""LIKU, without I/O: which reply sound and words belong to, and how a reply ends or is cut."""

import pytest

from tests.services.liku_kit import (
    DATA,
    OTHER,
    PCM,
    arrive,
    connected,
    feed,
    heard,
    only,
    says,
    seconds,
    service,
    spoken,
    texts,
    understood,
    waits,
    written,
)
from voicebox.core.events import Interrupted, ReplyDone, ReplyStarted, Transcript
from voicebox.services._responses import GAP, SOUNDLESS
from voicebox.services.base import Effect
from voicebox.services.liku import Service

# --- sound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frame", "kept"), [(b"\1\0\2", b"\1\0"), (b"\1", None), (b"", None), (PCM, PCM)])
def test_liku_28_sound_is_pcm_at_24_khz_and_liku_29_half_a_sample_is_ignored(frame: bytes, kept: bytes | None) -> None:
    adapter = connected()
    effects = feed(adapter, frame)
    assert heard(effects) == ([(1, kept)] if kept else [])
    assert adapter.odd_bytes == len(frame) % 2
    assert heard(feed(adapter, PCM)) == [(1, PCM)]
    assert "24 kHz" in Service.capabilities.downlink


# --- replies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "story",
    [
        [spoken(), PCM, PCM],
        [PCM, spoken(), PCM],
        [PCM, PCM, written()],
        [written(), PCM, PCM, spoken()],
        [PCM, written(), PCM, spoken()],
    ],
)
def test_sound_and_words_in_any_order_are_one_reply(story: list[str | bytes]) -> None:
    effects = feed(connected(), understood(), *story)
    assert only(ReplyStarted, effects) == [ReplyStarted(1)]
    assert heard(effects) == [(1, PCM), (1, PCM)]
    assert texts(effects) == [(1, "well")]


def test_liku_32_a_reply_ends_after_a_gap_and_once() -> None:
    """A2.2 h: the core waits for the speaker besides"""
    adapter = connected()
    effects = feed(adapter, PCM, PCM)
    assert waits(effects) == {"gap": GAP}
    assert GAP >= 0.6
    assert adapter.later("gap") == [ReplyDone(1)]
    assert adapter.later("gap") == []


def test_liku_32_a_reply_without_sound_ends_too_but_later() -> None:
    adapter = connected()
    assert waits(feed(adapter, spoken())) == {"gap": SOUNDLESS}
    assert waits(feed(adapter, PCM)) == {"gap": GAP}
    assert adapter.later("gap") == [ReplyDone(1)]


def test_liku_32_what_comes_after_the_gap_is_the_next_reply() -> None:
    """A server that stalls: nothing is lost, and each part ends."""
    adapter = connected()
    feed(adapter, PCM)
    adapter.later("gap")
    effects = feed(adapter, OTHER)
    assert (only(ReplyStarted, effects), heard(effects)) == ([ReplyStarted(2)], [(2, OTHER)])
    assert adapter.later("gap") == [ReplyDone(2)]


@pytest.mark.parametrize("late", [spoken(), written()])
def test_words_that_come_after_the_gap_belong_to_the_sound_before(late: str) -> None:
    adapter = connected()
    feed(adapter, understood(), PCM)
    adapter.later("gap")
    effects = feed(adapter, late)
    assert (only(ReplyStarted, effects), texts(effects)) == ([], [(1, "well")])


def test_liku_23_another_response_id_is_another_reply() -> None:
    """A2.2 g: grouped by response_id"""
    effects = feed(connected(), spoken("a", "a1", "r1"), PCM, spoken("b", "a2", "r1"), spoken("c", "a3", "r2"), OTHER)
    assert texts(effects) == [(1, "a"), (1, "b"), (2, "c")]
    assert heard(effects) == [(1, PCM), (2, OTHER)]
    assert [type(e) for e in effects if isinstance(e, ReplyDone | ReplyStarted)] == [
        ReplyStarted,
        ReplyDone,
        ReplyStarted,
    ]
    late = feed(connected(), spoken("a", "a1", "r1"), spoken("c", "a3", "r2"), spoken("b", "a2", "r1"))
    assert texts(late) == [(1, "a"), (2, "c"), (1, "b")]


def test_reply_ids_only_rise_also_across_connections() -> None:
    adapter, seen = service(), []
    for _ in range(3):
        arrive(adapter)
        adapter.opened()
        seen += [e.reply_id for e in only(ReplyStarted, feed(adapter, PCM, understood(), spoken(), PCM))]
        adapter.cancel(seen[-1])
        adapter.closed(1006, "")
    assert seen == sorted(set(seen))
    assert len(seen) >= 3


# --- cut here ------------------------------------------------------------------------------------------------------


def cut(*before: str | bytes) -> Service:
    adapter = connected()
    feed(adapter, *before)
    adapter.cancel(adapter._responses.newest)
    return adapter


@pytest.mark.parametrize("before", [[understood(), PCM], [understood(), spoken(), PCM], [PCM], [understood()]])
def test_liku_31_a_cut_made_here_drops_what_is_still_on_its_way(before: list[str | bytes]) -> None:
    """A2.2 i: for as long as it takes"""
    adapter = cut(*before)
    assert heard(feed(adapter, PCM, PCM)) == []
    for key in ("gap", "grace", "release"):
        assert not adapter.later(key)
    assert heard(feed(adapter, PCM)) == []
    assert adapter.dropped_bytes == 3 * len(PCM)


def test_liku_31_also_when_all_of_it_seemed_to_have_come() -> None:
    adapter = connected()
    feed(adapter, understood(), PCM)
    adapter.later("gap")
    adapter.cancel(1)
    assert heard(feed(adapter, PCM)) == []


def test_liku_31_a_new_turn_of_the_user_releases_it() -> None:
    adapter = cut(understood("a", "u1"), PCM)
    effects = feed(adapter, PCM, understood("b", "u2"), OTHER)
    assert heard(effects) == [(2, OTHER)]
    assert only(Interrupted, effects) == []


def test_liku_31_so_does_a_new_response_id() -> None:
    adapter = cut(understood(), spoken("a", "a1", "r1"), PCM)
    assert heard(feed(adapter, spoken("b", "a2", "r2"), OTHER)) == [(2, OTHER)]


@pytest.mark.parametrize(
    "late",
    [
        spoken("late", "a2", "r1"),
        written("late", "a2"),
        understood("a", "u1"),
        understood("b", "u2", status="in_progress"),
        understood(" ", "u2"),
        says("news"),
        "hello",
    ],
)
def test_liku_31_nothing_else_does(late: str) -> None:
    adapter = cut(understood("a", "u1"), spoken("a", "a1", "r1"), PCM)
    effects = feed(adapter, late, PCM)
    assert (heard(effects), texts(effects)) == ([], [])


def test_liku_31_nor_the_late_words_of_a_reply_known_by_sound_only() -> None:
    adapter = cut(understood(), PCM)
    assert feed(adapter, spoken("late", "a1", "r1"), written("late", "a1"), spoken("more", "a2", "r1"), PCM) == []
    assert heard(feed(adapter, spoken("new", "a3", "r2"), OTHER)) == [(2, OTHER)]


def test_liku_31_nor_those_of_one_that_was_cut_before_anything_of_it_came() -> None:
    adapter = connected()
    feed(adapter, spoken("old", "a0", "r0"), PCM)
    adapter.later("gap")
    feed(adapter, understood())
    adapter.cancel(1)
    assert feed(adapter, spoken("late", "a1", "r1"), PCM, spoken("older", "a9", "r0")) == []
    assert heard(feed(adapter, understood("b", "u2"), spoken("new", "a2", "r2"), OTHER)) == [(2, OTHER)]


def test_liku_31_words_in_the_other_kind_name_the_reply_too() -> None:
    """Shown once, but the id that comes with the repetition counts."""
    adapter = cut(understood(), written("well", "a1"), PCM, spoken("well", "a1", "r1"))
    assert feed(adapter, spoken("late", "a2", "r1"), PCM) == []
    assert heard(feed(adapter, spoken("new", "a3", "r2"), OTHER)) == [(2, OTHER)]


def test_a_cut_with_nothing_on_its_way_drops_nothing() -> None:
    assert heard(feed(cut(), PCM)) == [(1, PCM)]


def test_a_new_connection_knows_nothing_of_the_dead_reply_of_the_last() -> None:
    adapter = cut(understood(), PCM)
    arrive(adapter)
    adapter.opened()
    assert heard(feed(adapter, PCM)) == [(2, PCM)]


# --- cut by talking ------------------------------------------------------------------------------------------------


def talked(before: float, *, reply: float = 10.0) -> tuple[Service, list[Effect]]:
    """A reply of so many seconds came, then so much sound went up, then the user was understood."""
    adapter = connected()
    feed(adapter, understood("a", "u1"), bytes(int(reply * 48_000)))
    adapter.audio(seconds(before))
    return adapter, feed(adapter, understood("b", "u2"))


def test_a_turn_understood_while_the_reply_is_heard_is_an_interruption() -> None:
    """A2.2 i; D3"""
    adapter, effects = talked(3.0)
    assert [type(e) for e in effects] == [Interrupted, Transcript]
    assert effects[0] == Interrupted(1)
    assert heard(feed(adapter, OTHER)) == [(2, OTHER)]


def test_also_when_all_of_the_reply_has_come_and_its_end_was_told() -> None:
    """Servers send faster than speech is heard."""
    adapter = connected()
    feed(adapter, understood("a", "u1"), bytes(480_000))
    adapter.later("gap")
    adapter.audio(seconds(5))
    assert only(Interrupted, feed(adapter, understood("b", "u2"))) == [Interrupted(1)]
    assert only(Interrupted, feed(adapter, understood("c", "u3"))) == []


@pytest.mark.parametrize("before", [0.0, 0.69, 11.1])
def test_a_late_transcript_is_none_nor_is_one_after_the_reply_was_heard(before: float) -> None:
    """No turn can have ended in less than its 700 ms of quiet."""
    adapter, effects = talked(before)
    assert only(Interrupted, effects) == []
    assert heard(feed(adapter, OTHER)) == [(1, OTHER)]


def test_a_half_duplex_box_hears_nothing_while_it_speaks_so_nobody_has_interrupted() -> None:
    """The silence that ends the stretch is no speech either."""
    adapter = connected()
    feed(adapter, understood("a", "u1"), bytes(480_000))
    adapter.audio_stop()
    assert only(Interrupted, feed(adapter, understood("late", "u2"))) == []
    adapter.later("gap")
    adapter.audio_start()
    adapter.audio(seconds(3))
    effects = feed(adapter, understood("b", "u3"), OTHER)
    assert only(Interrupted, effects) == []
    assert heard(effects) == [(2, OTHER)]


def test_what_was_cut_here_is_not_cut_again_by_the_transcript() -> None:
    adapter = connected()
    feed(adapter, understood("a", "u1"), bytes(480_000))
    adapter.cancel(1)
    adapter.audio(seconds(3))
    assert only(Interrupted, feed(adapter, understood("b", "u2"))) == []


def test_late_words_of_an_interrupted_reply_are_not_shown() -> None:
    adapter = connected()
    feed(adapter, understood("a", "u1"), spoken("one", "a1", "r1"), bytes(480_000))
    adapter.audio(seconds(3))
    effects = feed(adapter, understood("b", "u2"), spoken("two", "a2", "r1"), OTHER)
    assert (texts(effects), heard(effects)) == ([], [(2, OTHER)])


def test_it_says_of_itself_what_it_can() -> None:
    """D4"""
    can = Service.capabilities
    assert (can.streams, can.server_interrupts, can.text_input, can.user_partials) == (True, False, False, True)
    assert (can.assistant_text, can.resumes, can.emotions, can.tasks, can.participants) == ("whole", *[False] * 4)
    assert DATA not in repr(can)
