"""LIKU, without I/O: what goes up, what each of its messages becomes, which reply sound and words belong to."""

import json

import pytest

from tests.services.liku_kit import (
    CANARIES,
    NOW,
    PCM,
    connected,
    feed,
    only,
    request,
    says,
    sent,
    service,
    spoken,
    texts,
    understood,
    written,
)
from voicebox.core.events import Event, ReplyStarted, ReplyText, Transcript, VendorRaw
from voicebox.errors import ConfigError
from voicebox.services.base import HttpAnswer, Send
from voicebox.services.liku import CHUNK, Service
from voicebox.wire.liku import SERVER_MESSAGES

# --- what goes up --------------------------------------------------------------------------------------------------


def test_liku_19_sound_goes_up_as_it_is_at_16_khz_in_binary() -> None:
    assert Service.capabilities.uplink_rate == 16_000
    pcm = bytes(range(256)) * 16
    effects = connected().audio(pcm)
    assert sent(effects) == [pcm]
    assert all(effect.is_audio for effect in only(Send, effects))


def test_liku_20_in_messages_of_4096_bytes_whatever_comes() -> None:
    assert Service.capabilities.uplink_chunk * 2 == CHUNK == 4096
    adapter = connected()
    pcm = bytes(n % 251 for n in range(20_000))
    messages = [m for at in range(0, len(pcm), 640) for m in sent(adapter.audio(pcm[at : at + 640]))]
    assert {len(m) for m in messages} == {4096}
    last = sent(adapter.audio_stop())
    assert {len(m) for m in last[:-1]} == {4096}
    assert len(last[-1]) % 2 == 0
    assert b"".join([*messages, *last]).rstrip(b"\0") == pcm.rstrip(b"\0")


@pytest.mark.parametrize(("setting", "silence"), [({}, 1000), ({"trailing_silence_ms": 700}, 700)])
def test_liku_30_silence_follows_the_last_word(setting: dict[str, int], silence: int) -> None:
    adapter = connected(**setting)
    pcm = b"\1\0" * 1000
    adapter.audio(pcm)
    assert b"".join(sent(adapter.audio_stop())) == pcm + bytes(2 * 16 * silence)
    assert sent(adapter.audio_stop()) == []
    assert sent(adapter.audio(pcm)) == []


def test_liku_30_less_silence_than_ends_a_turn_is_refused_when_it_is_read() -> None:
    with pytest.raises(ValueError, match="700"):
        service(trailing_silence_ms=699)


def test_each_stretch_begins_with_its_own_sound() -> None:
    adapter = connected()
    adapter.audio(b"\1\0")
    adapter.audio_stop()
    adapter.audio_start()
    assert sent(adapter.audio(b"\2\0" * 2048)) == [b"\2\0" * 2048]


def test_what_the_protocol_has_not_is_refused_in_words() -> None:
    """There is no text turn, no setting, no stop, no goodbye."""
    adapter = connected()
    with pytest.raises(ConfigError, match="spoken"):
        adapter.text("hello")
    with pytest.raises(ConfigError, match=r"\[liku\]"):
        adapter.settings({"language": "ko"})
    assert (adapter.goodbye(), adapter.cancel(1)) == ((), ())


# --- messages ------------------------------------------------------------------------------------------------------

DETAILS = {"message_id": "u1", "status": "completed"}
MESSAGES: dict[str, tuple[str, list[Event]]] = {
    "user_transcript": (understood("hello"), [Transcript("user", "hello", details=DETAILS)]),
    "assistant_transcript": (spoken("well"), [ReplyStarted(1), ReplyText(1, "well")]),
    "assistant_message": (written("well"), [ReplyStarted(1), ReplyText(1, "well")]),
}


def test_every_kind_of_message_is_tried_below() -> None:
    assert MESSAGES.keys() == SERVER_MESSAGES.keys()


@pytest.mark.parametrize("envelope", ["flat", "data", "payload"])
@pytest.mark.parametrize("kind", MESSAGES)
def test_each_message_becomes_its_event(kind: str, envelope: str) -> None:
    """LIKU-21, LIKU-23, LIKU-24"""
    message, expected = MESSAGES[kind]
    fields = json.loads(message)
    if envelope != "flat":
        fields = {"type": fields.pop("type"), envelope: fields}
    assert only(Event, feed(connected(), json.dumps(fields))) == expected


@pytest.mark.parametrize("status", ["in_progress", "partial", "", "incomplete"])
def test_liku_22_any_other_status_is_a_partial(status: str) -> None:
    """A2.2 f"""
    adapter = connected()
    (event,) = feed(adapter, understood("hel", status=status))
    assert event == Transcript("user", "hel", final=False, details={"message_id": "u1", "status": status})
    assert only(Transcript, feed(adapter, understood("hello")))[0].final


def test_liku_22_no_status_at_all_is_no_partial() -> None:
    (event,) = feed(connected(), says("user_transcript", text="hello", message_id="u1"))
    assert isinstance(event, Transcript)
    assert event.final


def test_liku_21_what_was_understood_is_told_once() -> None:
    assert len(feed(connected(), understood("yes"), understood("yes"))) == 1
    assert len(feed(connected(), understood("yes", "u1"), understood("yes", "u2"))) == 2
    assert len(feed(connected(), understood("yes", ""), understood("yes", ""))) == 2


@pytest.mark.parametrize(
    "both",
    [
        [spoken("Well", "a1"), written("Well", "a1")],
        [written("Well", "a1"), spoken("Well", "a1")],
        [spoken("Well", "a1"), written("Well", "a2")],
        [spoken("Well", "a1"), written("Well, well", "a1")],
        [spoken("Well", "a1"), spoken("Well", "a1")],
        [spoken("Well [[EMAIL]]", "a1"), written("Well", "a2")],
        [spoken("Well", ""), written("Well", "")],
    ],
)
@pytest.mark.parametrize("between", [[], [PCM]])
def test_liku_25_the_two_kinds_show_no_text_twice(both: list[str], between: list[bytes]) -> None:
    """A2.2 g"""
    effects = feed(connected(), both[0], *between, both[1])
    assert texts(effects) == [(1, "Well")]
    assert only(ReplyStarted, effects) == [ReplyStarted(1)]


def test_liku_25_also_when_the_reply_has_ended_meanwhile() -> None:
    adapter = connected()
    feed(adapter, understood(), written("Well"), PCM)
    adapter.later("gap")
    assert feed(adapter, spoken("Well")) == []


def test_liku_25_the_next_reply_may_say_the_same() -> None:
    adapter = connected()
    first = feed(adapter, understood("a", "u1"), spoken("OK", "a1", "r1"), PCM) + list(adapter.later("gap"))
    second = feed(adapter, understood("b", "u2"), written("OK", "a2"), PCM)
    assert texts(first + second) == [(1, "OK"), (2, "OK")]


def test_liku_25_one_reply_may_say_several_things() -> None:
    effects = feed(connected(), spoken("One.", "a1"), PCM, spoken("Two.", "a2"), spoken("One.", "a3"))
    assert texts(effects) == [(1, "One."), (1, "Two."), (1, "One.")]


@pytest.mark.parametrize("text", ["hello", "", "[1, 2", '{"type":"user_transcript",', "null", "7", '"x"', "[" * 99_999])
def test_liku_26_text_that_is_no_json_object_is_tolerated_and_kept(text: str) -> None:
    assert feed(connected(), text) == [VendorRaw("", {"text": text})]


@pytest.mark.parametrize("message", [{"type": "news", "a": [1]}, {"type": 7}, {}, {"type": None, "text": "x"}])
def test_liku_27_unknown_types_are_kept_whole(message: dict[str, object]) -> None:
    (event,) = feed(connected(), json.dumps(message))
    assert isinstance(event, VendorRaw)
    assert (event.type, event.message) == ("news" if message.get("type") == "news" else "", message)


@pytest.mark.parametrize("kind", SERVER_MESSAGES)
def test_liku_27_so_are_known_ones_with_fields_that_cannot_be_read(kind: str) -> None:
    (event,) = feed(connected(), says(kind, text=[1]))
    assert event == VendorRaw(kind, {"type": kind, "text": [1]})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Well [[EMAIL]]", "Well"),
        ("[[ENDCHAT*now [1] ]]Bye", "Bye"),
        ("a [[X]] b [[Y]]", "a b"),
        ("[[X]]", None),
        ("[X] [[open", "[X] [[open"),
    ],
)
def test_liku_55_marks_are_not_shown_but_published_raw(text: str, shown: str | None) -> None:
    effects = feed(connected(), spoken(text))
    assert texts(effects) == ([] if shown is None else [(1, shown)])
    raw = [e.message["text"] for e in only(VendorRaw, effects)]
    assert raw == ([] if shown == text else [text])


def test_liku_55_a_flood_of_brackets_costs_no_time() -> None:
    """Linear, or this would take hours."""
    assert len(texts(feed(connected(), spoken("[[" * 400_000)))) == 1
    assert len(texts(feed(connected(), spoken("[[a" * 300_000)))) == 1


def test_liku_48_secrets_that_come_back_are_not_shown() -> None:
    """COM-02"""
    adapter = connected()
    said = " ".join(CANARIES)
    frames = [
        said,
        understood(said),
        spoken(said, said, said),
        written(said),
        says(said, **{said: [said, {said: said}]}),
    ]
    shown = repr(feed(adapter, *frames, spoken(f"{said} [[X]]", "a9")))
    assert not [canary for canary in CANARIES if canary in shown]
    assert "***" in shown


def test_a_password_that_is_a_word_of_the_protocol_breaks_nothing() -> None:
    adapter = service()
    account = {"liku_email": "text", "liku_password": "completed", "liku_token": "user_transcript"}
    adapter.answered(request(adapter.dial(account, NOW)[0]), HttpAnswer(200, "message_id"))
    adapter.opened()
    (event,) = only(Transcript, feed(adapter, understood("hello")))
    assert (event.text, event.final) == ("hello", True)
