"""NextEVI, without I/O: the first messages, and what goes up."""

import base64
import itertools
from typing import Any

import pytest
from pydantic import ValidationError

from tests.services.nextevi_kit import (
    KEY,
    METADATA,
    NOW,
    READY,
    dial,
    feed,
    final,
    only,
    ready,
    says,
    sent,
    service,
    talking,
    tts,
    waits,
)
from voicebox.core.events import SessionReady, SessionWarning
from voicebox.errors import ConfigError
from voicebox.services.base import Send
from voicebox.services.nextevi import MAX_CHUNK, READY_AFTER, TAIL, Service, Settings

CHUNK = bytes(2 * 2880)
CAPABILITIES = Service.capabilities


# --- the first messages --------------------------------------------------------------------------------------------


def test_evi_13_every_message_has_type_time_and_an_id_of_its_own() -> None:
    numbers = itertools.count()
    times = itertools.count()
    adapter = Service(
        Settings(config_id="c", uplink="base64", send_interrupt=True, text_input=True),
        new_id=lambda: f"id-{next(numbers)}",
        clock=lambda: NOW + next(times),
    )
    adapter.dial(KEY, NOW)
    effects = [*adapter.opened(), *adapter.later("keep_alive"), *adapter.audio_start(), *adapter.audio(CHUNK)]
    effects += [
        *adapter.audio(CHUNK),
        *adapter.text("hi"),
        *adapter.cancel(1),
        *adapter.settings({"turn_detection": False}),
    ]
    messages = sent(effects)
    assert len(messages) == 7
    assert len({message["message_id"] for message in messages}) == 7
    assert [message["timestamp"] for message in messages] == [NOW + n for n in range(7)]
    assert all(message["type"] for message in messages)


def test_evi_14_the_settings_come_first_with_the_format_of_the_sound() -> None:
    (settings,) = sent(service(dialect="documented").opened())
    assert settings == {
        "type": "session_settings",
        "timestamp": NOW,
        "message_id": "id-2",
        "data": {
            "emotion_detection": {"enabled": True},
            "turn_detection": {"enabled": True, "silence_threshold": 0.5},
            "audio": {"sample_rate": 24000, "channels": 1, "encoding": "linear16"},
        },
    }


def test_evi_15_and_16_detection_can_be_set() -> None:
    """EVI-15, EVI-16"""
    adapter = service(emotion_detection=False, turn_detection=False, silence_threshold=1.25)
    (settings,) = sent(adapter.opened())
    assert settings["data"]["emotion_detection"] == {"enabled": False}
    assert settings["data"]["turn_detection"] == {"enabled": False, "silence_threshold": 1.25}


def test_evi_17_the_format_at_the_top_too_where_the_vendors_clients_put_it() -> None:
    (both,) = sent(service().opened())
    assert {key: both[key] for key in ("sample_rate", "channels", "encoding")} == both["data"]["audio"]
    (sdk,) = sent(service(dialect="sdk").opened())
    assert sdk == {"type": "session_settings", "sample_rate": 24000, "channels": 1, "encoding": "linear16"}


def test_evi_70_every_connection_gets_the_settings_with_what_was_changed_meanwhile() -> None:
    adapter = ready()
    (changed,) = sent(adapter.settings({"silence_threshold": 0.8, "emotion_detection": False}))
    dial(adapter)
    (again,) = sent(adapter.opened())
    assert again["data"] == changed["data"]
    assert again["data"]["turn_detection"]["silence_threshold"] == 0.8
    assert again["data"]["emotion_detection"] == {"enabled": False}


@pytest.mark.parametrize("values", [{"personality": "kind"}, {"silence_threshold": "soon"}, {"silence_threshold": 0}])
def test_settings_that_the_session_has_not_are_refused(values: dict[str, Any]) -> None:
    adapter = ready()
    with pytest.raises(ConfigError, match=next(iter(values))):
        adapter.settings(values)
    assert sent(adapter.opened())[0]["data"]["turn_detection"]["silence_threshold"] == 0.5


def test_evi_18_the_connection_is_known_by_the_services_name() -> None:
    adapter = service()
    adapter.opened()
    (updated,) = feed(adapter, METADATA)
    assert "project-123" in repr(updated)
    assert only(SessionReady, feed(adapter, READY)) == [SessionReady("conn-xyz789")]


@pytest.mark.parametrize("config", [{"sample_rate": 16000}, {"channels": 2}, {"encoding": "mulaw"}])
def test_evi_19_another_format_is_reported(config: dict[str, Any]) -> None:
    warnings = only(SessionWarning, feed(service(), says("connection_metadata", connection_id="c", config=config)))
    assert [warning.kind for warning in warnings] == ["format"]
    assert str(next(iter(config.values()))) in warnings[0].message
    assert only(SessionWarning, feed(service(), METADATA)) == []


def test_evi_20_ready_opens_the_uplink_once() -> None:
    adapter = service()
    adapter.opened()
    assert only(SessionReady, feed(adapter, METADATA)) == []
    effects = feed(adapter, READY)
    assert isinstance(effects[-1], SessionReady), "last: speech follows it"
    assert only(SessionReady, feed(adapter, READY)) == []
    assert adapter.later("ready") == []


def test_evi_21_a_service_that_never_says_so_is_believed_after_a_second() -> None:
    adapter = service()
    assert waits(adapter.opened())["ready"] == READY_AFTER == 1.0
    assert only(SessionReady, adapter.later("ready")) == [SessionReady("id-1")]
    assert only(SessionReady, feed(adapter, READY)) == []


# --- what goes up --------------------------------------------------------------------------------------------------


def test_evi_24_and_27_sound_goes_up_as_it_is_by_default() -> None:
    """EVI-24, EVI-27"""
    assert CAPABILITIES.uplink_rate == 24_000
    effects = talking().audio(CHUNK)
    assert effects == [Send(CHUNK, is_audio=True)]


def test_evi_25_120_ms_in_each_message() -> None:
    assert 2 * CAPABILITIES.uplink_chunk == 5_760
    assert 0.1 <= CAPABILITIES.uplink_chunk / CAPABILITIES.uplink_rate <= 0.2


def test_evi_26_or_in_base64_each_piece_numbered() -> None:
    adapter = talking(uplink="base64")
    effects = [*adapter.audio(b"\1\2" * 10), *adapter.audio(b"\3\4" * 10)]
    assert all(effect.is_audio for effect in only(Send, effects))
    messages = sent(effects)
    assert [message["data"]["chunk_id"] for message in messages] == ["chunk-001", "chunk-002"]
    assert [base64.b64decode(message["data"]["audio"]) for message in messages] == [b"\1\2" * 10, b"\3\4" * 10]


def test_evi_28_29_30_the_limits_are_told_to_who_keeps_them() -> None:
    """EVI-28, EVI-29, EVI-30; tests/test_limiter.py shows that they are kept"""
    assert {(rate.kind, rate.messages, rate.seconds) for rate in CAPABILITIES.rates} == {
        ("audio", 1000, 60.0),
        ("text", 100, 60.0),
        ("any", 100, 1.0),
    }
    assert 60 / (CAPABILITIES.uplink_chunk / CAPABILITIES.uplink_rate) <= 1000


@pytest.mark.parametrize("uplink", ["binary", "base64"])
def test_evi_31_no_piece_of_sound_exceeds_a_megabyte(uplink: str) -> None:
    pcm = bytes(range(256)) * 10_000
    effects = only(Send, talking(uplink=uplink).audio(pcm))
    assert all(len(effect.message) <= 1_000_000 for effect in effects)
    pieces = [base64.b64decode(m["data"]["audio"]) if uplink == "base64" else m for m in sent(effects)]
    assert b"".join(pieces) == pcm
    assert all(len(piece) % 2 == 0 for piece in pieces)
    assert max(map(len, pieces)) == MAX_CHUNK


def test_sound_without_a_beginning_is_not_sent() -> None:
    adapter = ready()
    assert adapter.audio(CHUNK) == []
    assert adapter.audio_stop() == []


def test_evi_32_a_sign_of_life_every_half_minute_of_quiet() -> None:
    adapter = ready()
    assert waits(service().opened())["keep_alive"] == 30.0
    for _ in range(3):
        effects = adapter.later("keep_alive")
        assert [message["type"] for message in sent(effects)] == ["keep_alive"]
        assert "data" not in sent(effects)[0]
        assert waits(effects) == {"keep_alive": 30.0}
    assert waits(service(keep_alive_s=45).opened())["keep_alive"] == 45.0


def test_evi_33_none_while_sound_flows() -> None:
    adapter = talking()
    adapter.audio(CHUNK)
    effects = adapter.later("keep_alive")
    assert sent(effects) == []
    assert waits(effects) == {"keep_alive": 30.0}
    assert sent(adapter.later("keep_alive")) != [], "the microphone fell silent: nothing came for 30 s"
    adapter.audio(CHUNK)
    assert waits(adapter.audio_stop())["keep_alive"] == 30.0
    assert [message["type"] for message in sent(adapter.later("keep_alive"))] == ["keep_alive"]


def test_evi_34_the_hour_is_told_to_who_redials_before() -> None:
    assert CAPABILITIES.session_limit == 3600.0


def test_a_microphone_that_closes_leaves_the_silence_the_service_waits_for() -> None:
    adapter = talking(silence_threshold=0.7)
    adapter.audio(b"\1\1" * 2880)
    pieces = sent(adapter.audio_stop())
    silence = b"".join(pieces)
    assert len(silence) == round((0.7 + TAIL) * 24_000) * 2
    assert not any(silence)
    assert all(len(piece) <= len(CHUNK) for piece in pieces)


def test_no_silence_is_sent_where_the_turn_is_over_or_nothing_was_said() -> None:
    adapter = talking()
    assert sent(adapter.audio_stop()) == []
    adapter.audio_start()
    adapter.audio(CHUNK)
    feed(adapter, final())
    assert sent(adapter.audio_stop()) == []


def test_evi_82_nothing_empty_is_sent() -> None:
    def empty(value: object) -> bool:
        return any(map(empty, value.values())) if isinstance(value, dict) else value in ("", None, [], {})

    adapter = talking(uplink="base64", send_interrupt=True)
    effects = [*adapter.opened(), *adapter.audio(CHUNK), *adapter.later("keep_alive"), *adapter.cancel(1)]
    effects += adapter.later("keep_alive")
    assert len(sent(effects)) == 4
    assert not any(map(empty, sent(effects)))
    assert isinstance(talking().audio(CHUNK)[0].message, bytes), "binary is what is preferred"  # type: ignore[union-attr]


def test_evi_77_an_interruption_here_is_told_only_if_that_is_wished() -> None:
    adapter = talking()
    feed(adapter, tts())
    assert sent(adapter.cancel(1)) == []
    adapter = talking(send_interrupt=True)
    feed(adapter, tts())
    assert [message["type"] for message in sent(adapter.cancel(1))] == ["interrupt"]


def test_evi_78_written_turns_only_if_they_are_wished() -> None:
    with pytest.raises(ConfigError, match=r"nextevi\.text_input"):
        ready().text("hello")
    assert not ready().capabilities.text_input
    adapter = ready(text_input=True)
    assert adapter.capabilities.text_input
    (message,) = sent(adapter.text("hello"))
    assert (message["type"], message["text"]) == ("text_input", "hello")
    assert not Service.capabilities.text_input


@pytest.mark.parametrize(
    "wrong", [{"silence_threshold": 0}, {"dialect": "x"}, {"jwt_in": "body"}, {"keep_alive_s": 1}, {"uplink": "mp3"}]
)
def test_settings_that_make_no_sense_are_refused_when_they_are_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)
