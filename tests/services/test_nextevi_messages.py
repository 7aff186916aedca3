"""NextEVI, without I/O: what its messages mean, however they are written."""

from typing import Any

import pytest

from tests.services.nextevi_kit import (
    ENVELOPES,
    METADATA,
    PCM,
    READY,
    Envelope,
    b64,
    feed,
    final,
    heard,
    llm,
    only,
    raw_tts,
    ready,
    says,
    service,
    tts,
    waits,
)
from voicebox.core.events import (
    Category,
    EmotionUpdated,
    Interrupted,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    ServiceError,
    ServiceStatus,
    SessionEnded,
    SessionReady,
    SessionUpdated,
    SessionWarning,
    Transcript,
    TurnEnded,
    TurnStarted,
    VendorRaw,
)
from voicebox.services.base import Hangup, Sound
from voicebox.wire import wav

WORDS = [{"word": "Hello", "start": 1.2, "end": 1.6, "confidence": 0.98}]
SPOKEN: dict[str, Any] = {
    "transcript": "Hello there",
    "confidence": 0.95,
    "is_final": True,
    "is_speech_final": True,
    "session_id": "conn-xyz789",
    "words": WORDS,
    "accumulated_transcript": "Well. Hello there",
    "is_turn_incomplete": False,
    "original_fragment": "hello there",
}


def transcript(envelope: Envelope = "data", **changes: Any) -> Transcript:
    (event,) = only(Transcript, feed(ready(), says("transcription", envelope, **(SPOKEN | changes))))
    return event


# --- what was said -------------------------------------------------------------------------------------------------


def test_evi_37_a_partial_is_not_final() -> None:
    event = transcript(is_final=False, is_speech_final=False, is_turn_incomplete=True)
    assert (event.role, event.text, event.final) == ("user", "Well. Hello there", False)


def test_evi_38_the_end_of_a_segment_is_not_the_end_of_the_turn() -> None:
    event = transcript(is_speech_final=False)
    assert not event.final
    assert event.details["is_final"] is True
    assert not transcript(is_turn_incomplete=True).final


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_evi_39_the_end_of_speech_is(envelope: Envelope) -> None:
    event = transcript(envelope)
    assert event.final
    assert event.timestamp == "1645123456.789"
    assert transcript(envelope, is_speech_final=None).final, "where nothing is said of it, a final segment is"


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_evi_40_every_field_is_kept(envelope: Envelope) -> None:
    event = transcript(envelope, metadata={"event_type": "utterance_end"})
    assert {key: event.details[key] for key in SPOKEN} == SPOKEN
    assert event.details["metadata"] == {"event_type": "utterance_end"}


def test_without_an_accumulated_text_the_segment_is_shown() -> None:
    assert transcript(accumulated_transcript="").text == "Hello there"


# --- the reply's text ----------------------------------------------------------------------------------------------


def texts(*messages: str) -> tuple[str, list[str]]:
    """(what was told piece by piece, the whole texts at the end)"""
    effects = feed(ready(), *messages)
    pieces = "".join(event.text for event in only(ReplyText, effects))
    return pieces, [event.text for event in only(Transcript, effects)]


@pytest.mark.parametrize("first", [0, 1])
def test_evi_41_and_43_text_streams_and_its_end_gives_the_whole(first: int) -> None:
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


# --- emotions, turns, status ---------------------------------------------------------------------------------------

SCORES = {"Joy": 0.85, "Sadness": 0.12, "Excitement": 0.72}


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_evi_49_all_six_fields_of_an_emotion_update(envelope: Envelope) -> None:
    effects = feed(
        ready(),
        says(
            "emotion_update",
            envelope,
            top_emotions=[{"name": "Joy", "score": 0.85}, {"name": "Excitement", "score": 0.72}],
            all_emotions=SCORES,
            processing_time=0.045,
            utterance_duration=2.3,
            connection_id="conn-1",
            session_id="ses-1",
        ),
    )
    (event,) = effects
    assert event == EmotionUpdated((("Joy", 0.85), ("Excitement", 0.72)), SCORES, 0.045, 2.3, "conn-1", "ses-1")


@pytest.mark.parametrize(
    "top",
    [
        {"emotion": "Joy", "percentage": 85},
        {"emotion": "Joy", "confidence": 0.85},
        {"name": "Joy", "score": 85},
        {"name": "Joy", "percentage": 85.0, "extra": True},
    ],
)
def test_evi_50_other_names_and_per_cent(top: dict[str, Any]) -> None:
    (event,) = only(EmotionUpdated, feed(ready(), says("emotion_update", top_emotions=[top], all_emotions=[top])))
    assert event.top == (("Joy", 0.85),)
    assert event.all == {"Joy": 0.85}


def test_evi_51_and_52_turns() -> None:
    assert feed(ready(), says("turn_start", turn_id="turn-1")) == [TurnStarted("turn-1")]
    ended = says("turn_end", turn_id="turn-1", duration=3.2, is_complete=True)
    assert feed(ready(), ended) == [TurnEnded("turn-1", 3.2, complete=True)]
    assert feed(ready(), says("turn_end", duration="long")) == [TurnEnded("", None, None)]


def test_turns_do_not_cut_what_is_heard() -> None:
    """A3.2 e"""
    adapter = ready()
    effects = feed(adapter, tts(), says("turn_start", turn_id="t"), tts(), says("turn_end", turn_id="t"), tts())
    assert only(Interrupted, effects) == []
    assert len(heard(effects)) == 3


def test_evi_22_processing() -> None:
    assert feed(ready(), says("status", status="processing")) == [ServiceStatus("processing")]


def test_evi_23_a_state_of_error_is_said_and_ends_nothing() -> None:
    effects = feed(ready(), says("status", status="error", details={"reason": "gpu"}))
    (error,) = only(ServiceError, effects)
    assert (error.category, error.details) == (Category.SERVER, {"reason": "gpu"})
    assert not only(SessionEnded, effects) + only(Hangup, effects)


def test_the_settings_in_effect_are_shown() -> None:
    assert only(SessionUpdated, feed(ready(), READY))[0].settings["sample_rate"] == 24000


# --- errors and the unknown ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_evi_56_and_81_an_error_is_told_whole_and_ends_nothing(envelope: Envelope) -> None:
    message = says(
        "error",
        envelope,
        error_code="AUDIO_PROCESSING_FAILED",
        error_message="Failed to process audio chunk",
        details={"chunk_id": "chunk-001"},
    )
    adapter = ready()
    effects = feed(adapter, message)
    (error,) = effects
    assert isinstance(error, ServiceError)
    assert (error.category, error.code) == (Category.SERVER, "AUDIO_PROCESSING_FAILED")
    assert error.message.startswith("Failed to process audio chunk")
    assert error.details == {"chunk_id": "chunk-001"}
    assert heard(feed(adapter, tts())) == [(1, PCM)]


def test_evi_76_errors_name_the_connection_and_the_message() -> None:
    (error,) = only(ServiceError, feed(ready(), says("error", error_code="X", error_message="broken")))
    assert error.message == "broken (message msg-7, connection conn-xyz789)"
    (warning,) = only(SessionWarning, feed(ready(), tts().replace('"content": "', '"content": "%')))
    assert "message tts-1, connection conn-xyz789" in warning.message


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("RATE_LIMIT_EXCEEDED", Category.RATE_LIMIT),
        ("AUTH_FAILED", Category.AUTH),
        ("ACCESS_DENIED", Category.AUTH),
        ("CONFIG_NOT_FOUND", Category.NOT_FOUND),
        ("INVALID_PROJECT", Category.CONFIG),
        ("", Category.SERVER),
    ],
)
def test_evi_56_errors_by_kind(code: str, category: Category) -> None:
    (error,) = only(ServiceError, feed(ready(), says("error", error_code=code)))
    assert error.category is category


@pytest.mark.parametrize("kind", ["weather_report", "", "turn_complete", "session_settings"])
def test_evi_57_what_no_event_covers_is_kept_whole(kind: str) -> None:
    (event,) = feed(ready(), says(kind, transcript="hi", turn_result={"is_complete": True}))
    assert isinstance(event, VendorRaw)
    assert event.type == kind
    assert event.message["data"] == {"transcript": "hi", "turn_result": {"is_complete": True}}


def test_evi_57_a_type_that_is_none_and_a_binary_message() -> None:
    assert feed(ready(), '{"type":7}') == [VendorRaw("", {"type": 7})]
    assert feed(ready(), b"\1\2\3") == [VendorRaw("", {"binary": 3})]


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_evi_58_what_only_the_vendors_clients_know(envelope: Envelope) -> None:
    said = says("system_message", envelope, content="Still there?", message_type="warning")
    assert feed(ready(), said) == [SessionWarning("warning", "Still there?")]
    idle = says("idle_warning", envelope, time_remaining=30, warning_type="inactivity")
    assert feed(ready(), idle) == [SessionWarning("idle", "NextEVI hangs up in 30 s if nobody speaks (inactivity)")]
    gone = says("websocket.disconnect", envelope, code=1001, reason="restart")
    assert feed(ready(), gone) == [SessionWarning("disconnect", "NextEVI will close with 1001: restart")]
    done = says("turn_complete", envelope, turn_result={"is_complete": True}, transcript="hi")
    assert [type(event) for event in feed(ready(), done)] == [VendorRaw]
    (last,) = only(ReplyDone, feed(ready(), tts(is_last=True)))
    assert last.reply_id == 1


@pytest.mark.parametrize(
    "message",
    [
        says("transcription", transcript=["not", "text"]),
        says("llm_response_chunk", content={"a": 1}),
        says("tts_chunk", content=["a", "b"]),
        says("status", status=[]),
        says("websocket.disconnect", code="soon"),
    ],
)
def test_evi_71_a_message_whose_heart_is_wrong_is_kept_raw_and_counted(message: str) -> None:
    adapter = ready()
    assert [type(event) for event in feed(adapter, message)] == [VendorRaw]
    assert adapter.malformed == 1


@pytest.mark.parametrize("confidence", [-1, "high", True, 1e9, [], {}, None])
def test_evi_71_a_value_beside_it_that_makes_no_sense_is_left_out(confidence: object) -> None:
    event = transcript(confidence=confidence, words="many", is_final="maybe", session_id=[])
    assert event.text == "Well. Hello there"
    assert "confidence" not in event.details
    assert event.details["words"] == []


def test_evi_71_emotions_out_of_range_are_left_out() -> None:
    wrong = [{"name": "Joy", "score": 200}, {"name": "Fear", "score": -1}, {"score": 0.5}, "Anger", {"name": "Calm"}]
    (event,) = only(EmotionUpdated, feed(ready(), says("emotion_update", top_emotions=wrong, all_emotions={"A": "x"})))
    assert (event.top, event.all, event.processing_time) == ((), {}, None)


@pytest.mark.parametrize("garbage", ["", "null", "[1]", "{", '{"type":"status","data":{"n":NaN}}', "x" * 100])
def test_com_10_what_is_no_json_object_is_reported_by_its_length(garbage: str) -> None:
    adapter = ready()
    (warning,) = only(SessionWarning, feed(adapter, garbage))
    assert str(len(garbage)) in warning.message
    assert adapter.malformed == 1


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_whole_conversation_in_either_envelope(envelope: Envelope) -> None:
    """EVI-18, EVI-20, EVI-39, EVI-41, EVI-44, A3.2 a"""
    adapter = service()
    adapter.opened()
    effects = feed(
        adapter,
        says("connection_metadata", envelope, connection_id="c1"),
        says("status", envelope, status="ready"),
        says("transcription", envelope, transcript="hi", is_final=True, is_speech_final=True),
        says("llm_response_chunk", envelope, content="Hello", generation_id="g", chunk_index=0, is_final=True),
        tts(),
        final(),
    )
    kinds = [type(e) for e in effects if isinstance(e, SessionReady | Transcript | ReplyStarted | ReplyText)]
    assert kinds == [SessionReady, Transcript, ReplyStarted, ReplyText, Transcript, Transcript]
    assert heard(effects) == [(1, PCM)]
    assert METADATA
