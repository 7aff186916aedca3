"""ZeebeeAI, without I/O: dialling, introducing oneself, staying alive, being refused, and what goes up."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.services.zeebee_kit import (
    ACK,
    KEY,
    NOW,
    SPEECH,
    USER,
    asked,
    feed,
    only,
    redial,
    reply,
    says,
    sent,
    service,
    speak,
    waits,
    welcomed,
)
from voicebox.core.events import Category, ReplyDone, ServiceStatus, SessionEnded, SessionReady, SessionWarning
from voicebox.errors import AuthError
from voicebox.services.base import Hangup
from voicebox.services.zeebee import ASK_AGAIN, QUIET, Service, Settings
from voicebox.wire.zeebee import INVALID_KEY, NO_CREDENTIALS, UNKNOWN_USER

# --- dialling ------------------------------------------------------------------------------------------------------


def test_zbe_01_the_documented_address_by_default_any_other_by_setting_and_no_credential_in_it() -> None:
    assert redial(service()).url == "wss://zeebee.ai/ws"
    assert redial(service(url="wss://api.zeebee.ai/v1/ws")).url == "wss://api.zeebee.ai/v1/ws"
    assert not redial(service()).headers


def test_zbe_02_zbe_03_init_with_the_api_key_is_the_first_message() -> None:
    (init,) = sent(service().opened())
    assert init == {"type": "init", "api_key": KEY, "model": "gpt-4o", "client_info": {}}


@pytest.mark.parametrize(("key", "user", "name"), [("", USER, "user_id"), (KEY, USER, "api_key"), (KEY, "", "api_key")])
def test_zbe_04_or_with_the_user_id_never_with_both(key: str, user: str, name: str) -> None:
    """A4.2 k"""
    adapter = service()
    redial(adapter, zeebee_api_key=key, zeebee_user_id=user)
    (init,) = sent(adapter.opened())
    assert {"api_key", "user_id"} & init.keys() == {name}
    assert init[name] == (key or user)


def test_zbe_05_without_either_nothing_is_dialled() -> None:
    with pytest.raises(AuthError, match="zeebee_api_key and zeebee_user_id"):
        service().dial({}, NOW)
    assert Settings.SECRETS_ANY == ("zeebee_api_key", "zeebee_user_id")


def test_zbe_06_conversation_model_and_client_info_are_sent_if_set() -> None:
    (init,) = sent(service(conversation_id="conv_1", model="gpt-5", client_info={"room": "kitchen"}).opened())
    assert (init["conversation_id"], init["model"], init["client_info"]) == ("conv_1", "gpt-5", {"room": "kitchen"})


@pytest.mark.parametrize("dialect", ["documented", "python-sdk"])
def test_zbe_07_no_field_is_null(dialect: str) -> None:
    adapter = welcomed(dialect=dialect)
    messages = sent([*service(dialect=dialect).opened(), *speak(adapter), *adapter.later("quiet")])
    messages += sent(adapter.received(says("ping")))
    assert len(messages) == 4
    assert all(value is not None for message in messages for value in message.values())


def test_the_vendors_own_clients_dialect_names_the_box_everywhere() -> None:
    """B, Zeebee facts"""
    adapter = welcomed(dialect="python-sdk", client_id="kitchen")
    (init,) = sent(service(dialect="python-sdk", client_id="kitchen").opened())
    assert init["client_info"] == {"client_id": "kitchen", "sdk": "voicebox"}
    assert (init["api_key"], init["user_id"]) == (KEY, "kitchen")
    (audio,) = sent(speak(adapter))
    assert audio["user_id"] == "kitchen"
    assert "stt_options" not in audio
    assert sent(adapter.later("quiet")) == [{"type": "ping", "timestamp": NOW, "client_id": "kitchen"}]


@pytest.mark.parametrize("value", [{"x": float("nan")}, {"x": object()}])
def test_options_that_cannot_be_sent_are_refused_when_they_are_read(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="cannot be sent as JSON"):
        Settings(tts_options=value)


# --- the beginning -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_zbe_08_connection_established_may_come_before_or_after_init(first: bool) -> None:
    adapter = service()
    established = says("connection_established", server="a", user_id=USER)
    effects = list(adapter.received(established)) if first else []
    effects += adapter.opened()
    effects += adapter.received(established) if not first else []
    assert only(ServiceStatus, effects) == [ServiceStatus("connection_established", {"server": "a", "user_id": "***"})]
    assert only(SessionReady, adapter.received(ACK)) == [SessionReady()]


def test_zbe_09_init_ack_makes_ready_once() -> None:
    adapter = service()
    adapter.opened()
    assert not only(SessionReady, adapter.received(says("status", status="waiting")))
    assert [len(only(SessionReady, adapter.received(ACK))) for _ in range(2)] == [1, 0]


def test_zbe_10_the_session_gives_up_after_10_s() -> None:
    assert Service.capabilities.ready_timeout == 10.0


def test_nothing_but_init_is_sent_before_init_ack() -> None:
    adapter = service()
    adapter.opened()
    assert sent(speak(adapter)) == []
    assert sent(adapter.received(ACK)) == []


# --- being refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [INVALID_KEY, NO_CREDENTIALS, UNKNOWN_USER])
@pytest.mark.parametrize("ready", [True, False])
def test_zbe_11_zbe_12_zbe_13_refused_credentials_end_it_until_there_are_others(text: str, ready: bool) -> None:
    adapter = welcomed() if ready else service()
    effects = adapter.received(says("error", message=text))
    (ended,) = only(SessionEnded, effects)
    assert (ended.category, "zeebee_api_key" in ended.message) == (Category.AUTH, True)
    assert only(Hangup, effects) == [Hangup(text)]
    with pytest.raises(AuthError, match="refused this before"):
        redial(adapter, NOW + ASK_AGAIN - 1)
    redial(adapter, NOW + ASK_AGAIN)
    redial(adapter, zeebee_user_id=USER)


def test_any_error_before_init_ack_is_a_refusal() -> None:
    """A4.2 l"""
    adapter = service()
    adapter.opened()
    effects = adapter.received(says("error", message=f"no entry for {KEY}"))
    assert [e.category for e in only(SessionEnded, effects)] == [Category.AUTH]
    assert [h.retry for h in only(Hangup, effects)] == [False]
    assert KEY not in repr(effects)


@pytest.mark.parametrize("status", [401, 403])
def test_com_05_refused_upgrades(status: int) -> None:
    assert [e.category for e in only(SessionEnded, service().refused(status, {}).effects)] == [Category.AUTH]
    assert service().refused(503, {"Retry-After": "7"}).retry_after == 7
    assert [e.category for e in only(SessionEnded, service().refused(404, {}).effects)] == [Category.CONFIG]


@pytest.mark.parametrize(("code", "retry"), [(1001, True), (1006, True), (1011, True), (1008, True), (3000, False)])
def test_zbe_61_a_close_is_redialled_with_init_and_the_conversation(code: int, retry: bool) -> None:
    """COM-05: 1xxx retry, 3xxx and 4xxx stop"""
    adapter = asked()
    feed(adapter, says("response", text="a", conversation_id="conv_7"))
    assert adapter.closed(code, "").retry is retry
    redial(adapter)
    assert sent(adapter.opened())[0]["conversation_id"] == "conv_7"


@pytest.mark.parametrize("code", [4401, 4403])
def test_a_close_that_refuses_the_credentials(code: int) -> None:
    assert [e.category for e in only(SessionEnded, welcomed().closed(code, f"bad {KEY}").effects)] == [Category.AUTH]
    assert KEY not in repr(welcomed().closed(code, f"bad {KEY}"))


def test_com_06_stale_speech_is_never_sent_to_another_connection() -> None:
    adapter = asked()
    speak(adapter)
    adapter.audio_start()
    adapter.audio(SPEECH)
    redial(adapter)
    messages = sent([*adapter.opened(), *adapter.received(ACK), *adapter.audio_stop()])
    assert [message["type"] for message in messages] == ["init"]


# --- staying alive -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ping_id", ["p-1", 7, {"a": [1]}])
def test_zbe_15_every_ping_is_answered_at_once_with_its_id_and_milliseconds(ping_id: object) -> None:
    pong = {"type": "pong", "ping_id": ping_id, "timestamp": 1_700_000_000_250}
    recording, waiting, speaking = welcomed(), asked(), asked()
    recording.audio_start()
    feed(speaking, *reply()[:4])
    for adapter in (service(), welcomed(), recording, waiting, speaking):
        assert sent(adapter.received(says("ping", ping_id=ping_id))) == [pong]


def test_zbe_16_a_ping_without_an_id_is_answered_without() -> None:
    for ping in (says("ping"), says("ping", ping_id=None)):
        assert sent(welcomed().received(ping)) == [{"type": "pong", "timestamp": 1_700_000_000_250}]


def test_zbe_17_zbe_21_we_ping_after_20_s_without_a_message() -> None:
    adapter = welcomed()
    assert waits(adapter.received(says("status")))["quiet"] == QUIET == 20.0
    effects = adapter.later("quiet")
    assert sent(effects) == [{"type": "ping", "timestamp": 1_700_000_000_250}]
    assert waits(effects) == {"quiet": QUIET}


def test_zbe_18_a_pong_of_theirs_is_a_sign_of_life_and_nothing_else() -> None:
    adapter = welcomed()
    for _ in range(10):
        adapter.later("quiet")
        assert waits(adapter.received(says("pong", anything=1))) == {"quiet": QUIET}
        assert len(adapter.received(says("pong"))) == 1


def test_zbe_22_after_60_s_of_silence_we_redial() -> None:
    adapter = welcomed()
    adapter.later("quiet")
    adapter.later("quiet")
    (hangup,) = adapter.later("quiet")
    assert isinstance(hangup, Hangup)
    assert (hangup.retry, "60 s" in hangup.reason) == (True, True)


def test_zbe_19_a_connection_warning_is_answered_with_a_ping_at_once() -> None:
    effects = welcomed().received(says("connection_warning", level="warning", message="asleep?", time_remaining=30))
    assert [message["type"] for message in sent(effects)] == ["ping"]
    assert only(SessionWarning, effects) == [SessionWarning("inactivity", "asleep?")]
    assert not only(Hangup, effects)


LEAVE = says("connection_warning", message="moving house", time_remaining=30, reconnect_required=True)


def test_zbe_20_reconnect_required_is_obeyed_when_nothing_is_in_flight() -> None:
    assert only(Hangup, welcomed().received(LEAVE)) == [Hangup("moving house", retry=True)]
    adapter = asked()
    effects = adapter.received(LEAVE)
    assert not only(Hangup, effects)
    assert waits(effects)["leave"] == 15.0
    effects = feed(adapter, *reply())
    assert [type(effect) for effect in effects if isinstance(effect, ReplyDone | Hangup)] == [ReplyDone, Hangup]


def test_zbe_20_and_in_any_case_before_the_time_is_over() -> None:
    adapter = asked()
    adapter.received(LEAVE)
    assert adapter.later("leave") == [Hangup("moving house", retry=True)]
