"""Lira, without I/O: what each of its messages becomes, in whatever envelope and with whatever oddity."""

import json
from typing import Any

import pytest

from tests.services.lira_kit import CANARY, ENVELOPES, PCM, Envelope, answer, feed, heard, joined, only, says, sent
from voicebox.core.events import (
    Category,
    Event,
    Interrupted,
    ParticipantChanged,
    ReplyStarted,
    ReplyText,
    ServiceError,
    SessionReady,
    SessionUpdated,
    SessionWarning,
    TaskCreated,
    Transcript,
    VendorRaw,
)
from voicebox.services.base import Send
from voicebox.services.lira import Service
from voicebox.wire.lira import SERVER_MESSAGES

TIME = "2026-03-29T10:15:32Z"
SARAH: dict[str, Any] = {"speaker": "Sarah Chen", "text": "Refactor the API", "timestamp": TIME, "role": "user"}
TASK = {"title": "Refactor", "due": None, "tags": ["api"]}

MESSAGES: dict[str, tuple[dict[str, Any], list[Event]]] = {
    "joined": ({"sessionId": "s2", "participants": ["Tom"]}, [SessionReady("s2", ("Tom",))]),
    "participant_event": (
        {"participant": {"name": "Tom"}, "action": "joined"},
        [ParticipantChanged({"name": "Tom"}, "joined")],
    ),
    "transcript": (SARAH, [Transcript("user", "Refactor the API", "Sarah Chen", TIME)]),
    "ai_response": ({"text": "Well", "timestamp": TIME}, [ReplyText(1, "Well", TIME)]),
    "ai_response_end": ({}, []),
    "audio_ready": ({"duration": 1.5}, [VendorRaw("audio_ready", {"duration": 1.5})]),
    "settings_updated": ({"settings": {"personality": "ai"}}, [SessionUpdated({"personality": "ai"})]),
    "interruption": ({}, [Interrupted(0)]),
    "task_created": ({"task": TASK}, [TaskCreated(TASK)]),
    "error": ({"code": "ODD", "message": "what?"}, [ServiceError(Category.SERVER, "ODD", "what?")]),
}


def events(effects: list[Any]) -> list[Event]:
    return [e for e in effects if isinstance(e, Event) and not isinstance(e, ReplyStarted)]


def test_every_kind_of_message_is_tried_below() -> None:
    assert MESSAGES.keys() == SERVER_MESSAGES.keys()


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("kind", MESSAGES)
def test_lira_23_each_envelope_gives_the_same_event(kind: str, envelope: Envelope) -> None:
    """LIRA-11, LIRA-21, LIRA-24, LIRA-25, LIRA-26, LIRA-28, LIRA-29, LIRA-30, LIRA-36; A1.2 a"""
    fields, expected = MESSAGES[kind]
    assert events(feed(joined(), says(kind, envelope, **fields))) == expected


def test_lira_23_the_inner_fields_win_and_the_outer_type_stays() -> None:
    """A1.2 a: top level, overlaid by data, overlaid by payload"""
    message = {"type": "ai_response", "text": "outer", "data": {"text": "data", "type": "x"}, "payload": {"text": "in"}}
    assert only(ReplyText, feed(joined(), json.dumps(message))) == [ReplyText(1, "in")]


@pytest.mark.parametrize("odd", [None, 1, "text", [1]])
def test_lira_23_an_envelope_that_is_no_object_is_an_ordinary_field(odd: object) -> None:
    message = {"type": "ai_response", "text": "outer", "data": odd}
    assert only(ReplyText, feed(joined(), json.dumps(message))) == [ReplyText(1, "outer")]


@pytest.mark.parametrize(
    ("who", "role"),
    [
        ({"role": "user"}, "user"),
        ({"role": "assistant"}, "assistant"),
        ({"role": "AI"}, "assistant"),
        ({"role": "bot"}, "assistant"),
        ({"is_ai": True}, "assistant"),
        ({"is_ai": False}, "user"),
        ({}, "user"),
    ],
)
def test_lira_25_role_or_is_ai_says_who_spoke(who: dict[str, Any], role: str) -> None:
    """A1.2 c"""
    transcripts = only(Transcript, feed(joined(), says("transcript", text="hello", **who)))
    assert [t.role for t in transcripts] == [role]


def test_a_transcript_is_final_and_shown_once() -> None:
    """A1.2 e: de-duplicated by role, text and time"""
    effects = feed(joined(), says("transcript", **SARAH), says("transcript", "payload", **SARAH))
    assert [t.final for t in only(Transcript, effects)] == [True]
    later = says("transcript", **(SARAH | {"timestamp": "2026-03-29T10:16:00Z"}))
    adapter = joined()
    assert len(only(Transcript, feed(adapter, says("transcript", **SARAH), later))) == 2


def test_without_a_time_the_same_word_may_be_said_twice() -> None:
    yes = says("transcript", text="yes", role="user")
    assert len(only(Transcript, feed(joined(), yes, answer(), says("ai_response_end"), yes))) == 2


def test_a_numeric_time_is_read_too() -> None:
    message = says("transcript", text="hi", role="user", timestamp=1_711_700_000_000)
    assert only(Transcript, feed(joined(), message)) == [Transcript("user", "hi", "", "1711700000000")]


@pytest.mark.parametrize("first_kind", ["ai_response", "transcript"])
def test_lira_32_assistant_text_in_both_kinds_is_shown_once(first_kind: str) -> None:
    """A1.2 f"""
    both = [says("ai_response", text="Well"), says("transcript", text="Well", role="assistant")]
    if first_kind == "transcript":
        both.reverse()
    shown = [e.text for e in feed(joined(), *both) if isinstance(e, ReplyText | Transcript)]
    assert shown == ["Well"]


def test_lira_32_also_after_the_end_of_the_reply() -> None:
    story: list[str | bytes] = [
        answer("Well"),
        PCM,
        says("ai_response_end"),
        says("transcript", text="Well", role="assistant"),
    ]
    effects = feed(joined(), *story)
    assert len(only(ReplyStarted, effects)) == 1
    assert only(Transcript, effects) == []


def test_lira_32_the_next_reply_may_say_the_same() -> None:
    story = [answer("OK"), says("ai_response_end"), says("transcript", text="again", role="user"), answer("OK")]
    assert [e.reply_id for e in only(ReplyText, feed(joined(), *story))] == [1, 2]


def test_lira_28_audio_ready_never_gates_playback() -> None:
    """A1.2 d"""
    announced = feed(joined(), says("audio_ready", duration=0), PCM)
    recording = feed(joined(), says("audio_ready", audio_url="https://x.example/a.wav"), PCM)
    assert heard(announced) == heard(recording) == heard(feed(joined(), PCM)) == [(1, PCM)]
    assert only(VendorRaw, recording)[0].message == {"audio_url": "https://x.example/a.wav"}


def test_lira_29_a_task_without_its_wrapper_is_kept_whole() -> None:
    effects = feed(joined(), says("task_created", "payload", task_id=7, title="Refactor"))
    assert only(TaskCreated, effects) == [TaskCreated({"task_id": 7, "title": "Refactor"})]


def test_lira_21_so_are_settings() -> None:
    effects = feed(joined(), says("settings_updated", "flat", personality="supportive"))
    assert only(SessionUpdated, effects) == [SessionUpdated({"personality": "supportive"})]


@pytest.mark.parametrize("code", ["", "NEW_CODE", 500])
def test_lira_30_an_unknown_error_code_surfaces_and_closes_nothing(code: object) -> None:
    (effect,) = feed(joined(), says("error", code=code, message="odd"))
    assert effect == ServiceError(Category.SERVER, str(code), "odd")


@pytest.mark.parametrize("kind", ["pong", "transcript_delta", "", None, 7, {"a": 1}, ["joined"]])
def test_lira_31_an_unknown_type_passes_through_raw(kind: object) -> None:
    """Fault 57"""
    message = {"type": kind, "more": [1, 2]}
    assert feed(joined(), json.dumps(message)) == [VendorRaw(kind if isinstance(kind, str) else "", message)]


def test_lira_31_so_does_an_object_without_a_type() -> None:
    assert feed(joined(), '{"a":1}') == [VendorRaw("", {"a": 1})]


@pytest.mark.parametrize("frame", ["", "{", "[]", "7", "null", '"joined"', '{"type":NaN}', '{"a":1,"a":2}', "\x00"])
def test_lira_07_a_malformed_frame_is_counted_told_by_its_size_only_and_skipped(frame: str) -> None:
    """Fault 54"""
    adapter = joined()
    (warning,) = feed(adapter, frame)
    assert isinstance(warning, SessionWarning)
    assert str(len(frame)) in warning.message
    assert adapter.malformed == 1
    assert heard(feed(adapter, PCM)) == [(1, PCM)]


WRONG = [True, 7, 1.5, "text", [], ["x"], {}, {"x": 1}]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", MESSAGES)
def test_fault_56_wrong_types_in_every_field_are_survived(kind: str, wrong: object) -> None:
    fields, _ = MESSAGES[kind]
    adapter = joined()
    for name in fields:
        effects = feed(adapter, says(kind, **(fields | {name: wrong})))
        assert all(isinstance(effect, Event | Send) for effect in effects)
        for started in only(Transcript, effects):
            assert {type(started.text), type(started.speaker), type(started.timestamp)} == {str}
    assert heard(feed(adapter, says("transcript", text="go on", role="user"), PCM))[0][1] == PCM


def test_null_is_as_good_as_absent() -> None:
    message = says("transcript", text="hi", speaker=None, timestamp=None, role="user", is_ai=None)
    assert only(Transcript, feed(joined(), message)) == [Transcript("user", "hi")]


def test_lira_03_a_service_that_quotes_our_token_back_is_not_repeated() -> None:
    for code in ("UNAUTHORIZED", "SESSION_NOT_FOUND", "RATE_LIMITED", "ALREADY_JOINED", CANARY):
        adapter = Service(joined()._settings)
        adapter.dial({"lira_token": CANARY}, 0.0)
        adapter.opened()
        message = says("error", code=code, message=f"bad token {CANARY}")
        assert CANARY not in repr(feed(adapter, message, message))
        assert CANARY not in repr(adapter.closed(4401, f"bad token {CANARY}"))


def test_sent_messages_do_not_show_themselves() -> None:
    """COM-14: what people said is personal"""
    effects = joined().text("private words")
    assert sent(effects)[0]["text"] == "private words"
    assert "private" not in repr(effects)
