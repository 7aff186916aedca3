"""Numbered pieces of base64 are put together as far as they go, whatever their order and wherever they were cut."""

import base64
from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebox.services import _chunks
from voicebox.services._chunks import Base64Text, Chunks

_Style = Callable[[bytes, int], list[str]]
FILE = b"ID3\x04" + bytes(range(256)) * 3


def aligned(data: bytes, size: int = 60) -> list[str]:
    """The whole encoded, then cut at multiples of four."""
    return sliced(data, size)


def sliced(data: bytes, size: int = 61) -> list[str]:
    """The whole encoded, then cut anywhere."""
    text = base64.b64encode(data).decode()
    return [text[at : at + size] for at in range(0, len(text), size)]


def padded(data: bytes, size: int = 50) -> list[str]:
    """Each piece encoded by itself."""
    return [base64.b64encode(data[at : at + size]).decode() for at in range(0, len(data), size)]


STYLES = [aligned, sliced, padded]


def all_of(chunks: Chunks, pieces: list[tuple[int, str]], total: int | None = None) -> tuple[bytes, int]:
    sound = b"".join(chunks.feed(text, index, total) for index, text in pieces)
    rest, missing = chunks.finish()
    return sound + rest, missing


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 60, 61, 62, 63, 5000])
def test_zbe_42_zbe_40_joined_text_and_per_chunk_base64_in_either_count(style: _Style, size: int, first: int) -> None:
    pieces = list(enumerate(style(FILE, size), first))
    assert all_of(Chunks(), pieces, len(pieces)) == (FILE, 0)


@given(st.binary(max_size=200), st.integers(1, 30), st.sampled_from(STYLES))
def test_zbe_42_any_data_cut_anywhere(data: bytes, size: int, style: _Style) -> None:
    text = Base64Text()
    assert b"".join(map(text.feed, style(data, size))) + text.finish() == data
    assert text.malformed == 0


def test_zbe_49_each_piece_is_given_out_when_it_comes() -> None:
    chunks = Chunks()
    out = [chunks.feed(text, index, None) for index, text in enumerate(padded(FILE))]
    assert out == [FILE[at : at + 50] for at in range(0, len(FILE), 50)]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("style", STYLES)
def test_zbe_39_any_order(style: _Style, first: int) -> None:
    """ZBE-40: also where it shows late from which number they count"""
    pieces = list(enumerate(style(FILE, 200 if style is padded else 260), first))
    assert len(pieces) in (4, 5)
    for order in permutations(pieces):
        assert all_of(Chunks(), list(order), len(pieces)) == (FILE, 0)


def test_zbe_40_counting_from_1_is_heard_at_once_where_the_first_piece_shows_itself() -> None:
    for begin in (
        b"ID3\x04abc",
        b"RIFF\1\2\3\4WAVEfmt ",
        b"fLaC....",
        b"OggS\0\2..",
        b"\xff\xfb\x90\xc4" + b"\0" * 32 + b"Info",
    ):
        assert Chunks().feed(base64.b64encode(begin).decode(), 1, 9)[:3] == begin[:3]
    frame = base64.b64encode(b"\xff\xfb\x90\xc4" * 3).decode()
    chunks = Chunks()
    assert chunks.feed(frame, 1, 9) == b"", "may be the second: MP3 frames look alike"
    assert chunks.feed(frame, 2, 9) == b"\xff\xfb\x90\xc4" * 6, "but then the first would have come before this"
    assert chunks.base == 1
    assert Chunks(base=chunks.base).feed(frame, 1, 9), "known from the stream before"
    assert Chunks(base=1).feed(frame, 0, 9), "but 0 is always the first"


def test_zbe_41_duplicates_are_ignored() -> None:
    pieces = list(enumerate(padded(FILE)))
    chunks = Chunks()
    assert all_of(chunks, [pair for pair in pieces for _ in range(2)], len(pieces)) == (FILE, 0)
    assert chunks.duplicates == len(pieces)


@pytest.mark.parametrize("first", [0, 1])
def test_zbe_43_a_missing_piece_leaves_what_came_before_it(first: int) -> None:
    pieces = list(enumerate(padded(FILE), first))
    del pieces[3]
    assert all_of(Chunks(), pieces, len(pieces) + 1) == (FILE[:150], len(pieces) - 2)


def test_zbe_43_the_first_missing_leaves_what_follows() -> None:
    """ "base = lowest index seen" """
    pieces = list(enumerate(padded(FILE)))[1:]
    assert all_of(Chunks(), pieces, len(pieces) + 1) == (FILE[50:], 1)


@pytest.mark.parametrize("total", [None, 0, -3, 1, 2, 1000])
def test_zbe_44_a_wrong_total_or_none_changes_nothing(total: int | None) -> None:
    sound, _ = all_of(Chunks(), list(enumerate(sliced(FILE))), total)
    assert sound == FILE


def test_complete_when_as_many_came_as_were_said() -> None:
    chunks = Chunks()
    assert not chunks.complete
    chunks.feed("AAAA", 1, 2)
    assert not chunks.complete
    chunks.feed("AAAA", 0, None)
    assert chunks.complete


def test_pieces_without_a_number_follow_on_each_other() -> None:
    chunks = Chunks()
    sound = b"".join(chunks.feed(text, None, None) for text in sliced(FILE))
    rest, missing = chunks.finish()
    assert (sound + rest, missing) == (FILE, 0)


@pytest.mark.parametrize("text", ["ünïcode", "====", "AA=A", "A===", "\0\0\0\0", "AAAA!AAA"])
def test_what_is_no_base64_is_counted_and_the_next_piece_is_heard(text: str) -> None:
    decoder = Base64Text()
    decoder.feed(text)
    assert decoder.feed("SUQz") + decoder.feed("SUQz") == b"ID3ID3"


def test_base64_as_others_write_it() -> None:
    assert Base64Text().feed("data:audio/mp3;base64,SUQz") == b"ID3"
    assert Base64Text().feed("SU\r\nQz\n") == b"ID3"
    assert Base64Text().feed("-_-_") == base64.b64decode("+/+/")
    unpadded = Base64Text()
    assert unpadded.feed("SUQzBA") + unpadded.finish() == b"ID3\x04"


def test_com_06_pieces_whose_turn_never_comes_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_chunks, "MAX_WAITING", 1000)
    chunks = Chunks()
    for index in range(5, 105):
        chunks.feed("A" * 100, index, None)
    assert chunks.overflowed == 90
