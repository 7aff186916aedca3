"""ZeebeeAI, without I/O: dialling, introducing oneself, staying alive, being refused, and what goes up."""

import base64
import json
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
from voicebox.core.events import (
    Category,
    ReplyDone,
    ServiceStatus,
    SessionEnded,
    SessionReady,
    SessionUpdated,
    SessionWarning,
)
from voicebox.errors import AuthError, ConfigError
from voicebox.services.base import Hangup, Remember, Send
from voicebox.services.zeebee import ASK_AGAIN, CONVERSATION, QUIET, Service, Settings
from voicebox.wire import wav
from voicebox.wire.zeebee import INVALID_KEY, LANGUAGES, NO_CREDENTIALS, UNKNOWN_USER

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


# --- what goes up --------------------------------------------------------------------------------------------------


def test_zbe_23_zbe_24_zbe_26_one_message_per_utterance_wav_in_base64_with_every_option() -> None:
    (effect,) = only(Send, speak(welcomed()))
    assert effect.is_audio
    message = json.loads(str(effect.message))
    sound = wav.read(base64.b64decode(message.pop("audio_data"), validate=True))
    assert sound.is_pcm(16_000)
    assert sound.data == SPEECH
    assert message == {
        "type": "audio",
        "model": "gpt-4o",
        "stt_provider": "openai",
        "stt_options": {"model": "whisper-1"},
        "tts_provider": "openai",
        "tts_voice": "alloy",
        "tts_options": {},
        "language_code": "en-US",
    }


OTHERS = {
    "model": "gpt-5",
    "stt_provider": "deepgram",
    "stt_model": "nova",
    "tts_provider": "azure",
    "tts_voice": "Jenny",
    "tts_options": {"speed": 1.1},
    "language_code": "fr-FR",
}


def options(message: dict[str, Any]) -> dict[str, Any]:
    return {name: message["stt_options"]["model"] if name == "stt_model" else message[name] for name in OTHERS}


def test_zbe_26_zbe_29_every_option_can_be_set_and_changed_from_one_utterance_to_the_next() -> None:
    assert options(sent(speak(welcomed(**OTHERS)))[0]) == OTHERS
    adapter = welcomed()
    assert only(SessionUpdated, adapter.settings(OTHERS)) == [SessionUpdated(OTHERS)]
    assert options(sent(speak(adapter))[0]) == OTHERS


@pytest.mark.parametrize(
    ("provider", "voice"), [("openai", "alloy"), ("elevenlabs", "Rachel"), ("ElevenLabs", "Rachel")]
)
def test_zbe_27_each_provider_has_its_own_voice(provider: str, voice: str) -> None:
    adapter = welcomed()
    adapter.settings({"tts_provider": provider})
    assert sent(speak(adapter))[0]["tts_voice"] == voice
    assert sent(speak(welcomed(tts_provider=provider, tts_voice="Bob")))[0]["tts_voice"] == "Bob"


def test_zbe_28_an_unknown_language_is_warned_of_and_sent() -> None:
    for language in LANGUAGES:
        assert service(language_code=language).dial({"zeebee_api_key": KEY}, NOW)[1] == []
    warnings = service(language_code="tlh").dial({"zeebee_api_key": KEY}, NOW)[1]
    assert [w.kind for w in only(SessionWarning, warnings)] == ["language"]
    adapter = welcomed()
    assert [w.kind for w in only(SessionWarning, adapter.settings({"language_code": "tlh"}))] == ["language"]
    assert sent(speak(adapter))[0]["language_code"] == "tlh"


@pytest.mark.parametrize("values", [{"personality": "x"}, {"model": 7}, {"tts_options": {"x": float("inf")}}])
def test_settings_that_there_are_not_are_refused_and_what_there_is_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="tts_voice"):
        welcomed().settings(values)


def test_zbe_25_an_utterance_is_sent_up_to_20_s() -> None:
    effects = speak(welcomed(), bytes(21 * 32_000))
    assert [w.kind for w in only(SessionWarning, effects)] == ["too_long"]
    sound = wav.read(base64.b64decode(sent(effects)[0]["audio_data"]))
    assert len(sound.data) == 20 * 32_000
    assert len(str(only(Send, effects)[0].message)) < 2**20, "A4.2 c"
    assert only(SessionWarning, speak(welcomed(), bytes(20 * 32_000))) == []


def test_zbe_56_less_than_300_ms_are_discarded_and_nobody_waits_for_the_answer() -> None:
    effects = speak(welcomed(), bytes(9_598))
    assert sent(effects) == []
    assert [w.kind for w in only(SessionWarning, effects)] == ["too_short"]
    assert len(only(ReplyDone, effects)) == 1
    assert len(sent(speak(welcomed(), bytes(9_600)))) == 1


def test_zbe_57_what_is_sent_is_exactly_what_lay_between_start_and_stop() -> None:
    adapter = welcomed()
    adapter.audio(b"\7\0" * 1600)
    pcm = bytes(range(256)) * 125
    assert wav.read(base64.b64decode(sent(speak(adapter, pcm, 998))[0]["audio_data"])).data == pcm
    assert adapter.audio_stop() == []


# --- conversations -------------------------------------------------------------------------------------------------


def conversation(message: dict[str, Any]) -> str | None:
    return message.get("conversation_id")


def test_zbe_30_zbe_31_the_first_utterance_names_no_conversation_and_the_next_the_one_that_was_returned() -> None:
    adapter = welcomed()
    assert conversation(sent(speak(adapter))[0]) is None
    feed(adapter, says("response", text="a", conversation_id="conv_12345"), says("audio_stream_end"))
    assert conversation(sent(speak(adapter))[0]) == "conv_12345"


def test_zbe_32_a_configured_conversation_goes_on() -> None:
    assert conversation(sent(service(conversation_id="conv_1").opened())[0]) == "conv_1"
    assert conversation(sent(speak(welcomed(conversation_id="conv_1")))[0]) == "conv_1"


def test_zbe_33_a_conversation_outlives_the_connection_and_if_wanted_the_box() -> None:
    adapter = asked(keep_conversation=True)
    effects = feed(adapter, *[says("response", text="a", conversation_id="conv_7")] * 2)
    assert only(Remember, effects) == [Remember(CONVERSATION, "conv_7")]
    assert "conv_7" not in repr(effects)
    redial(adapter)
    assert conversation(sent(adapter.opened())[0]) == "conv_7"
    restarted = Service(Settings(keep_conversation=True))
    redial(restarted, zeebee_api_key=KEY, zeebee_conversation="conv_7")
    assert conversation(sent(restarted.opened())[0]) == "conv_7"
    forgetful = Service(Settings())
    redial(forgetful, zeebee_api_key=KEY, zeebee_conversation="conv_7")
    assert conversation(sent(forgetful.opened())[0]) is None
    assert not only(Remember, feed(asked(), says("response", text="a", conversation_id="conv_7")))


def test_zbe_34_a_new_conversation_can_be_asked_for() -> None:
    adapter = welcomed(conversation_id="conv_1", keep_conversation=True)
    assert only(Remember, adapter.settings({"conversation": "new"})) == [Remember(CONVERSATION, None)]
    assert conversation(sent(speak(adapter))[0]) is None
    redial(adapter, zeebee_api_key=KEY, zeebee_conversation="conv_1")
    assert conversation(sent(adapter.opened())[0]) is None


def test_zbe_34_an_answer_of_the_old_conversation_does_not_bring_it_back() -> None:
    adapter = asked(conversation_id="conv_1")
    adapter.settings({"conversation": "new"})
    feed(adapter, says("response", text="a", conversation_id="conv_1"), says("audio_stream_end"))
    assert conversation(sent(speak(adapter))[0]) is None
    feed(adapter, says("response", text="a", conversation_id="conv_2"), says("audio_stream_end"))
    assert conversation(sent(speak(adapter))[0]) == "conv_2"


def test_zbe_32_and_so_can_an_old_one() -> None:
    adapter = welcomed()
    adapter.settings({"conversation": "conv_9"})
    assert conversation(sent(speak(adapter))[0]) == "conv_9"


def test_there_is_no_goodbye_and_no_text() -> None:
    """A4.2 q"""
    assert welcomed().goodbye() == []
    assert not Service.capabilities.text_input
    with pytest.raises(ConfigError, match="only speech"):
        welcomed().text("hello")


def test_zbe_62_an_idle_box_may_hang_up_and_go_on_when_it_is_woken() -> None:
    """What the adapter adds to the session's hanging up: the conversation goes on"""
    assert Service.capabilities.resumes
    adapter = asked()
    feed(adapter, says("response", text="a", conversation_id="conv_7"), says("audio_stream_end"))
    adapter.goodbye()
    redial(adapter, NOW + 3600)
    assert conversation(sent(adapter.opened())[0]) == "conv_7"
    adapter.received(ACK)
    assert conversation(sent(speak(adapter))[0]) == "conv_7"
