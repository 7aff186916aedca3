"""LIKU, without I/O: login, token, connection data, being refused, saving the transcript."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.services.liku_kit import (
    ACCOUNT,
    CANARIES,
    DATA,
    EMAIL,
    NOW,
    PASSWORD,
    TOKEN,
    arrive,
    begin,
    connected,
    first_frame,
    logged_in,
    only,
    request,
    says,
    says_no,
    sent,
    service,
    understood,
)
from voicebox.core.events import Category, ServiceError, SessionEnded, SessionReady
from voicebox.errors import AuthError, ConfigError, ProtocolError
from voicebox.services._liku_access import ASK_AGAIN
from voicebox.services.base import Dial, HttpAnswer, HttpRequest, Later, Remember, Send, Step, Verdict
from voicebox.services.liku import GRACE, Service, Settings

KEPT = {"liku_token": TOKEN}
LOGIN = "https://torooc-liku-api.med2lab.com/api/liku/authentication/"
CHAT = "https://voice-liku-chat.med2lab.com"


def ended(step: Step) -> SessionEnded:
    """Over for good, and why."""
    assert isinstance(step, Verdict)
    assert not step.retry
    (event,) = step.effects
    assert isinstance(event, SessionEnded)
    return event


def query(step: Step) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request(step).url).query, strict_parsing=True))


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


# --- how it ends ---------------------------------------------------------------------------------------------------


def test_liku_33_a_normal_end_is_the_end() -> None:
    event = ended(connected().closed(1000, ""))
    assert event.category is None


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1009, 1011, 1012, 1013, 1015, 2999])
def test_liku_35_liku_36_an_abnormal_end_is_redialled(code: int) -> None:
    """COM-05"""
    verdict = connected().closed(code, "")
    assert (verdict.retry, verdict.server_side, verdict.effects) == (True, code != 1006, ())


@pytest.mark.parametrize("code", [3000, 3999, 4001, 4401, 4999])
def test_com_05_an_unknown_code_of_the_application_is_the_end(code: int) -> None:
    event = ended(connected().closed(code, f"no more for {TOKEN}"))
    assert f"{code}: no more for ***" in event.message


def test_liku_34_4000_is_tried_once_with_fresh_data_and_then_never() -> None:
    """LIKU-38: every redial begins with init-websocket"""
    adapter = service()
    assert first_frame(adapter) == DATA
    assert adapter.closed(4000, "").retry
    adapter.afterwards()
    assert "init" in request(begin(adapter)[0]).purpose
    assert first_frame(adapter, "fresh") == "fresh"
    event = ended(adapter.closed(4000, ""))
    assert (event.category, "liku.topic_id" in event.message) == (Category.CONFIG, True)


@pytest.mark.parametrize(
    ("body", "inner"),
    [
        ('"quoted"', "quoted"),
        ('{"connection_data":"inner","more":1}', "inner"),
        ('{"connection_data":{"a":1}}', {"a": 1}),
        ('{"topic":55}', {"topic": 55}),
        ("opaque", "opaque"),
        ("12", "12"),
        ("[1]", "[1]"),
        ('""', '""'),
        ("{}", "{}"),
    ],
)
def test_liku_34_the_one_retry_takes_the_other_form_if_there_is_one(body: str, inner: object) -> None:
    """A2.2 a"""
    adapter = service()
    assert first_frame(adapter, body) == body
    assert adapter.closed(4000, "").retry
    assert first_frame(adapter, body) == inner


def test_liku_34_the_form_that_works_is_remembered() -> None:
    """A2.2 a"""
    adapter = service()
    first_frame(adapter, '"one"')
    adapter.closed(4000, "")
    assert first_frame(adapter, '"two"') == "two"
    adapter.received(understood())
    adapter.closed(1006, "")
    adapter.afterwards()
    assert first_frame(adapter, '"three"') == "three"
    assert adapter.closed(4000, "").retry
    assert first_frame(adapter, '"four"') == "four"


def test_liku_34_so_is_the_first_form_where_it_works() -> None:
    adapter = service()
    first_frame(adapter, '"one"')
    adapter.received(understood())
    assert adapter.closed(4000, "").retry
    adapter.afterwards()
    assert first_frame(adapter, '"two"') == '"two"'


def test_liku_34_after_the_end_all_begins_anew() -> None:
    adapter = service()
    for _ in range(2):
        assert first_frame(adapter, '"one"') == '"one"'
        assert adapter.closed(4000, "").retry
        assert first_frame(adapter, '"one"') == "one"
        ended(adapter.closed(4000, ""))


def test_liku_34_a_quiet_connection_that_nobody_refused_has_worked_too() -> None:
    adapter = service()
    for _ in range(3):
        first_frame(adapter)
        assert adapter.closed(4000, "").retry
        first_frame(adapter)
        adapter.later("grace")
        adapter.goodbye()
        adapter.afterwards()


def test_liku_34_ready_is_not_yet_accepted() -> None:
    """4000 may come later than the grace period."""
    adapter = service()
    for retry in (True, False):
        first_frame(adapter)
        adapter.later("grace")
        assert adapter.closed(4000, "").retry is retry
        adapter.afterwards()


def test_a_close_with_1008_means_the_token_and_renews_it_once() -> None:
    """A2.2 k"""
    adapter = service()
    arrive(adapter, kept=KEPT)
    assert adapter.closed(1008, "").retry
    adapter.afterwards()
    step, effects = begin(adapter, KEPT)
    assert request(step).purpose == "login"
    assert effects == [Remember("liku_token", None)]
    arrive(adapter, kept=KEPT)
    assert ended(adapter.closed(1008, "")).category is Category.AUTH
    with pytest.raises(AuthError):
        begin(adapter)


def test_a_login_may_give_the_same_token_again() -> None:
    """As REST frameworks do that have one token for each user"""
    adapter = service()
    arrive(adapter, kept=KEPT)
    adapter.closed(1008, "")
    step, _ = begin(adapter, KEPT)
    adapter.answered(request(step), logged_in(TOKEN))
    step, effects = begin(adapter, KEPT)
    assert (query(step)["token"], effects) == (TOKEN, [])


def test_1008_after_a_conversation_is_another_matter_each_time() -> None:
    adapter = service()
    for _ in range(3):
        arrive(adapter)
        adapter.opened()
        adapter.received(understood())
        assert adapter.closed(1008, "").retry
        adapter.afterwards()


@pytest.mark.parametrize(("status", "category"), [(401, Category.AUTH), (403, Category.AUTH), (404, Category.CONFIG)])
def test_com_05_a_refused_upgrade_is_the_end(status: int, category: Category) -> None:
    adapter = service()
    arrive(adapter)
    assert ended(adapter.refused(status, {})).category is category


# --- saving --------------------------------------------------------------------------------------------------------


def test_liku_52_saving_is_off_by_default() -> None:
    adapter = connected()
    adapter.received(understood())
    adapter.closed(1000, "")
    assert adapter.afterwards() == ()


def test_liku_50_the_transcript_is_saved_after_the_close() -> None:
    """LIKU-52"""
    adapter = connected(save_transcript=True, conversation_id="c9")
    adapter.closed(1006, "")
    (save,) = adapter.afterwards()
    assert (save.method, save.url) == ("POST", f"{CHAT}/api/save-transcript")
    assert save.headers == {"Content-Type": "application/json", "Authorization": f"Token {TOKEN}"}
    assert save.json == {"connection_data": DATA, "topic_id": "55", "conversation_id": "c9"}
    assert adapter.afterwards() == ()
    assert not any(canary in f"{save!r} {save}" for canary in CANARIES)


def test_liku_50_what_was_refused_is_not_saved_and_what_was_quiet_is() -> None:
    adapter = service(save_transcript=True)
    for code in (4000, 1008):
        first_frame(adapter)
        adapter.later("grace")
        adapter.closed(code, "")
        assert adapter.afterwards() == ()
    first_frame(adapter)
    adapter.later("grace")
    assert len(adapter.afterwards()) == 1


def test_liku_50_the_conversation_id_is_the_services_or_the_owners_or_one_of_each_connection() -> None:
    """A2.2 c"""

    def saved(*frames: str, **changes: Any) -> str:
        adapter = connected(save_transcript=True, **changes)
        for frame in frames:
            adapter.received(frame)
        body = adapter.afterwards()[0].json
        assert body is not None
        return str(body["conversation_id"])

    assert saved(says("news", data={"conversation_id": "s1"}), conversation_id="c9") == "s1"
    assert saved(says("news", conversation_id=7), understood(), conversation_id="c9") == "7"
    assert saved(says("news", conversation_id=None), conversation_id="c9") == "c9"
    adapter, ids = service(save_transcript=True), []
    for number in range(3):
        first_frame(adapter, f"data {number}")
        adapter.received(understood())
        ids.append((adapter.afterwards()[0].json or {})["conversation_id"])
    assert len(set(ids)) == 3
    assert all(len(one) == 36 for one in ids)


def test_liku_50_a_refused_token_is_renewed_once_for_saving_too() -> None:
    """A2.2 d"""
    adapter = connected(save_transcript=True)
    (save,) = adapter.afterwards()
    step, effects = adapter.answered(save, says_no(401))
    assert (request(step).url, effects) == (LOGIN, [Remember("liku_token", None)])
    step, effects = adapter.answered(request(step), logged_in("another-token"))
    assert Remember("liku_token", "another-token") in effects
    assert request(step).json == save.json
    assert request(step).headers["Authorization"] == "Token another-token"
    assert adapter.answered(request(step), HttpAnswer(200, "{}")) == (Verdict(retry=False), [])
    step, effects = adapter.answered(request(step), says_no(401, "no"))
    assert (step, len(only(ServiceError, effects))) == (Verdict(retry=False), 1)


@pytest.mark.parametrize("answer", [says_no(400, f"unknown {DATA}"), says_no(500), HttpAnswer(0, "no answer in time")])
def test_liku_51_a_failure_to_save_is_reported_and_does_no_harm(answer: HttpAnswer) -> None:
    adapter = connected(save_transcript=True)
    step, (error,) = adapter.answered(adapter.afterwards()[0], answer)
    assert step == Verdict(retry=False)
    assert isinstance(error, ServiceError)
    assert "did not keep the transcript" in error.message
    assert ("unknown ***" in error.message) is (answer.status == 400)
    assert DATA not in repr(error)


def test_liku_51_nor_does_a_login_that_fails_meanwhile() -> None:
    adapter = connected(save_transcript=True)
    step, _ = adapter.answered(adapter.afterwards()[0], says_no(401))
    step, (error,) = adapter.answered(request(step), says_no(401))
    assert (step, isinstance(error, ServiceError)) == (Verdict(retry=False), True)


def test_liku_53_the_session_pings_since_the_protocol_has_no_ping() -> None:
    assert 1 <= Service.capabilities.ping_interval <= 30
