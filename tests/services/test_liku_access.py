"""LIKU, without I/O: login, token, connection data, being refused, saving the transcript."""

import json
from urllib.parse import urlsplit

import pytest

from tests.services.liku_kit import (
    ACCOUNT,
    CANARIES,
    CHAT,
    DATA,
    EMAIL,
    KEPT,
    LOGIN,
    NOW,
    PASSWORD,
    TOKEN,
    arrive,
    begin,
    connected,
    ended,
    first_frame,
    logged_in,
    only,
    query,
    request,
    says,
    says_no,
    sent,
    service,
    understood,
)
from voicebox.core.events import Category, ServiceError, SessionReady
from voicebox.errors import AuthError, ConfigError, ProtocolError
from voicebox.services._liku_access import ASK_AGAIN
from voicebox.services.base import Dial, HttpAnswer, HttpRequest, Later, Remember, Send, Verdict
from voicebox.services.liku import GRACE, Service, Settings


def at_init(kept: bool = False) -> tuple[Service, HttpRequest]:
    """The adapter wants to init-websocket: with a kept token, or with that of a login."""
    adapter = service()
    step, _ = begin(adapter, KEPT if kept else None)
    if not kept:
        step, _ = adapter.answered(request(step), logged_in())
    return adapter, request(step)


# --- login ---------------------------------------------------------------------------------------------------------


def test_liku_01_login_is_posted_to_the_exact_path_with_both_headers_and_nothing_but_the_account() -> None:
    step, effects = begin(service())
    login = request(step)
    assert (login.method, login.url) == ("POST", LOGIN)
    assert login.headers == {"Content-Type": "application/json", "Accept": "application/json"}
    assert login.json == {"email": EMAIL, "password": PASSWORD}
    assert effects == []


def test_liku_01_the_api_host_is_a_setting() -> None:
    step, _ = begin(service(api_url="https://api.example/"))
    assert request(step).url == "https://api.example/api/liku/authentication/"


def test_liku_02_the_token_is_kept_and_used() -> None:
    adapter = service()
    step, _ = begin(adapter)
    step, effects = adapter.answered(request(step), logged_in())
    assert Remember("liku_token", TOKEN) in effects
    assert TOKEN not in repr(effects)
    assert query(step)["token"] == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"token":"x"}',
        '{"token_key":""}',
        '{"token_key":7}',
        '{"token_key":null}',
        '{"token_key":"a\\nb"}',
        '{"token_key":"a b"}',
        "[]",
        "",
        "<html>",
        "[" * 100_000,
    ],
)
def test_liku_03_an_answer_without_a_token_is_an_invalid_response(text: str) -> None:
    adapter = service()
    step, _ = begin(adapter)
    verdict, effects = adapter.answered(request(step), HttpAnswer(200, text))
    assert isinstance(verdict, Verdict)
    assert verdict.retry
    (error,) = only(ServiceError, effects)
    assert (error.category, "invalid" in error.message) == (Category.PROTOCOL, True)


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_liku_04_a_refused_login_is_over_until_there_is_another_account(status: int) -> None:
    adapter = service()
    step, _ = begin(adapter)
    event = ended(adapter.answered(request(step), says_no(status, "wrong password"))[0])
    assert event.category is Category.AUTH
    assert "login failed" in event.message
    assert f"HTTP {status}: wrong password" in event.message
    assert "liku_password" in event.message
    with pytest.raises(AuthError, match="liku_password"):
        begin(adapter)
    assert isinstance(adapter.dial(ACCOUNT | {"liku_password": "another"}, NOW)[0], HttpRequest)
    assert isinstance(begin(adapter, now=NOW + ASK_AGAIN + 1)[0], HttpRequest)


@pytest.mark.parametrize(
    ("status", "category"),
    [(0, Category.NETWORK), (302, Category.SERVER), (429, Category.RATE_LIMIT), (500, Category.SERVER)],
)
@pytest.mark.parametrize("at", ["login", "init"])
def test_com_05_what_may_pass_is_tried_again_and_said(at: str, status: int, category: Category) -> None:
    """LIKU-04, LIKU-45: network, captive portal, too much, the server's own trouble"""
    adapter = service()
    step, _ = begin(adapter, KEPT if at == "init" else None)
    answer = HttpAnswer(status, "no answer in time", {"Retry-After": "7"} if status else {})
    verdict, effects = adapter.answered(request(step), answer)
    assert isinstance(verdict, Verdict)
    assert (verdict.retry, verdict.server_side, verdict.retry_after) == (True, status > 0, 7.0 if status else 0.0)
    assert [e.category for e in only(ServiceError, effects)] == [category]
    assert (str(status) if status else "no answer in time") in only(ServiceError, effects)[0].message


def test_com_05_a_login_that_is_not_there_names_the_setting() -> None:
    adapter = service()
    step, _ = begin(adapter)
    event = ended(adapter.answered(request(step), says_no(404))[0])
    assert (event.category, "liku.api_url" in event.message) == (Category.CONFIG, True)


def test_liku_05_no_secret_is_a_setting() -> None:
    assert Settings.SECRETS == ("liku_email", "liku_password")
    assert not {"email", "password", "token", "token_key"} & Settings.model_fields.keys()


# --- the token -----------------------------------------------------------------------------------------------------


def test_liku_06_a_kept_token_is_used_first() -> None:
    step, effects = begin(service(), KEPT)
    assert (request(step).purpose, query(step)["token"]) == ("init-websocket", TOKEN)
    assert effects == []


def test_liku_06_also_one_that_could_not_be_kept() -> None:
    adapter = service()
    arrive(adapter)
    assert query(begin(adapter)[0])["token"] == TOKEN


def test_liku_06_but_not_that_of_another_account_or_host() -> None:
    adapter = service()
    step, _ = begin(adapter)
    kept = {e.name: e.value for e in only(Remember, adapter.answered(request(step), logged_in())[1]) if e.value}
    assert "init" in request(begin(service(), kept)[0]).purpose
    assert request(begin(service(api_url="https://other.example"), kept)[0]).purpose == "login"
    assert request(service().dial(ACCOUNT | kept | {"liku_email": "another"}, NOW)[0]).purpose == "login"
    assert request(adapter.dial(ACCOUNT | {"liku_email": "another"}, NOW)[0]).purpose == "login"


@pytest.mark.parametrize("status", [401, 403])
def test_liku_13_a_refused_token_is_forgotten_and_renewed_once(status: int) -> None:
    """LIKU-49: by itself"""
    adapter, init = at_init(kept=True)
    step, effects = adapter.answered(init, says_no(status))
    assert effects == [Remember("liku_token", None)]
    assert (request(step).method, request(step).url) == ("POST", LOGIN)
    step, effects = adapter.answered(request(step), logged_in("another-token"))
    assert Remember("liku_token", "another-token") in effects
    assert query(step) == {"token": "another-token", "topic_id": "55"}
    assert isinstance(adapter.answered(request(step), HttpAnswer(200, DATA))[0], Dial)


@pytest.mark.parametrize("kept", [False, True])
def test_liku_13_a_token_refused_twice_is_the_end(kept: bool) -> None:
    adapter, init = at_init(kept)
    step, _ = adapter.answered(init, says_no(401))
    step, _ = adapter.answered(request(step), logged_in("another-token"))
    verdict, effects = adapter.answered(request(step), says_no(403, "blocked"))
    assert (ended(verdict).category, "blocked" in ended(verdict).message) == (Category.AUTH, True)
    assert effects == [Remember("liku_token", None)]
    with pytest.raises(AuthError):
        begin(adapter)


def test_liku_49_renewing_the_token_keeps_what_the_device_knows() -> None:
    adapter = connected()
    adapter.received(b"\0\0")
    adapter.closed(1006, "")
    adapter.afterwards()
    step, _ = begin(adapter)
    step, _ = adapter.answered(request(step), says_no(401))
    step, _ = adapter.answered(request(step), logged_in("another-token"))
    adapter.answered(request(step), HttpAnswer(200, DATA))
    adapter.opened()
    assert "ReplyStarted(reply_id=2)" in repr(adapter.received(b"\0\0"))


# --- init-websocket ------------------------------------------------------------------------------------------------


def test_liku_07_init_carries_token_and_topic_and_liku_08_nothing_that_is_not_set() -> None:
    step, _ = begin(service(), KEPT)
    assert request(step).method == "GET"
    assert request(step).url.split("?")[0] == f"{CHAT}/api/init-websocket"
    assert query(step) == {"token": TOKEN, "topic_id": "55"}


def test_liku_08_what_is_set_is_sent() -> None:
    step, _ = begin(service(topic_id=55, face_id=1, liku_id="33", language="ko"), KEPT)
    assert query(step) == {"token": TOKEN, "topic_id": "55", "face_id": "1", "liku_id": "33", "language": "ko"}


@pytest.mark.parametrize("value", ["a&b=c#d e", "a+b/c==", "ünïcode%20", "한국어", "?"])
def test_liku_09_all_values_are_percent_encoded(value: str) -> None:
    step, _ = begin(service(topic_id=value, face_id=value, liku_id=value, language=value), {"liku_token": value})
    assert query(step) == dict.fromkeys(("token", "topic_id", "face_id", "liku_id", "language"), value)
    assert not set(urlsplit(request(step).url).query) & set("+/# ?")


@pytest.mark.parametrize(
    "body", [DATA, f" {DATA}\n", '"quoted"', '{"connection_data":"x","a":[1]}', "12", "null", "é\u2028"]
)
def test_liku_10_the_body_is_taken_as_text_and_sent_verbatim(body: str) -> None:
    """A2.2 a"""
    assert first_frame(service(), body) == body


def test_liku_10_an_empty_body_is_no_connection_data() -> None:
    adapter, init = at_init()
    verdict, effects = adapter.answered(init, HttpAnswer(200, " \n"))
    assert isinstance(verdict, Verdict)
    assert (verdict.retry, len(only(ServiceError, effects))) == (True, 1)


def test_liku_11_the_errors_detail_is_shown_without_secrets() -> None:
    adapter, init = at_init()
    event = ended(adapter.answered(init, says_no(400, f"no topic 55 for {TOKEN} of {EMAIL}"))[0])
    assert (event.category, "no topic 55 for *** of ***" in event.message) == (Category.CONFIG, True)
    assert "liku.topic_id" in event.message
    assert not any(canary in repr(event) for canary in CANARIES)


@pytest.mark.parametrize(
    "text", ["<html>", "", "[1]", '{"detail":{"a":1}}', '{"detail":null}', '"detail"', "{" * 9_999]
)
def test_liku_12_an_error_that_is_no_json_is_survived(text: str) -> None:
    adapter, init = at_init()
    assert "HTTP 400" in ended(adapter.answered(init, HttpAnswer(400, text))[0]).message


def test_a_missing_topic_names_the_setting() -> None:
    for topic in ("", " "):
        with pytest.raises(ConfigError, match=r"liku\.topic_id"):
            begin(service(topic_id=topic))


@pytest.mark.parametrize("missing", ["liku_email", "liku_password"])
def test_a_missing_credential_is_named(missing: str) -> None:
    with pytest.raises(AuthError, match=missing):
        service().dial({name: value for name, value in ACCOUNT.items() if name != missing}, NOW)


def test_an_answer_that_nobody_asked_for_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="nobody asked"):
        service().answered(HttpRequest("weather", "GET", "https://x.example"), HttpAnswer(200, ""))


# --- the WebSocket -------------------------------------------------------------------------------------------------


def test_liku_15_the_socket_is_dialled_without_credentials() -> None:
    dial = arrive(service())
    assert (dial.url, dial.headers) == ("wss://voice-liku-chat.med2lab.com/chat-stream", {})
    assert arrive(service(url="wss://chat.example/liku/")).url == "wss://chat.example/liku/chat-stream"


def test_liku_16_the_first_frame_is_the_connection_data_and_liku_18_a_grace_period_follows() -> None:
    adapter = service()
    arrive(adapter)
    frame, wait = adapter.opened()
    assert isinstance(frame, Send)
    assert isinstance(frame.message, str)
    assert json.loads(frame.message) == {"connection_data": DATA}
    assert wait == Later(GRACE, "grace")


def test_liku_17_liku_18_no_sound_before_the_grace_period_is_over() -> None:
    adapter = service()
    arrive(adapter)
    adapter.opened()
    adapter.audio_start()
    assert sent(adapter.audio(bytes(4096))) == []
    assert adapter.later("grace") == [SessionReady()]
    adapter.audio_start()
    assert sent(adapter.audio(bytes(4096))) == [bytes(4096)]
    assert adapter.later("grace") == []


@pytest.mark.parametrize("frame", [b"\0\0", "hello", understood(), says("news")])
def test_liku_18_any_frame_of_the_server_ends_it_early(frame: str | bytes) -> None:
    """A2.2 b"""
    adapter = service()
    arrive(adapter)
    adapter.opened()
    assert adapter.received(frame)[0] == SessionReady()
    assert only(SessionReady, [*adapter.received(frame), *adapter.later("grace")]) == []


def test_liku_47_only_encrypted_addresses_unless_this_machine_itself_is_permitted() -> None:
    """COM-01"""
    for setting, good, plain, remote in (
        ("url", "wss://x.example", "ws://127.0.0.1:1", "ws://x.example"),
        ("api_url", "https://x.example", "http://127.0.0.1:1", "http://x.example"),
    ):
        begin(service(**{setting: good}))
        begin(service(**{setting: plain}, allow_plain=True))
        for changes in (
            {setting: plain},
            {setting: remote, "allow_plain": True},
            {setting: "x.example"},
            {setting: ""},
        ):
            with pytest.raises(ConfigError, match=rf"liku\.{setting} "):
                begin(service(**changes))


def test_over_loopback_all_addresses_are_plain() -> None:
    adapter = service(url="ws://127.0.0.1:9", api_url="http://127.0.0.1:8", allow_plain=True)
    step, _ = begin(adapter)
    assert request(step).url.startswith("http://127.0.0.1:8/")
    step, _ = adapter.answered(request(step), logged_in())
    assert request(step).url.startswith("http://127.0.0.1:9/api/init-websocket?")
