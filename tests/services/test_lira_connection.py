"""Lira, without I/O: dialling, joining, being refused, leaving, and what goes up."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from tests.services.lira_kit import CANARY, NOW, joined, jwt, only, redial, says, sent, service, waits
from voicebox.core.events import Category, ServiceError, SessionEnded, SessionReady, SessionWarning
from voicebox.errors import AuthError, ConfigError
from voicebox.services.base import Hangup
from voicebox.services.lira import ASK_AGAIN, JSON_PING, REJOIN_AFTER, SLOW_LIMIT, SLOW_PAUSE, Service, Settings

# --- dialling ------------------------------------------------------------------------------------------------------


def test_lira_01_the_documented_address_by_default_and_any_other_by_setting() -> None:
    assert redial(service()).startswith("wss://api.creovine.com/lira/v1/ws?token=")
    assert redial(service(url="wss://lira.example/ws")).startswith("wss://lira.example/ws?token=")
    assert redial(service(url="wss://lira.example/ws?region=eu")).startswith("wss://lira.example/ws?region=eu&token=")


@pytest.mark.parametrize("token", ["abc.def-_", "a+b/c==", "a&b=c#d e", "ünïcode%20"])
def test_lira_02_the_token_is_percent_encoded(token: str) -> None:
    url = urlsplit(redial(service(), token))
    assert parse_qs(url.query, strict_parsing=True) == {"token": [token]}
    assert not url.fragment


def test_lira_03_the_address_does_not_show_its_token() -> None:
    dial, _ = service().dial({"lira_token": CANARY}, NOW)
    assert CANARY in dial.url
    assert CANARY not in repr(dial) + str(dial)


def test_lira_04_an_expired_token_is_not_dialled() -> None:
    token = jwt(exp=NOW - 1)
    with pytest.raises(AuthError, match="lira_token expired on 2023-11-14") as error:
        service().dial({"lira_token": token}, NOW)
    assert token not in str(error.value)


def test_lira_04_a_token_about_to_expire_is_warned_of() -> None:
    _, events = service().dial({"lira_token": jwt(exp=NOW + 59)}, NOW)
    assert [event.kind for event in only(SessionWarning, events)] == ["expiring_token"]
    assert service().dial({"lira_token": jwt(exp=NOW + 61)}, NOW)[1] == []


@pytest.mark.parametrize(
    "token",
    ["opaque", "a.b.c", "é.é.é", jwt(), jwt(exp="soon"), jwt(exp=None), jwt(exp=[1]), jwt(exp=10**400), jwt(exp=1e308)],
)
def test_lira_04_a_token_whose_expiry_cannot_be_read_is_dialled(token: str) -> None:
    assert service().dial({"lira_token": token}, NOW)[1] == []


def test_lira_04_credentials_are_taken_anew_at_every_dial() -> None:
    adapter = service()
    assert redial(adapter, "first").endswith("token=first")
    assert redial(adapter, "second").endswith("token=second")


def test_no_token_names_the_credential_and_no_meeting_the_setting() -> None:
    with pytest.raises(AuthError, match="lira_token"):
        service().dial({}, NOW)
    with pytest.raises(ConfigError, match=r"lira\.meeting_id"):
        Service(Settings()).dial({"lira_token": "t"}, NOW)


@pytest.mark.parametrize(
    "url", ["https://x.example", "x.example", "", "wss://", "wss://[half", "wss://x:port", "ws://x.example"]
)
def test_com_01_what_is_no_encrypted_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"lira\.url"):
        Service(Settings(url=url, meeting_id="m", allow_plain=True)).dial({"lira_token": "t"}, NOW)


def test_a_refused_address_does_not_quote_the_password_in_it() -> None:
    with pytest.raises(ConfigError) as error:
        Service(Settings(url="https://me:hunter2@x.example", meeting_id="m")).dial({"lira_token": "t"}, NOW)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_settings_that_cannot_be_sent_are_refused_when_they_are_read(value: object) -> None:
    with pytest.raises(ValidationError, match="cannot be sent as JSON"):
        Settings(meeting_id="m", settings={"x": value})


# --- being refused -------------------------------------------------------------------------------------------------


def _unauthorized(adapter: Service) -> SessionEnded:
    ended, hangup = adapter.received(says("error", code="UNAUTHORIZED", message="expired"))
    assert hangup == Hangup("expired")
    assert isinstance(ended, SessionEnded)
    return ended


def test_lira_05_unauthorized_ends_the_session_until_there_is_another_token() -> None:
    adapter = joined()
    ended = _unauthorized(adapter)
    assert ended.category is Category.AUTH
    assert "lira_token" in ended.message
    with pytest.raises(AuthError, match="refused this token"):
        redial(adapter)
    redial(adapter, "another")


def test_lira_05_a_token_that_perhaps_only_a_proxy_refused_may_be_tried_again_much_later() -> None:
    """A box in a hotel must not stay dumb for good; nothing dials by itself, so this takes somebody to ask."""
    adapter = joined()
    _unauthorized(adapter)
    for moment in (NOW + 1, NOW + ASK_AGAIN - 1, NOW - ASK_AGAIN + 1):
        with pytest.raises(AuthError):
            redial(adapter, now=moment)
    redial(adapter, now=NOW + ASK_AGAIN)


@pytest.mark.parametrize("status", [401, 403])
def test_lira_06_an_upgrade_refused_with_401_or_403_is_an_auth_failure(status: int) -> None:
    adapter = service()
    verdict = adapter.refused(status, {})
    assert not verdict.retry
    assert [e.category for e in only(SessionEnded, verdict.effects)] == [Category.AUTH]
    with pytest.raises(AuthError):
        redial(adapter)


@pytest.mark.parametrize("code", [4401, 4403])
def test_lira_06_so_is_a_close_that_says_so(code: int) -> None:
    """Fault 19"""
    verdict = joined().closed(code, "")
    assert not verdict.retry
    assert [e.category for e in only(SessionEnded, verdict.effects)] == [Category.AUTH]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_com_05_a_service_in_trouble_is_redialled_when_it_says(status: int) -> None:
    verdict = service().refused(status, {"Retry-After": "120"})
    assert (verdict.retry, verdict.server_side, verdict.retry_after) == (True, True, 120.0)


@pytest.mark.parametrize("status", [200, 301, 302, 307])
def test_fault_12_a_captive_portal_is_no_error_of_the_owners(status: int) -> None:
    assert service().refused(status, {"Location": "http://portal.example/"}).retry


@pytest.mark.parametrize("status", [400, 404, 405, 410, 426])
def test_com_05_other_refusals_are_the_owners_to_mend(status: int) -> None:
    verdict = service().refused(status, {})
    assert not verdict.retry
    assert [(e.category, "lira.url" in e.message) for e in only(SessionEnded, verdict.effects)] == [
        (Category.CONFIG, True)
    ]


# --- joining -------------------------------------------------------------------------------------------------------


def test_lira_08_join_with_the_meeting_is_the_first_message() -> None:
    assert sent(service(meeting_id="mtg_def456").opened()) == [{"type": "join", "meetingId": "mtg_def456"}]


def test_lira_09_nothing_else_is_sent_before_joined() -> None:
    adapter = service()
    adapter.opened()
    early = [adapter.audio_start(), adapter.audio(b"\0\0" * 1600), adapter.audio_stop(), adapter.text("hi")]
    early += [adapter.settings({"personality": "challenger"}), adapter.goodbye(), adapter.later("ping")]
    assert [sent(effects) for effects in early] == [[]] * len(early)
    after = sent(adapter.received(says("joined")))
    assert [message["type"] for message in after] == ["settings", "text", "settings"]


@pytest.mark.parametrize("key", ["sessionId", "session_id"])
def test_lira_11_session_and_participants_are_published(key: str) -> None:
    """A1.2 c: both spellings"""
    people = [{"name": "Sarah"}, "Tom"]
    fields: dict[str, Any] = {key: "s1"}
    effects = service().received(says("joined", participants=people, **fields))
    assert only(SessionReady, effects) == [SessionReady("s1", tuple(people))]


@pytest.mark.parametrize(
    "oddity",
    [{"sessionId": 7}, {"sessionId": {}}, {"participants": 3}, {"participants": {"a": 1}}, {"sessionId": None}],
)
def test_no_oddity_of_joined_keeps_us_out(oddity: dict[str, Any]) -> None:
    assert len(only(SessionReady, service().received(says("joined", **oddity)))) == 1


def test_lira_12_an_unknown_meeting_is_final() -> None:
    ended, hangup = joined().received(says("error", code="SESSION_NOT_FOUND", message="ended"))
    assert isinstance(ended, SessionEnded)
    assert (ended.category, "lira.meeting_id" in ended.message) == (Category.NOT_FOUND, True)
    assert hangup == Hangup("ended")


def test_lira_13_already_joined_leaves_and_joins_once_and_is_then_surfaced() -> None:
    adapter = service()
    adapter.opened()
    already = says("error", code="ALREADY_JOINED", message="busy")
    effects = adapter.received(already)
    assert waits(effects) == {"rejoin": REJOIN_AFTER}
    assert [m["type"] for m in sent(adapter.later("rejoin"))] == ["leave", "join"]
    ended, hangup = adapter.received(already)
    assert isinstance(ended, SessionEnded)
    assert (ended.category, hangup) == (Category.CONFIG, Hangup("busy"))


def test_lira_13_once_joined_there_is_nothing_to_rejoin() -> None:
    adapter = service()
    adapter.opened()
    adapter.received(says("error", code="ALREADY_JOINED", message="busy"))
    adapter.received(says("joined"))
    assert adapter.later("rejoin") == []
    effects = adapter.received(says("error", code="ALREADY_JOINED", message="busy"))
    assert only(ServiceError, effects) == [ServiceError(Category.SERVER, "ALREADY_JOINED", "busy")]


def test_a_local_wake_word_turns_off_liras_before_any_speech_is_sent() -> None:
    """A1.2 j: the settings go out before SessionReady, which lets the speech loose"""
    effects = service().received(says("joined"))
    assert sent(effects[:1]) == [{"type": "settings", "wake_word_enabled": False}]
    assert isinstance(effects[-1], SessionReady)
    assert sent(service(local_wake=False).received(says("joined"))) == []


def test_the_owners_session_settings_are_sent_and_win() -> None:
    """LIRA-20"""
    adapter = service(settings={"personality": "facilitator", "wake_word_enabled": True})
    wanted = {"type": "settings", "personality": "facilitator", "wake_word_enabled": True}
    assert sent(adapter.received(says("joined"))) == [wanted]


# --- what goes up --------------------------------------------------------------------------------------------------


def test_lira_14_audio_start_precedes_each_stretch_and_lira_15_audio_has_no_header() -> None:
    adapter = joined()
    pcm = b"\1\2" * 1600
    for _ in range(2):
        assert adapter.audio(pcm) == []
        assert sent(adapter.audio_start()) == [{"type": "audio_start"}]
        assert adapter.audio_start() == []
        assert sent(adapter.audio(pcm)) == [pcm]
        assert sent(adapter.audio_stop()) == [{"type": "audio_stop"}]
    assert adapter.audio_stop() == []


def test_lira_16_no_binary_frame_follows_audio_stop() -> None:
    adapter = joined()
    adapter.audio_start()
    adapter.audio_stop()
    assert adapter.audio(b"\0\0" * 1600) == []


def test_lira_15_lira_17_uplink_is_16_khz_in_chunks_of_100_to_128_ms() -> None:
    capabilities = Service.capabilities
    assert capabilities.uplink_rate == 16_000
    assert 1_600 <= capabilities.uplink_chunk <= 2_048


def test_lira_19_text_sends_a_text_turn() -> None:
    assert sent(joined().text("hello")) == [{"type": "text", "text": "hello"}]


def test_lira_20_settings_pass_any_key_through() -> None:
    values = {"personality": "supportive", "wake_word_enabled": True, "later": {"a": [1]}, "type": "leave"}
    assert sent(joined().settings(values)) == [values | {"type": "settings"}]
    with pytest.raises(ConfigError):
        joined().settings({"x": float("inf")})


def test_lira_22_leave_is_said_before_a_deliberate_close() -> None:
    adapter = joined()
    assert sent(adapter.goodbye()) == [{"type": "leave"}]
    adapter.audio_start()
    assert [m["type"] for m in sent(adapter.goodbye())] == ["audio_stop", "leave"]


def test_lira_41_rate_limited_slows_down_and_does_not_reconnect() -> None:
    adapter = joined()
    adapter.audio_start()
    effects = adapter.received(says("error", code="RATE_LIMITED", message="too many messages"))
    assert only(ServiceError, effects) == [ServiceError(Category.RATE_LIMIT, "RATE_LIMITED", "too many messages")]
    assert (only(Hangup, effects), waits(effects)) == ([], {"resume": SLOW_PAUSE})
    chunk = b"\1\0" * 1600
    assert [sent(adapter.audio(chunk)) for _ in range(6)] == [[]] * 6
    assert sent(adapter.later("resume")) == [chunk * 6]
    assert [sent(adapter.audio(chunk)) for _ in range(4)] == [[], [], [], [chunk * 4]]
    adapter.audio(chunk)
    assert sent(adapter.audio_stop()) == [chunk, {"type": "audio_stop"}]


def test_com_06_what_waits_while_slowed_down_is_bounded_and_loses_the_oldest() -> None:
    adapter = joined()
    adapter.audio_start()
    adapter.received(says("error", code="RATE_LIMITED"))
    for number in range(30):
        adapter.audio(bytes([number, 0]) * 1600)
    (kept,) = sent(adapter.later("resume"))
    assert len(kept) == SLOW_LIMIT
    assert kept.endswith(bytes([29, 0]) * 1600)
    assert adapter.dropped_uplink_bytes == 30 * 3200 - SLOW_LIMIT


# --- the end -------------------------------------------------------------------------------------------------------


def test_lira_42_the_meetings_end_is_the_end() -> None:
    """A1.2 i"""
    verdict = joined().closed(1000, "")
    assert not verdict.retry
    assert [e.category for e in only(SessionEnded, verdict.effects)] == [None]


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1008, 1009, 1011, 1012, 1013, 1015, 3000, 4000, 4999])
def test_lira_43_any_other_close_is_redialled(code: int) -> None:
    """A1.2 i, fault 19: a broken link soon, a service that ended it widely spread, a policy violation slowly."""
    verdict = joined().closed(code, "")
    assert (verdict.retry, verdict.effects) == (True, ())
    assert verdict.server_side is (code != 1006)
    assert verdict.retry_after == (60.0 if code == 1008 else 0.0)


def test_lira_43_a_new_connection_joins_the_same_meeting_and_starts_audio_again() -> None:
    adapter = joined(meeting_id="mtg_7")
    adapter.audio_start()
    adapter.closed(1006, "")
    redial(adapter)
    assert sent(adapter.opened()) == [{"type": "join", "meetingId": "mtg_7"}]
    adapter.received(says("joined"))
    assert sent(adapter.audio_start()) == [{"type": "audio_start"}]


def test_lira_44_websocket_pings_always_json_pings_only_in_the_dialect_that_has_them() -> None:
    assert Service.capabilities.ping_interval > 0
    assert waits(service().opened()) == {}
    adapter = service(dialect="lira-web")
    assert waits(adapter.opened()) == {"ping": JSON_PING}
    adapter.received(says("joined"))
    effects = adapter.later("ping")
    assert (sent(effects), waits(effects)) == ([{"type": "ping"}], {"ping": JSON_PING})


# --- dialects ------------------------------------------------------------------------------------------------------


def test_the_field_dialect_speaks_as_the_vendors_web_client_does() -> None:
    """A1.2 b"""
    adapter = service(dialect="lira-web", user_name="kitchen", settings={"personality": "supportive"})
    (join,) = sent(adapter.opened())
    assert join == {
        "action": "join",
        "payload": {
            "meetingId": "mtg_1",
            "session_id": "mtg_1",
            "user_id": "kitchen",
            "user_name": "kitchen",
            "settings": {"personality": "supportive"},
        },
    }
    adapter.received(says("joined", "payload", session_id="s9"))
    assert sent(adapter.audio_start()) == [{"action": "audio_start", "session_id": "s9", "payload": {}}]
    assert sent(adapter.text("hi")) == [{"action": "text", "session_id": "s9", "payload": {"text": "hi"}}]


def test_the_dialect_both_carries_both_forms_in_one_message() -> None:
    """A1.2 b"""
    adapter = joined(dialect="both")
    both = {"type": "text", "text": "hi", "action": "text", "payload": {"text": "hi"}, "session_id": "s1"}
    assert sent(adapter.text("hi")) == [both]
