"""ZeebeeAI, without I/O: what goes up, and the conversation it belongs to."""

import base64
import json
from typing import Any

import pytest

from tests.services.zeebee_kit import (
    ACK,
    KEY,
    NOW,
    SPEECH,
    asked,
    feed,
    only,
    redial,
    says,
    sent,
    service,
    speak,
    welcomed,
)
from voicebox.core.events import ReplyDone, SessionUpdated, SessionWarning
from voicebox.errors import ConfigError
from voicebox.services.base import Remember, Send
from voicebox.services.zeebee import CONVERSATION, Service, Settings
from voicebox.wire import wav
from voicebox.wire.zeebee import LANGUAGES

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
