"""Lira, without I/O: which sound and words belong to which reply, and what becomes of a dead one's."""

import pytest

from tests.services.lira_kit import (
    CUT,
    END,
    PCM,
    answer,
    feed,
    heard,
    joined,
    only,
    redial,
    says,
    understood,
    waits,
)
from voicebox.core.events import Interrupted, ReplyDone, ReplyStarted, ReplyText
from voicebox.services._replies import RELEASE, RELEASE_UNBORN
from voicebox.services.lira import Service

OTHER = b"\2\0" * 240


def cut_while_speaking() -> Service:
    adapter = joined()
    feed(adapter, understood(), answer(), PCM, CUT)
    return adapter


# --- a reply -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("story", [[PCM, answer(), END], [answer(), PCM, END], [answer(), END, PCM], [PCM, END]])
def test_lira_35_sound_and_words_in_any_order_are_one_reply(story: list[str | bytes]) -> None:
    effects = feed(joined(), understood(), *story)
    assert only(ReplyStarted, effects) == [ReplyStarted(1)]
    assert heard(effects) == [(1, PCM)]
    assert only(ReplyDone, effects) == [ReplyDone(1)]


def test_lira_27_the_end_is_told_once_and_only_of_what_has_begun() -> None:
    """A1.2 g: it ends the words; queued sound plays out, which is the core's affair"""
    adapter = joined()
    assert feed(adapter, END) == []
    assert only(ReplyDone, feed(adapter, answer(), END, END)) == [ReplyDone(1)]


@pytest.mark.parametrize("next_turn", [[understood("more"), PCM], [answer("more"), PCM], [understood(), answer(), PCM]])
def test_after_the_end_the_next_turn_is_the_next_reply(next_turn: list[str | bytes]) -> None:
    adapter = joined()
    feed(adapter, answer(), PCM, END)
    assert heard(feed(adapter, *next_turn)) == [(2, PCM)]


def test_what_somebody_else_says_in_mid_reply_does_not_cut_it_in_two() -> None:
    """Meetings have more than one participant, and transcripts come late."""
    effects = feed(joined(), answer(), PCM, understood("mhm"), PCM, END)
    assert heard(effects) == [(1, PCM), (1, PCM)]
    assert only(ReplyDone, effects) == [ReplyDone(1)]


@pytest.mark.parametrize(("frame", "kept"), [(b"\1\0\2", b"\1\0"), (b"\1", None), (b"", None)])
def test_lira_34_an_odd_trailing_byte_is_ignored_and_counted(frame: bytes, kept: bytes | None) -> None:
    """Fault 58: the alignment never slips"""
    adapter = joined()
    assert heard(feed(adapter, frame)) == ([(1, kept)] if kept else [])
    assert adapter.odd_bytes == len(frame) % 2
    assert heard(feed(adapter, PCM)) == [(1, PCM)]


def test_reply_ids_only_rise_also_across_connections() -> None:
    adapter = joined()
    seen = []
    for _ in range(3):
        seen += [e.reply_id for e in only(ReplyStarted, feed(adapter, understood(), PCM, END, understood(), PCM, CUT))]
        adapter.closed(1006, "")
        redial(adapter)
        adapter.opened()
        feed(adapter, says("joined"))
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_new_connection_knows_nothing_of_the_dead_reply_of_the_last() -> None:
    adapter = cut_while_speaking()
    redial(adapter)
    feed(adapter, says("joined"))
    assert heard(feed(adapter, PCM)) == [(2, PCM)]


# --- cut by the service --------------------------------------------------------------------------------------------


def test_lira_36_interruption_says_which_reply_died() -> None:
    adapter = joined()
    feed(adapter, understood(), answer(), PCM)
    effects = feed(adapter, CUT)
    assert only(Interrupted, effects) == [Interrupted(1)]
    assert waits(effects) == {"release": RELEASE}


def test_lira_37_late_sound_of_the_dead_reply_is_dropped_and_counted() -> None:
    """A1.2 h"""
    adapter = cut_while_speaking()
    late = feed(adapter, PCM, PCM, PCM + b"\0")
    assert heard(late) == []
    assert adapter.dropped_bytes == 3 * len(PCM)
    assert waits(late) == {"release": RELEASE}


@pytest.mark.parametrize(
    "release", [understood("stop"), answer("new"), says("transcript", text="new", role="assistant")]
)
def test_lira_37_new_words_release_it(release: str) -> None:
    """A1.2 h"""
    adapter = cut_while_speaking()
    effects = feed(adapter, PCM, release, OTHER)
    assert heard(effects) == [(2, OTHER)]


def test_lira_37_so_do_two_seconds_without_late_sound() -> None:
    """A1.2 h"""
    adapter = cut_while_speaking()
    adapter.later("release")
    assert heard(feed(adapter, OTHER)) == [(2, OTHER)]


@pytest.mark.parametrize("late", [answer(), says("transcript", text="well", role="assistant"), END, CUT])
def test_lira_37_what_belongs_to_the_dead_reply_does_not_release_it(late: str) -> None:
    adapter = cut_while_speaking()
    effects = feed(adapter, late, PCM)
    assert heard(effects) == []
    assert only(ReplyText, effects) == []


def test_lira_37_nor_do_the_late_words_of_a_reply_known_by_sound_only() -> None:
    """The words come in both kinds of message; neither brings the reply back to life."""
    adapter = joined()
    feed(adapter, understood(), PCM, CUT)
    both = [answer("late"), says("transcript", text="late", role="assistant")]
    assert heard(feed(adapter, *both, PCM)) == []
    assert heard(feed(adapter, answer("new"), OTHER)) == [(2, OTHER)]


def test_a_release_that_comes_late_does_not_cut_the_living_reply_in_two() -> None:
    """The timer of an interruption runs on after words have released it."""
    adapter = cut_while_speaking()
    feed(adapter, understood(), answer("new"), OTHER)
    adapter.later("release")
    effects = feed(adapter, OTHER, END)
    assert heard(effects) == [(2, OTHER)]
    assert only(ReplyDone, effects) == [ReplyDone(2)]


def test_interruptions_may_come_twice_early_and_in_storms() -> None:
    """Fault 63"""
    adapter = joined()
    assert only(Interrupted, feed(adapter, CUT, CUT)) == [Interrupted(0), Interrupted(0)]
    effects = feed(adapter, understood(), answer(), PCM, *[CUT] * 1000)
    assert {e.reply_id for e in only(Interrupted, effects)} == {1}
    assert heard(feed(adapter, PCM)) == []
    assert heard(feed(adapter, understood("so"), answer("new"), OTHER)) == [(2, OTHER)]


def test_an_interruption_of_nothing_swallows_no_reply() -> None:
    adapter = joined()
    feed(adapter, understood(), CUT)
    assert heard(feed(adapter, answer("new"), PCM)) == [(1, PCM)]


# --- cut here ------------------------------------------------------------------------------------------------------


def test_lira_40_a_cut_made_here_drops_what_is_still_on_its_way() -> None:
    adapter = joined()
    feed(adapter, understood(), answer(), PCM)
    effects = adapter.cancel(1)
    assert waits(effects) == {"release": RELEASE}
    assert heard(feed(adapter, PCM, PCM)) == []
    assert heard(feed(adapter, understood("no"), answer("new"), OTHER)) == [(2, OTHER)]


def test_lira_40_also_when_all_of_it_has_been_sent() -> None:
    """The usual case: servers send faster than speech is heard."""
    adapter = joined()
    feed(adapter, understood(), answer(), PCM, END)
    assert waits(adapter.cancel(1)) == {"release": RELEASE}
    assert heard(feed(adapter, PCM)) == []
    assert heard(feed(adapter, answer("new"), OTHER)) == [(2, OTHER)]


def test_lira_40_a_reply_cut_before_its_first_sound_is_waited_for_longer() -> None:
    adapter = joined()
    feed(adapter, understood(), answer())
    assert waits(adapter.cancel(1)) == {"release": RELEASE_UNBORN}
    assert heard(feed(adapter, PCM)) == []


def test_lira_40_a_reply_cut_before_anything_of_it_came_is_not_heard_either() -> None:
    adapter = joined()
    feed(adapter, answer("first"), PCM, END, understood("what time is it"))
    assert waits(adapter.cancel(1)) == {"release": RELEASE_UNBORN}
    effects = feed(adapter, answer("noon"), PCM, END)
    assert heard(effects) == []
    assert only(ReplyText, effects) == []
    assert heard(feed(adapter, understood("in Tokyo"), answer("night"), OTHER)) == [(2, OTHER)]


def test_a_cut_with_nothing_on_its_way_drops_nothing() -> None:
    """As after a reconnection while the old reply was still heard."""
    adapter = joined()
    assert adapter.cancel(7) == []
    assert heard(feed(adapter, PCM)) == [(1, PCM)]


def test_the_services_own_interruption_after_a_cut_made_here_changes_nothing() -> None:
    adapter = joined()
    feed(adapter, understood(), answer(), PCM)
    adapter.cancel(1)
    assert only(Interrupted, feed(adapter, PCM, CUT, PCM)) == [Interrupted(1)]
    assert heard(feed(adapter, understood("no"), answer("new"), OTHER)) == [(2, OTHER)]


def test_an_unknown_timer_means_nothing() -> None:
    assert joined().later("nonsense") == []
