"""WAV headers, read without trust and written (COM-10)."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebox.wire import wav

PCM = bytes(range(240)) * 2
PLAIN = wav.pack(PCM, 24_000)


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def sized(riff: int, data: int, pcm: bytes = PCM) -> bytes:
    """A file whose two lengths are as given."""
    blob = bytearray(wav.pack(pcm, 24_000))
    struct.pack_into("<I", blob, 4, riff)
    struct.pack_into("<I", blob, 40, data)
    return bytes(blob)


@given(
    st.integers(1, 200).map(lambda n: bytes(2 * n)),
    st.sampled_from([8_000, 16_000, 24_000, 48_000]),
    st.sampled_from([1, 2]),
)
def test_what_is_packed_is_read_here_and_elsewhere(pcm: bytes, rate: int, channels: int) -> None:
    pcm = pcm * channels
    blob = wav.pack(pcm, rate, channels)
    read = wav.read(blob)
    assert (read.rate, read.channels, read.bits, read.encoding, read.data) == (rate, channels, 16, wav.PCM, pcm)
    with wave.open(io.BytesIO(blob)) as other:
        assert (other.getframerate(), other.getnchannels(), other.getsampwidth()) == (rate, channels, 2)
        assert other.readframes(10_000) == pcm


def test_evi_44_an_ordinary_file_of_another_writer() -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(PCM)
    assert wav.read(out.getvalue()).data == PCM
    assert wav.read(out.getvalue()).is_pcm(24_000)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFDB, 0xFFFFFFDB])
def test_evi_44_lengths_nobody_knew_when_they_were_written(length: int) -> None:
    assert wav.read(sized(length, length)).data == PCM
    assert wav.read(sized(length, len(PCM))).data == PCM


def test_evi_44_chunks_beside_the_sound_are_not_heard() -> None:
    blob = PLAIN[:36] + chunk(b"LIST", b"INFOISFT\x05\0\0\0odd!\0") + chunk(b"fact", b"\0" * 4) + PLAIN[36:]
    blob += chunk(b"id3 ", b"a tag behind the sound")
    assert wav.read(blob).data == PCM


def test_an_extensible_header_names_its_encoding_further_on() -> None:
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 24_000, 48_000, 2, 16, 22, 16, 4)
    form += struct.pack("<H", wav.PCM) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    blob = b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", form) + chunk(b"data", PCM)
    assert wav.read(blob).is_pcm(24_000)


def test_half_a_frame_at_the_end_is_left_out() -> None:
    assert wav.read(sized(0, 0) + b"\1").data == PCM
    stereo = wav.pack(PCM + b"\1\2", 24_000, channels=2)
    assert wav.read(stereo).data == PCM


@pytest.mark.parametrize(
    ("rate", "channels", "bits", "encoding"),
    [(16_000, 1, 16, 1), (24_000, 2, 16, 1), (24_000, 1, 8, 1), (24_000, 1, 32, 3)],
)
def test_other_sound_is_told_apart(rate: int, channels: int, bits: int, encoding: int) -> None:
    read = wav.read(wav.pack(bytes(64), rate, channels, bits, encoding))
    assert (read.rate, read.channels, read.bits, read.encoding) == (rate, channels, bits, encoding)
    assert not read.is_pcm(24_000)


@pytest.mark.parametrize("cut", [0, 3, 11, 12, 19, 30, 43, 44, 100, len(PLAIN) - 1])
def test_evi_46_a_file_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        wav.read(PLAIN[:cut])


@pytest.mark.parametrize(
    "blob",
    [
        b"RIFF\0\0\0\0AVI " + PLAIN[12:],
        PLAIN[:12] + PLAIN[36:],  # no format
        PLAIN[:16] + struct.pack("<I", 4) + PLAIN[20:],
        PLAIN[:22] + struct.pack("<H", 0) + PLAIN[24:],  # no channel
        PLAIN[:24] + struct.pack("<I", 0) + PLAIN[28:],  # no rate
        PLAIN[:34] + struct.pack("<H", 7) + PLAIN[36:],  # 7 bits
    ],
)
def test_evi_46_what_makes_no_sense_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        wav.read(blob)


@given(st.binary(max_size=80).map(lambda tail: PLAIN[:12] + tail) | st.binary(max_size=80))
def test_com_10_nothing_else_comes_out_of_it(blob: bytes) -> None:
    try:
        read = wav.read(blob)
    except ValueError:
        return
    assert len(read.data) % max(1, read.channels * read.bits // 8) == 0


@given(st.integers(0, len(PLAIN) - 1), st.binary(min_size=1, max_size=8))
def test_com_10_nor_of_a_file_with_a_wound(at: int, wound: bytes) -> None:
    try:
        read = wav.read(PLAIN[:at] + wound + PLAIN[at + len(wound) :])
    except ValueError:
        return
    assert len(read.data) <= len(PLAIN)
