"""LIKU, without I/O: how a connection ends and what is tried again then, and saving the transcript."""

from typing import Any

import pytest

from tests.services.liku_kit import (
    CANARIES,
    CHAT,
    DATA,
    KEPT,
    LOGIN,
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
    service,
    understood,
)
from voicebox.core.events import Category, ServiceError
from voicebox.errors import AuthError
from voicebox.services.base import HttpAnswer, Remember, Verdict
from voicebox.services.liku import Service

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
