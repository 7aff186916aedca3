"""Encoded replies become what the speaker takes, while they still come in."""

import itertools
import struct
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sounds import amplitude, encoded, tone
from voicebox.audio import decode, mp3
from voicebox.audio.decode import Decoder
from voicebox.audio.pcm import Samples
from voicebox.errors import DeviceError
from voicebox.services.base import Sound

MP3 = encoded(tone(3))
RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
FORMATS = (
    ("MP3", None),
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_32"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAVEX", "PCM_16"),
    ("OGG", "VORBIS"),
    ("FLAC", "PCM_16"),
)


def pieces(data: bytes, size: int, reply_id: int = 1) -> list[Sound]:
    cut = [Sound(reply_id, data[at : at + size]) for at in range(0, len(data), size)]
    return [*cut, Sound(reply_id, b"", last=True)]


def decoded(data: bytes, size: int = 997) -> bytes:
    decoder = Decoder()
    return b"".join(map(decoder, pieces(data, size)))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_any_format_at_any_rate_is_heard_whole(form: str, subtype: str | None, rate: int, channels: int) -> None:
    """ZBE-45, ZBE-46, ZBE-47: found by its first bytes, and every sample of it"""
    pcm = decoded(encoded(tone(1, rate, channels), rate, form, subtype))
    assert len(pcm) == 2 * 24_000
    assert amplitude(pcm) == pytest.approx(0.3, rel=0.03)


@pytest.mark.parametrize("size", [1, 7, 417, 4096, 10**6])
def test_it_does_not_matter_where_the_pieces_are_cut(size: int) -> None:
    wav = encoded(tone(0.5), form="WAV")
    assert decoded(wav, size) == decoded(wav)
    assert decoded(MP3, size) == decoded(MP3)


@pytest.mark.parametrize("data", [MP3, encoded(tone(3, 44_100, 2), 44_100), encoded(tone(3), form="WAV")])
def test_zbe_49_sound_comes_out_while_pieces_come_in(data: bytes) -> None:
    """With each piece, all but half a second of its share of the reply; nothing waits for the end."""
    decoder, heard = Decoder(), 0
    cut = pieces(data, len(data) // 30)
    for number, piece in enumerate(cut[:-1], 1):
        heard += len(decoder(piece)) // 2
        assert heard >= 72_000 * min(1, number * (len(data) // 30) / len(data)) - 12_000
    assert heard > 70_000


def test_pieces_that_are_files_of_their_own() -> None:
    decoder = Decoder()
    parts = [decoder(Sound(1, encoded(tone(0.5), form=form), whole=True)) for form in ("WAV", "MP3", "FLAC", "WAV")]
    assert [len(part) for part in parts] == [24_000] * 4
    assert decoder(Sound(1, b"", whole=True, last=True)) == b""


@pytest.mark.parametrize("form", ["MP3", "WAV"])
def test_several_files_in_one_stream_even_of_another_rate(form: str) -> None:
    one, other = encoded(tone(1), form=form), encoded(tone(1, 44_100, 2), 44_100, form)
    pcm = decoded(one + other + one)
    assert len(pcm) // 2 == pytest.approx(72_000, abs=4_000)
    seconds = np.frombuffer(pcm, np.int16)[: 24_000 * 2].reshape(2, -1) / 32768.0
    assert seconds.std(axis=1) == pytest.approx([0.3 / 2**0.5] * 2, rel=0.1)


def test_a_new_reply_ends_the_one_before_and_nothing_of_that_is_heard_in_it() -> None:
    decoder = Decoder()
    decoder(Sound(1, MP3[: len(MP3) // 2]))
    pcm = b"".join(map(decoder, pieces(encoded(tone(1, pitch=1000)), 500, reply_id=2)))
    assert len(pcm) == 48_000
    assert amplitude(pcm) < 0.001
    assert amplitude(pcm, 1000) > 0.29
    assert decoder(Sound(1, MP3)) == b"", "the old one is over"
    assert decoder(Sound(2, MP3)) == b"", "and so is one whose last piece has come"
    assert decoder.skipped_bytes == 2 * len(MP3)


def test_a_stream_of_half_a_file_is_heard_as_far_as_it_goes() -> None:
    assert len(decoded(MP3[: len(MP3) // 2])) > 48_000
    assert len(decoded(encoded(tone(1), form="WAV")[:24_001])) == 23_956


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"RIFF",
        b"hello, world, this is no sound",
        bytes(5000),
        b"RIFF\0\0\0\0WAVEdata\x10\0\0\0" + bytes(16),
        b"OggS" + bytes(500),
        b"fLaC" + bytes(500),
        b"ID3" + bytes(500),
        b"\xff\xf1" + b"\x50\x80" * 400,  # AAC
        np.random.default_rng(1).bytes(20_000),
    ],
)
def test_wrong_data_is_counted_and_skipped(data: bytes) -> None:
    decoder = Decoder()
    assert b"".join(map(decoder, pieces(data, 100))) == b""
    assert decoder.skipped_bytes == len(data)
    assert len(b"".join(map(decoder, pieces(MP3, 100, reply_id=2)))) == 144_000, "the next reply is heard"


def wav(rate: int = 24_000, channels: int = 1, bits: int = 16, kind: int = 1, size: int = 48_000) -> bytes:
    """A header that may say anything, and one second of silence."""
    form = struct.pack("<HHIIHH", kind, channels, rate, 0, 0, bits)
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + bytes(48_000)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 48_000, 2**31])
def test_a_length_that_was_not_known_or_is_hours_changes_nothing(size: int) -> None:
    assert len(decoded(wav(size=size))) == 48_000


@pytest.mark.parametrize(
    "header",
    [
        {"channels": 255},
        {"channels": 0},
        {"rate": 0},
        {"rate": 1},
        {"rate": 2**32 - 1},
        {"bits": 12},
        {"bits": 0},
        {"kind": 7},
        {"kind": 0xFFFE},
    ],
)
def test_headers_beyond_all_measure_are_refused(header: dict[str, int]) -> None:
    decoder = Decoder()
    assert b"".join(map(decoder, pieces(wav(**header), 1000))) == b""
    assert decoder.skipped_bytes == len(wav(**header))


def test_384_khz_is_only_a_rate() -> None:
    assert len(decoded(wav(rate=384_000))) // 2 == 48_000 // 2 * 24_000 // 384_000


def test_what_unpacks_to_hours_is_cut_at_the_limit() -> None:
    """COM-10: 200 KB that are an hour of silence"""
    hour = encoded(np.zeros(3600 * 8_000, np.float32), 8_000, "FLAC")
    slow = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 0, b"WAVE", b"fmt ", 16, 1, 1, 2_000, 0, 0, 8, b"data", 0)
    assert len(hour) < 2**18
    for data in (hour, slow + b"\x80" * 2**18, encoded(tone(30))):
        decoder = Decoder(max_seconds=10)
        assert sum(len(decoder(piece)) for piece in pieces(data, 2**18)) == 480_000
        assert len(b"".join(map(decoder, pieces(MP3, 1000, reply_id=2)))) == 144_000


def test_without_libmpg123_the_reply_is_heard_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """ZBE-49: falls back to the end"""

    def missing() -> None:
        raise DeviceError("no libmpg123")

    monkeypatch.setattr(decode, "Mp3Stream", missing)
    decoder = Decoder()
    parts = list(map(decoder, pieces(MP3, 1000)))
    assert set(parts[:-1]) == {b""}
    assert len(parts[-1]) == pytest.approx(144_000, abs=4_000)


def test_the_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mp3, "_LIBRARY", "libmpg123-that-is-not-there.so")
    mp3._load.cache_clear()
    with pytest.raises(DeviceError, match="sudo apt install libmpg123-0"):
        mp3.Mp3Stream()
    mp3._load.cache_clear()


SEEDS = [MP3[:4000], encoded(tone(0.2), form="WAV"), encoded(tone(0.2), form="OGG"), encoded(tone(0.2), form="FLAC")]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=8)), max_size=6),
    st.integers(1, 2000),
)
def test_damaged_files_raise_nothing(data: bytes, damage: list[tuple[int, bytes]], size: int) -> None:
    """COM-10"""
    broken = bytearray(data)
    for at, junk in damage:
        broken[at : at + len(junk)] = junk
    decoder = Decoder(max_seconds=5)
    for reply_id, piece in itertools.product((1, 2), pieces(bytes(broken), size)):
        pcm = decoder(Sound(reply_id, piece.data, last=piece.last))
        assert len(pcm) % 2 == 0
        assert len(pcm) <= 240_000


@pytest.mark.parametrize(("form", "subtype"), FORMATS)
def test_a_whole_file_is_decoded_at_once(form: str, subtype: str | None) -> None:
    pcm = decode.whole_file(encoded(tone(1, 44_100, 2), 44_100, form, subtype), 2.0)
    assert len(pcm) == pytest.approx(2 * 24_000, rel=0.1)
    assert amplitude(pcm) == pytest.approx(0.3, rel=0.03)


def test_of_a_file_that_lasts_too_long_no_more_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may claim to be hours of silence."""
    blocks: list[int] = []
    convert = decode._Stream._convert

    def counted(self: decode._Stream, sound: Iterable[tuple[int, Samples]]) -> Iterator[Samples]:
        for samples in convert(self, sound):
            blocks.append(samples.size)
            yield samples

    monkeypatch.setattr(decode._Stream, "_convert", counted)
    hour = encoded(np.zeros(24_000 * 3_600, np.float32), form="FLAC", subtype="PCM_16")
    with pytest.raises(ValueError, match="lasts more than 2 s"):
        decode.whole_file(hour, 2.0)
    assert sum(blocks) <= 4 * 24_000


@pytest.mark.parametrize("data", [b"", b"RIFF", b"x" * 1000, b"OggS" + bytes(100), b"fLaC" + bytes(100)])
def test_what_is_no_sound_is_an_error_in_words(data: bytes) -> None:
    with pytest.raises(ValueError, match="decoded"):
        decode.whole_file(data, 2.0)


def test_what_libsndfile_refuses_costs_no_more_than_so_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """It loses some for each Ogg file that it cannot open: after too many of them even a good one is left out."""
    good = encoded(tone(0.5), form="OGG", subtype="VORBIS")
    monkeypatch.setattr(decode._Collected, "refused", 0)
    monkeypatch.setattr(decode, "MOST_REFUSED", 2)
    decoder = Decoder()
    assert not decoder(Sound(1, good[:1000], last=True))
    assert decoder(Sound(2, good, last=True))
    assert not decoder(Sound(3, good[:1000], last=True))
    assert not decoder(Sound(4, good, last=True))
