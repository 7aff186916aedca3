"""NextEVI, without I/O: the text and the sound of replies, however they are written."""

import pytest

from tests.services.nextevi_kit import (
    PCM,
    b64,
    feed,
    heard,
    llm,
    only,
    raw_tts,
    ready,
    says,
    tts,
    waits,
)
from voicebox.core.events import (
    ReplyStarted,
    ReplyText,
    SessionWarning,
    Transcript,
)
from voicebox.services.base import Sound
from voicebox.wire import wav

# --- the reply's text ----------------------------------------------------------------------------------------------


def texts(*messages: str) -> tuple[str, list[str]]:
    """(what was told piece by piece, the whole texts at the end)"""
    effects = feed(ready(), *messages)
    pieces = "".join(event.text for event in only(ReplyText, effects))
    return pieces, [event.text for event in only(Transcript, effects)]


@pytest.mark.parametrize("first", [0, 1])
def test_evi_41_and_43_text_streams_and_its_end_gives_the_whole(first: int) -> None:
    """EVI-41, EVI-43"""
    parts = [llm(part, index=first + i) for i, part in enumerate(["I'd be", " happy", " to"])]
    effects = feed(ready(), *parts, llm(" help.", index=first + 3, final=True))
    assert [e.text for e in only(ReplyText, effects)] == ["I'd be", " happy", " to", " help."]
    whole = Transcript("assistant", "I'd be happy to help.", details={"generation_id": "gen-1"})
    assert only(Transcript, effects) == [whole]
    assert only(ReplyStarted, effects) == [ReplyStarted(1)]


def test_evi_41_pieces_are_put_in_order() -> None:
    pieces, whole = texts(llm("a", index=0), llm("c", index=2), llm("b", index=1), llm("d", index=3, final=True))
    assert (pieces, whole) == ("abcd", ["abcd"])


def test_evi_41_a_piece_that_never_comes_is_waited_for_a_moment() -> None:
    adapter = ready()
    effects = feed(adapter, llm("a", index=0), llm("c", index=2))
    assert waits(effects) == {"words": 0.3}
    assert [e.text for e in only(ReplyText, effects)] == ["a"]
    assert adapter.later("words") == [ReplyText(1, "c")]
    assert only(ReplyText, feed(adapter, llm("d", index=3))) == [ReplyText(1, "d")]
    assert only(Transcript, feed(adapter, llm("b", index=1), llm("e", index=4, final=True)))[0].text == "abcde"


def test_evi_41_a_piece_sent_twice_is_told_once() -> None:
    assert texts(llm("a", index=0), llm("a", index=0), llm("b", index=1, final=True)) == ("ab", ["ab"])


def test_evi_41_text_of_two_generations_is_not_mixed() -> None:
    effects = feed(ready(), llm("one", "g1", 0), llm("two", "g2", 0), llm("!", "g2", 1, final=True))
    assert [(e.reply_id, e.text) for e in only(ReplyText, effects)] == [(1, "one"), (2, "two"), (2, "!")]
    assert [e.text for e in only(Transcript, effects)] == ["two!"]


@pytest.mark.parametrize("numbered", [True, False])
def test_evi_42_text_that_comes_each_time_from_its_beginning(numbered: bool) -> None:
    whole = ["I'd", "I'd be", "I'd be happy", "I'd be happy."]
    messages = [llm(t, index=i if numbered else None, final=i == 3) for i, t in enumerate(whole)]
    assert texts(*messages) == ("I'd be happy.", ["I'd be happy."])


def test_evi_42_additions_that_look_alike_are_no_repetition() -> None:
    assert texts(llm("ha", index=0), llm("ha", index=1), llm("ha", index=2, final=True)) == ("hahaha", ["hahaha"])


@pytest.mark.parametrize("last", ["Well, yes.", ""])
def test_evi_42_a_last_piece_that_says_all_again_adds_nothing(last: str) -> None:
    assert texts(llm("Well,", index=0), llm(" yes.", index=1), llm(last, index=2, final=True)) == (
        "Well, yes.",
        ["Well, yes."],
    )


def test_evi_43_after_the_end_nothing_is_added() -> None:
    assert texts(llm("a", index=0, final=True), llm("b", index=1), llm("a", index=0, final=True)) == ("a", ["a"])


# --- the reply's sound ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", ["top", "data"])
def test_evi_44_wav_without_its_header(envelope: str) -> None:
    content = b64(wav.pack(PCM, 24_000))
    message = tts() if envelope == "top" else says("tts_chunk", content=content)
    assert heard(feed(ready(), message)) == [(1, PCM)]


@pytest.mark.parametrize("pcm", [PCM, PCM + b"\x7f"])
def test_evi_45_bare_pcm(pcm: bytes) -> None:
    adapter = ready()
    assert heard(feed(adapter, raw_tts(pcm))) == [(1, PCM)]
    assert adapter.odd_bytes == len(pcm) % 2


def test_evi_45_base64_of_the_other_alphabet_and_across_lines() -> None:
    pcm = b"\xfb\xef\xff\xff" * 60
    content = b64(pcm).replace("+", "-").replace("/", "_")
    lines = content[:40] + "\n" + content[40:]
    assert heard(feed(ready(), says("tts_chunk", content=lines))) == [(1, pcm)]


@pytest.mark.parametrize(
    "content",
    ["%%%", "abcde", "a", b64(wav.pack(PCM, 24_000)[:20]), b64(wav.pack(PCM, 24_000)[:-2]), "é" * 8, "\ud800"],
)
def test_evi_46_what_is_broken_is_left_out_and_counted(content: str) -> None:
    adapter = ready()
    effects = feed(adapter, tts(), says("tts_chunk", content=content), tts())
    assert heard(effects) == [(1, PCM), (1, PCM)]
    assert [warning.kind for warning in only(SessionWarning, effects)] == ["audio"]
    assert adapter.bad_audio == 1


@pytest.mark.parametrize(
    ("rate", "channels", "bits", "encoding"),
    [(16_000, 1, 16, 1), (48_000, 2, 16, 1), (24_000, 1, 32, 3), (24_000, 1, 8, 1)],
)
def test_evi_47_other_sound_is_handed_on_to_be_converted(rate: int, channels: int, bits: int, encoding: int) -> None:
    blob = wav.pack(bytes(480), rate, channels, bits, encoding)
    (sound,) = only(Sound, feed(ready(), raw_tts(blob)))
    assert (sound.reply_id, sound.whole, sound.data) == (1, True, blob)


def test_evi_47_its_lengths_are_true_then() -> None:
    blob = bytearray(wav.pack(bytes(480), 16_000))
    blob[4:8] = blob[40:44] = b"\xff\xff\xff\xff"
    (sound,) = only(Sound, feed(ready(), raw_tts(bytes(blob))))
    assert sound.data == wav.pack(bytes(480), 16_000)


def test_evi_48_pieces_follow_each_other_in_order_with_nothing_in_between() -> None:
    pieces = [bytes([n, n]) * 100 for n in range(1, 20)]
    messages = [tts(piece) if n % 2 else raw_tts(piece) for n, piece in enumerate(pieces)]
    sounds = heard(feed(ready(), *messages))
    assert b"".join(pcm for _, pcm in sounds) == b"".join(pieces)
    assert {reply for reply, _ in sounds} == {1}


@pytest.mark.parametrize("message", [raw_tts(b""), says("tts_chunk"), tts(b""), raw_tts(b"\1")])
def test_sound_without_sound_begins_nothing(message: str) -> None:
    assert feed(ready(), message) == []
