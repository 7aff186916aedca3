"""The measure that scripts/vm-check holds recordings against: it must see what is missing, altered or left over."""

import numpy as np

from tests.system.recording import Samples, match, sounds

SENT: Samples = np.random.default_rng(5).integers(1, 9_000, 24_000).astype(np.int16)


def quiet(count: int) -> Samples:
    return np.zeros(count, np.int16)


def joined(*parts: Samples) -> Samples:
    whole: Samples = np.concatenate(parts)
    return whole


def test_a_whole_reply_is_whole() -> None:
    found = match(joined(quiet(500), SENT, quiet(700)), SENT)
    assert (found.heard, found.missing, found.altered, found.tail, found.gaps) == (24_000, 0, 0, 0, [])
    assert found.last == 500 + 24_000 - 1


def test_a_card_that_ran_dry_shows_as_gaps_and_nothing_is_missing() -> None:
    found = match(joined(quiet(9), SENT[:1200], quiet(480), SENT[1200:2400], quiet(30), SENT[2400:]), SENT)
    assert (found.heard, found.missing, found.altered, found.gaps) == (24_000, 0, 0, [480, 30])


def test_what_is_left_out_is_missing() -> None:
    found = match(joined(SENT[240:1200], SENT[1320:]), SENT)
    assert (found.begin, found.missing, found.altered) == (240, 240 + 120, 0)


def test_what_is_changed_is_altered() -> None:
    changed = SENT.copy()
    changed[5000:5040] += 1
    found = match(changed, SENT)
    assert (found.altered, found.missing) == (40, 40)


def test_what_follows_the_cut_is_its_tail() -> None:
    faded = (SENT[4800:4872] * np.linspace(0.9, 0.0, 72)).astype(np.int16)
    found = match(joined(quiet(100), SENT[:4800], faded, quiet(5000)), SENT)
    assert (found.end, found.altered, found.missing) == (4800, 0, 0)
    assert 0 < found.tail <= 72


def test_another_sound_is_not_the_reply() -> None:
    found = match(SENT[::-1].copy(), SENT)
    assert found.pieces == ()
    assert found.tail == found.last + 1 == 24_000


def test_silence_holds_nothing() -> None:
    found = match(quiet(1000), SENT)
    assert (found.pieces, found.last, found.tail) == ((), -1, 0)


def test_stretches_of_sound_are_parted_by_silence() -> None:
    heard = joined(quiet(10), SENT[:50], quiet(20), SENT[:5], quiet(200), SENT[:7])
    assert sounds(heard, quiet=100) == [(10, 85), (285, 292)]
    assert sounds(quiet(10), quiet=3) == []
