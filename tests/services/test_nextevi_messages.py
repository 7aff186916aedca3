"""NextEVI, without I/O: what its messages mean, however they are written."""

from typing import Any

import pytest

from tests.services.nextevi_kit import (
    ENVELOPES,
    PCM,
    READY,
    Envelope,
    feed,
    final,
    heard,
    only,
    ready,
    says,
    service,
    tts,
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
from voicebox.services.base import Hangup

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
    """EVI-51, EVI-52"""
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
    """EVI-56, EVI-81"""
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
