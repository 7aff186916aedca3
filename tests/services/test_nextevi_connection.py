"""NextEVI, without I/O: dialling, being refused, being closed."""

import uuid
from urllib.parse import urlsplit

import pytest

from tests.services.lira_kit import jwt
from tests.services.nextevi_kit import (
    CANARY,
    KEY,
    METADATA,
    NOW,
    READY,
    dial,
    feed,
    only,
    query,
    ready,
    says,
    service,
    tts,
)
from voicebox.core.events import Category, ServiceError, SessionEnded, SessionWarning
from voicebox.errors import AuthError, ConfigError
from voicebox.services.base import Verdict
from voicebox.services.nextevi import ASK_AGAIN, Service, Settings


def ended(verdict: Verdict) -> SessionEnded:
    assert not verdict.retry
    (event,) = verdict.effects
    assert isinstance(event, SessionEnded)
    return event


# --- dialling ------------------------------------------------------------------------------------------------------


def test_evi_01_every_dial_has_the_path_and_a_new_uuid_v4() -> None:
    adapter = Service(Settings(config_id="cfg"))
    paths = [urlsplit(dial(adapter).url).path for _ in range(3)]
    ids = [path.removeprefix("/ws/voice/") for path in paths]
    assert len(set(ids)) == 3
    assert all(uuid.UUID(i).version == 4 and str(uuid.UUID(i)) == i for i in ids)
    assert dial(adapter).url.startswith("wss://api.nextevi.com/ws/voice/")


@pytest.mark.parametrize("url", ["wss://evi.example/v", "wss://evi.example/v/"])
def test_evi_01_another_address_keeps_its_query(url: str) -> None:
    target = dial(service(url=f"{url}?region=eu"))
    assert target.url.startswith("wss://evi.example/v/id-")
    assert query(target) == {"region": "eu", "api_key": CANARY, "config_id": "cfg_1"}


def test_evi_02_the_configuration_is_always_named() -> None:
    assert query(dial(service(config_id="a&b=ü")))["config_id"] == "a&b=ü"
    with pytest.raises(ConfigError, match=r"nextevi\.config_id"):
        Service(Settings()).dial(KEY, NOW)


def test_evi_03_the_project_only_if_it_is_set() -> None:
    assert "project_id" not in query(dial(service()))
    assert query(dial(service(project_id="p1")))["project_id"] == "p1"


def test_evi_04_the_key_goes_into_the_query_and_nowhere_else() -> None:
    target = dial(service())
    assert query(target) == {"api_key": CANARY, "config_id": "cfg_1"}
    assert target.headers == {}


@pytest.mark.parametrize("key", ["sk_0123456789", "OAK_0123", "Bearer oak_1"])
def test_evi_05_a_key_that_is_none_is_refused_before_dialling_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match=r"nextevi_api_key.*oak_") as error:
        service().dial({"nextevi_api_key": key}, NOW)
    assert key not in str(error.value)


@pytest.mark.parametrize("stored", ["a.b.c", "Bearer a.b.c"])
def test_evi_06_a_jwt_goes_into_the_header(stored: str) -> None:
    target = dial(service(), {"nextevi_jwt": stored})
    assert target.headers == {"Authorization": "Bearer a.b.c"}
    assert query(target) == {"config_id": "cfg_1"}


def test_evi_07_or_into_the_query() -> None:
    target = dial(service(jwt_in="query"), {"nextevi_jwt": "a.b.c"})
    assert target.headers == {}
    assert query(target) == {"authorization": "Bearer a.b.c", "config_id": "cfg_1"}


def test_evi_08_never_both_and_never_none() -> None:
    with pytest.raises(ConfigError, match="nextevi_api_key and nextevi_jwt"):
        service().dial({**KEY, "nextevi_jwt": "a.b.c"}, NOW)
    with pytest.raises(AuthError, match=r"nextevi_api_key.*nextevi_jwt"):
        service().dial({}, NOW)


@pytest.mark.parametrize("secret", ["oak_1\r\nX: y", "oak_ü", "oak_1\x00"])
def test_what_cannot_be_sent_is_not_dialled(secret: str) -> None:
    with pytest.raises(ConfigError, match="plain text") as error:
        service().dial({"nextevi_api_key": secret}, NOW)
    assert secret not in str(error.value)


def test_evi_09_nothing_shows_the_secret() -> None:
    for credentials in (KEY, {"nextevi_jwt": CANARY}):
        adapter = service()
        step, warnings = adapter.dial(credentials, NOW)
        effects: list[object] = [*adapter.opened(), *feed(adapter, METADATA, READY)]
        effects += feed(adapter, says("error", error_message=f"bad key {CANARY}", details={CANARY: [CANARY]}))
        effects += feed(adapter, says("weather", text=CANARY), says("system_message", content=CANARY))
        effects += [adapter.closed(code, f"key {CANARY}") for code in (4001, 4004, 4999)]
        effects.append(adapter.refused(401, {"X": CANARY}))
        assert CANARY not in f"{step} {step!r} {warnings} {effects} {adapter!r}"


def test_evi_09_details_are_masked_by_name_and_by_shape_too() -> None:
    details = {
        "api_key": "short",
        "nested": [{"authorization": "Basic x"}],
        "text": "Bearer abcdefgh12345",
        "chunk_id": "c",
    }
    (error,) = only(ServiceError, feed(ready(), says("error", error_code="X", details=details)))
    assert error.details == {
        "api_key": "***",
        "nested": [{"authorization": "***"}],
        "text": "Bearer ***",
        "chunk_id": "c",
    }


def test_evi_74_plain_text_only_on_this_machine() -> None:
    with pytest.raises(ConfigError, match=r"nextevi\.url"):
        service(url="ws://evi.example/ws", allow_plain=True)
    with pytest.raises(ConfigError, match=r"nextevi\.url"):
        service(url="ws://127.0.0.1/ws")
    assert dial(service(url="ws://127.0.0.1/ws", allow_plain=True)).url.startswith("ws://127.0.0.1/ws/")


def test_evi_75_credentials_are_taken_anew_and_an_expired_one_is_named_with_its_time() -> None:
    adapter = service()
    assert dial(adapter, {"nextevi_jwt": "a.b.c"}).headers["Authorization"] == "Bearer a.b.c"
    assert dial(adapter, {"nextevi_jwt": "d.e.f"}).headers["Authorization"] == "Bearer d.e.f"
    with pytest.raises(AuthError, match="nextevi_jwt expired on 2023-11-14"):
        dial(adapter, {"nextevi_jwt": jwt(exp=NOW - 1)})
    _, warnings = adapter.dial({"nextevi_jwt": jwt(exp=NOW + 30)}, NOW)
    assert [w.kind for w in warnings] == ["expiring_token"]


# --- being refused -------------------------------------------------------------------------------------------------


def test_evi_10_each_refusal_is_told_apart() -> None:
    words = {status: ended(service().refused(status, {})) for status in (400, 401, 403, 404)}
    assert len({event.message for event in words.values()}) == 4
    for status, setting in ((400, "config_id"), (401, "nextevi_api_key"), (403, "config_id"), (404, "nextevi.url")):
        assert setting in words[status].message
    assert [words[status].category for status in (401, 403)] == [Category.AUTH, Category.AUTH]
    assert ended(service().refused(418, {})).category is Category.CONFIG


def test_evi_10_a_refused_credential_is_not_tried_again_at_once() -> None:
    adapter = service()
    adapter.refused(401, {})
    with pytest.raises(AuthError, match="refused this credential before"):
        dial(adapter)
    dial(adapter, {"nextevi_api_key": "oak_another"})
    adapter.refused(401, {})
    dial(adapter, {"nextevi_api_key": "oak_another"}, NOW + ASK_AGAIN)


def test_evi_11_and_35_too_many_is_said_and_waits_as_long_as_it_says() -> None:
    """EVI-11, EVI-35"""
    verdict = service().refused(429, {"Retry-After": "42"})
    assert (verdict.retry, verdict.server_side, verdict.retry_after) == (True, True, 42.0)
    (limited,) = verdict.effects
    assert isinstance(limited, ServiceError)
    assert limited.category is Category.RATE_LIMIT
    assert "10 at once" in limited.message


@pytest.mark.parametrize("status", [500, 502, 503, 408, 302, 200])
def test_evi_12_a_service_in_trouble_is_redialled(status: int) -> None:
    verdict = service().refused(status, {"Retry-After": "3"})
    assert (verdict.retry, verdict.server_side, verdict.retry_after) == (True, True, 3.0)


def test_evi_36_no_redial_comes_sooner_than_two_seconds() -> None:
    verdicts = [service().refused(status, {"Retry-After": "0"}) for status in (429, 500, 302)]
    verdicts += [ready().closed(code, "") for code in (1001, 1005, 1006, 1008, 1011, 1012, 4004)]
    assert all(verdict.retry and verdict.retry_after >= 2.0 for verdict in verdicts)
    assert 60 / min(verdict.retry_after for verdict in verdicts) <= 50


# --- being closed --------------------------------------------------------------------------------------------------


def test_evi_59_a_normal_close_is_the_end() -> None:
    assert ended(ready().closed(1000, "")).category is None


@pytest.mark.parametrize("code", [1001, 1011])
def test_evi_60_and_64_a_service_that_restarts_or_fails_is_redialled_with_spread(code: int) -> None:
    """EVI-60, EVI-64"""
    verdict = ready().closed(code, "")
    assert (verdict.retry, verdict.server_side) == (True, True)


def test_evi_63_a_broken_link_is_redialled_at_once() -> None:
    verdict = ready().closed(1006, "")
    assert (verdict.retry, verdict.server_side) == (True, False)


@pytest.mark.parametrize(
    ("code", "category", "words"),
    [
        pytest.param(1002, Category.PROTOCOL, "nextevi.dialect", id="EVI-61"),
        pytest.param(1003, Category.PROTOCOL, "nextevi.uplink", id="EVI-62"),
        pytest.param(4001, Category.AUTH, "nextevi_api_key", id="EVI-65"),
        pytest.param(4002, Category.CONFIG, "nextevi.config_id", id="EVI-66"),
        pytest.param(4003, Category.AUTH, "denies access", id="EVI-67"),
        pytest.param(4010, Category.SERVER, "4010", id="COM-05"),
        pytest.param(3000, Category.SERVER, "3000", id="COM-05, 3xxx"),
    ],
)
def test_evi_61_62_65_66_67_these_are_not_redialled(code: int, category: Category, words: str) -> None:
    """EVI-61, EVI-62, EVI-65, EVI-66, EVI-67, COM-05"""
    event = ended(ready().closed(code, "the reason"))
    assert event.category is category
    assert words in event.message
    assert "the reason" in event.message


def test_evi_65_a_key_refused_by_a_close_is_not_tried_again() -> None:
    adapter = ready()
    adapter.closed(4001, "AUTH_FAILED")
    with pytest.raises(AuthError):
        dial(adapter)


@pytest.mark.parametrize(
    "reason",
    ["CONFIG_NOT_FOUND", "INVALID_PROJECT", "Config not found", "unknown project", "authentication", "access denied"],
)
def test_evi_68_4004_in_its_other_meaning_is_the_end(reason: str) -> None:
    event = ended(ready().closed(4004, reason))
    assert event.category is Category.CONFIG
    assert "nextevi.config_id" in event.message


@pytest.mark.parametrize("reason", ["", "Rate limited", "Too many connections"])
def test_evi_68_and_35_4004_is_redialled_after_half_a_minute_five_times(reason: str) -> None:
    """EVI-68, EVI-35"""
    adapter = ready()
    for _ in range(5):
        verdict = adapter.closed(4004, reason)
        assert (verdict.retry, verdict.retry_after >= 30) == (True, True)
        (limited,) = only(ServiceError, verdict.effects)
        assert limited.category is Category.RATE_LIMIT
        dial(adapter)
        feed(adapter, METADATA, READY)  # being let in for a moment is no success
    assert ended(adapter.closed(4004, reason)).category is Category.RATE_LIMIT
    assert adapter.closed(4004, reason).retry, "when somebody asks again, it starts anew"


def test_evi_68_a_reply_shows_that_the_service_works_with_us_again() -> None:
    adapter = ready()
    for _ in range(12):
        assert adapter.closed(4004, "").retry
        dial(adapter)
        feed(adapter, tts())


def test_evi_58_a_close_that_was_announced_is_known_for_what_it_is() -> None:
    adapter = ready()
    (warning,) = only(SessionWarning, feed(adapter, says("websocket.disconnect", code=4002, reason="config deleted")))
    assert "4002" in warning.message
    assert ended(adapter.closed(1000, "")).category is Category.CONFIG
    dial(adapter)
    assert adapter.closed(1006, "").retry, "it was of the last connection"


def test_evi_76_what_ends_it_names_the_connection_and_the_code() -> None:
    adapter = service()
    adapter.opened()
    feed(adapter, METADATA)
    assert "connection conn-xyz789" in ended(adapter.closed(4002, "gone")).message
    assert "4002" in ended(adapter.closed(4002, "gone")).message
