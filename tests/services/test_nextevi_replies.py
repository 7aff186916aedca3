"""NextEVI, without I/O: which reply sound and words belong to, when a reply is over, what a dead one may not do."""

import pytest

from tests.services.nextevi_kit import (
    CUT,
    KEY,
    NOW,
    PCM,
    feed,
    final,
    heard,
    llm,
    only,
    raw_tts,
    ready,
    says,
    tts,
    waits,
)
from voicebox.core.events import Interrupted, ReplyDone, ReplyStarted, ReplyText, Source, Transcript
from voicebox.services._generations import (
    GAP,
    LONGEST,
    PATIENCE,
    QUIET,
    QUIET_HERE,
    QUIET_UNBORN,
)
from voicebox.services.base import Effect, Later
from voicebox.services.nextevi import Service

SECOND = bytes(48_000)
CUTS = pytest.mark.parametrize("cut", [CUT, '{"type":"user_interruption"}', says("tts_interruption", content="")])


def started(effects: list[Effect]) -> list[int]:
    return [event.reply_id for event in only(ReplyStarted, effects)]


# --- beginning -----------------------------------------------------------------------------------------------------


def test_a_reply_begins_with_its_words_or_its_sound_whichever_is_first() -> None:
    assert started(feed(ready(), llm("a"), tts(), llm("b"), tts())) == [1]
    assert started(feed(ready(), tts(), llm("a"), tts())) == [1]
    assert heard(feed(ready(), llm("a"), tts())) == [(1, PCM)]


def test_a_new_generation_begins_a_new_reply_and_ends_the_last() -> None:
    effects = feed(ready(), llm("a", "g1", final=True), tts(), llm("b", "g2"), tts())
    assert started(effects) == [1, 2]
    assert only(ReplyDone, effects) == [ReplyDone(1)]
    assert [reply for reply, _ in heard(effects)] == [1, 2]


def test_ids_rise_over_connections() -> None:
    adapter, ids = ready(), []
    for n in range(3):
        adapter.dial(KEY, NOW)
        adapter.opened()
        ids += started(feed(adapter, llm("a", f"g{n}"), tts()))
    assert ids == [1, 2, 3]


# --- ending: nothing on the wire says so ---------------------------------------------------------------------------


def test_silence_after_what_can_have_been_heard_ends_a_reply() -> None:
    """A3.2 i"""
    adapter = ready()
    feed(adapter, llm("a", final=True))
    effects = feed(adapter, tts(SECOND))
    assert waits(effects) == {"gap": GAP + 1.0}
    assert adapter.later("gap") == [ReplyDone(1)]
    assert adapter.later("gap") == [], "once"
    assert waits(feed(adapter, tts(SECOND * 60)))["gap"] == GAP + LONGEST


def test_while_its_words_still_come_silence_is_no_end() -> None:
    adapter = ready()
    feed(adapter, llm("a", index=0), tts())
    assert adapter.later("gap") == [Later(PATIENCE, "gap")]
    assert waits(feed(adapter, llm("b", index=1, final=True))) == {"gap": GAP}
    assert adapter.later("gap") == [ReplyDone(1)]


def test_a_reply_whose_words_never_end_ends_all_the_same() -> None:
    adapter = ready()
    feed(adapter, llm("a"), tts())
    adapter.later("gap")
    assert adapter.later("gap") == [ReplyDone(1)]


def test_silence_before_the_first_sound_is_no_end() -> None:
    adapter = ready()
    feed(adapter, tts(), llm("b", "g2"), llm("c", "g3", final=True))
    assert adapter.later("gap") == []
    assert only(ReplyDone, adapter.later("gap")) == []


def test_the_last_piece_where_it_is_marked_ends_it_at_once() -> None:
    """EVI-58"""
    adapter = ready()
    effects = feed(adapter, llm("a"), tts(is_last=True))
    assert effects[-1] == ReplyDone(1)
    assert adapter.later("gap") == []
    assert feed(adapter, tts(b"", is_last=True)) == []


def test_sound_that_goes_on_after_all_is_a_reply_again() -> None:
    adapter = ready()
    feed(adapter, tts())
    adapter.later("gap")
    assert started(feed(adapter, tts())) == [2]


def test_words_that_come_after_the_sound_belong_to_it() -> None:
    adapter = ready()
    feed(adapter, llm("a", "g1", 0), tts(is_last=True))
    effects = feed(adapter, llm("b", "g1", 1, final=True))
    assert only(ReplyText, effects) == [ReplyText(1, "b")]
    assert only(Transcript, effects)[0].text == "ab"
    assert started(effects) == []


# --- the service interrupts ----------------------------------------------------------------------------------------


@CUTS
def test_evi_53_and_54_an_interruption_names_the_reply_that_died(cut: str) -> None:
    """EVI-53, EVI-54"""
    adapter = ready()
    feed(adapter, llm("a"), tts())
    effects = feed(adapter, cut)
    assert effects[0] == Interrupted(1, Source.SERVER), "first: nothing may hold it up"
    assert waits(effects) == {"release": QUIET}


@CUTS
def test_evi_53_also_when_all_of_it_was_sent_and_it_is_still_heard(cut: str) -> None:
    adapter = ready()
    feed(adapter, llm("a", final=True), tts(is_last=True))
    assert only(Interrupted, feed(adapter, cut)) == [Interrupted(1)]


@CUTS
def test_evi_55_late_sound_of_the_dead_is_dropped(cut: str) -> None:
    adapter = ready()
    feed(adapter, llm("a"), tts(), cut)
    late = feed(adapter, tts(), raw_tts(PCM), llm("b"), tts())
    assert heard(late) == []
    assert started(late) == []
    assert only(ReplyText, late) == []
    assert waits(late) == {"release": 0.3}
    assert adapter.dropped_bytes == 3 * len(PCM)


def dead() -> Service:
    adapter = ready()
    feed(adapter, llm("a", "g1", 0), tts(), CUT)
    return adapter


def test_evi_55_until_the_next_generation() -> None:
    effects = feed(dead(), tts(), llm("x", "g1", 1), llm("b", "g2", 0), tts())
    assert started(effects) == [2]
    assert heard(effects) == [(2, PCM)]


def test_evi_55_or_until_the_user_was_understood() -> None:
    effects = feed(dead(), tts(), final(), tts(b"\2\0" * 9))
    assert heard(effects) == [(2, b"\2\0" * 9)]


@pytest.mark.parametrize("text", [" ", ""])
def test_evi_55_silence_that_was_understood_does_not_count(text: str) -> None:
    assert heard(feed(dead(), final(text), tts())) == []


def test_evi_55_a_partial_does_not_either() -> None:
    assert heard(feed(dead(), says("transcription", transcript="wai", is_final=False), tts())) == []


def test_evi_55_or_until_300_ms_brought_nothing() -> None:
    adapter = dead()
    assert adapter.later("release") == []
    assert heard(feed(adapter, tts())) == [(2, PCM)]


def test_words_of_the_dead_stay_dead_after_that() -> None:
    adapter = dead()
    adapter.later("release")
    assert feed(adapter, llm("x", "g1", 1), llm("y", "g1", 2, final=True)) == []


def test_two_interruptions_kill_one_reply() -> None:
    adapter = ready()
    effects = feed(adapter, tts(), CUT, '{"type":"user_interruption"}', llm("b", "g2"), tts())
    assert only(Interrupted, effects) == [Interrupted(1), Interrupted(1)]
    assert [reply for reply, _ in heard(effects)] == [1, 2]


def test_an_interruption_of_nothing_harms_nothing() -> None:
    effects = feed(ready(), CUT, llm("a"), tts())
    assert only(Interrupted, effects) == [Interrupted(0)]
    assert heard(effects) == [(1, PCM)]


@CUTS
def test_words_without_names_are_the_dead_replys_until_the_user_was_understood(cut: str) -> None:
    adapter = ready()
    late = feed(adapter, llm("a", "", 0), tts(), cut, llm("b", "", 1), tts())
    assert [e.text for e in only(ReplyText, late)] == ["a"]
    assert started(feed(adapter, final(), llm("c", "", 0), tts())) == [2]


# --- it is cut here ------------------------------------------------------------------------------------------------


def test_evi_77_a_cut_here_needs_no_help_of_the_service() -> None:
    adapter = ready()
    feed(adapter, llm("a", "g1", 0), tts())
    effects = list(adapter.cancel(1))
    assert waits(effects) == {"release": QUIET_HERE}
    late = feed(adapter, llm("b", "g1", 1), tts(), llm("c", "g1", 2, final=True), tts())
    assert heard(late) == []
    assert waits(late) == {"release": QUIET_HERE}
    assert heard(feed(adapter, llm("new", "g2", 0), tts())) == [(2, PCM)]


def test_a_reply_cut_before_it_began_is_not_heard_when_it_comes() -> None:
    adapter = ready()
    feed(adapter, final())
    assert waits(adapter.cancel(0)) == {"release": QUIET_UNBORN}
    assert started(feed(adapter, llm("a", "g1", 0), tts(), llm("b", "g1", 1, final=True), tts())) == []
    assert heard(feed(adapter, llm("new", "g2", 0), tts())) == [(1, PCM)]


def test_sound_that_was_cut_before_its_words_came_takes_them_along() -> None:
    adapter = ready()
    feed(adapter, tts())
    adapter.cancel(1)
    assert feed(adapter, llm("a", "g1", 0), llm("b", "g1", 1, final=True)) == []
    assert started(feed(adapter, llm("new", "g2", 0))) == [2]


def test_the_service_confirms_what_was_cut_here() -> None:
    adapter = ready()
    feed(adapter, tts())
    adapter.cancel(1)
    assert waits(feed(adapter, CUT)) == {"release": QUIET}
    assert heard(feed(adapter, tts())) == []
    assert heard(feed(adapter, llm("new", "g2", 0), tts())) == [(2, PCM)]


def test_a_reply_that_was_cut_twice_is_dead_once() -> None:
    adapter = ready()
    feed(adapter, tts())
    adapter.cancel(1)
    assert adapter.cancel(1) == []


def test_a_new_connection_knows_nothing_of_the_dead() -> None:
    adapter = dead()
    adapter.dial(KEY, NOW)
    adapter.opened()
    assert heard(feed(adapter, tts())) == [(2, PCM)]


def test_a_timer_of_nobody_does_nothing() -> None:
    assert ready().later("no such thing") == []
