"""JSON from outside: read with limits (faults 50–55, COM-10), and the small parsers all services share."""

import base64
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebox.errors import AuthError
from voicebox.services.base import check_expiry, retry_after, token_expiry
from voicebox.wire import MAX_DEPTH, MAX_TEXT, dump, flatten, is_json, parse_object


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, id="depth 10^5"),
        pytest.param('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", id="list depth 10^5"),
        pytest.param('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), id="a little too deep"),
        pytest.param(json.dumps({"a": "x" * 10_000_000}), id="10 MB string"),
        pytest.param('{"a":' + "9" * 5_000 + "}", id="5000-digit integer"),
        pytest.param('{"a":NaN}', id="NaN"),
        pytest.param('{"a":Infinity}', id="inf"),
        pytest.param('{"a":[-Infinity]}', id="-inf"),
        pytest.param('{"a":1e400}', id="1e400"),
        pytest.param('{"a":-1e400}', id="-1e400"),
        pytest.param('{"a":1,"a":2}', id="duplicate key"),
        pytest.param('{"a":{"b":1,"b":1}}', id="duplicate key within"),
        pytest.param('{"a":1}x', id="trailing"),
        *("", " ", "null", "1", '"a"', "[]", "[{}]", "{", "{a:1}", "{'a':1}", "\ufeff{}", "\x00"),
    ],
)
def test_what_is_no_sound_object_is_refused(text: str) -> None:
    assert parse_object(text) is None


@pytest.mark.parametrize(
    "value", [{}, {"a": None}, {"ä": [1, 2.5, True, "😀"]}, {"a": {"b": {"c": []}}}, {"n": 10**400}]
)
def test_sound_objects_are_read(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value)) == value
    assert parse_object(json.dumps(value, ensure_ascii=False)) == value


def test_the_limits_are_where_they_are_said_to_be() -> None:
    assert parse_object('{"a":' * (MAX_DEPTH - 1) + "1" + "}" * (MAX_DEPTH - 1)) is not None
    padding = MAX_TEXT - len('{"a":""}')
    assert parse_object(json.dumps({"a": "x" * padding}, separators=(",", ":"))) is not None
    assert parse_object(json.dumps({"a": "x" * (padding + 1)}, separators=(",", ":"))) is None


@pytest.mark.parametrize("text", ['{"a\\ud800":"b\\udfff!"}', '{"a\ud800":"b\udfff!"}'])
def test_half_a_surrogate_pair_becomes_a_question_mark(text: str) -> None:
    """Fault 55: a text cut in the middle of an emoji; what cannot be encoded could not be logged."""
    assert parse_object(text) == {"a?": "b?!"}
    assert parse_object('{"a":"\\ud83d\\ude00"}') == {"a": "😀"}


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert parse_object(text) is None or isinstance(parse_object(text), dict)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.booleans() | st.none(), max_size=4))
def test_what_is_written_can_be_sent_and_read_back(message: dict[str, Any]) -> None:
    text = dump(message)
    text.encode()
    assert parse_object(text) == message


def test_halves_of_surrogate_pairs_can_be_sent_too() -> None:
    assert dump({"text": "\ud83d!"}).encode() == b'{"text":"?!"}'


@pytest.mark.parametrize(
    ("message", "flat"),
    [
        ({"type": "t", "a": 1}, {"type": "t", "a": 1}),
        ({"type": "t", "data": {"a": 1}}, {"type": "t", "a": 1}),
        ({"type": "t", "payload": {"a": 1}}, {"type": "t", "a": 1}),
        ({"type": "t", "a": 0, "data": {"a": 1, "b": 1}, "payload": {"b": 2}}, {"type": "t", "a": 1, "b": 2}),
        ({"type": "t", "data": {"type": "u"}}, {"type": "t"}),
        ({"data": {"type": "u"}}, {"type": "u"}),
        ({"type": "t", "data": [1], "payload": None}, {"type": "t", "data": [1], "payload": None}),
    ],
)
def test_flatten_reads_every_envelope(message: dict[str, Any], flat: dict[str, Any]) -> None:
    before = json.dumps(message)
    assert flatten(message) == flat
    assert json.dumps(message) == before


def test_is_json() -> None:
    assert is_json({"a": [1, 2.5, None, True, "x"]})
    assert not is_json({"a": float("nan")})
    assert not is_json({"a": object()})


DATE = "Fri, 20 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("1000000000000", 3600.0),
        ("1e12", 3600.0),
        ("inf", 3600.0),
        ("-1", 0.0),
        ("-inf", 0.0),
        ("nan", 0.0),
        ("abc", 0.0),
        ("", 0.0),
        ("Fri, 20 Nov 2026 10:01:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 09:00:00 GMT", 0.0),
        ("Sat, 20 Nov 2027 09:00:00 GMT", 3600.0),
        ("Fri, 99 Nov 2026 10:01:30 GMT", 0.0),
    ],
)
def test_retry_after_is_clamped_and_nonsense_ignored(value: str, seconds: float) -> None:
    """Fault 14. A date is read by the service's own clock."""
    assert retry_after({"retry-after": value, "Date": DATE}) == seconds
    assert retry_after({"RETRY-AFTER": value, "date": DATE, "set-cookie": "x"}) == seconds


def test_without_a_date_to_compare_with_a_date_says_nothing() -> None:
    assert retry_after({"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT"}) == 0.0
    assert retry_after({"Retry-After": "Fri, 20 Nov 2026 10:01:30 GMT", "Date": "today"}) == 0.0
    assert retry_after({}) == 0.0


def _token(claims: object) -> str:
    return "h." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".s"


@pytest.mark.parametrize("claims", [[], 1, None, {}, {"exp": "x"}, {"exp": {}}, {"exp": 10**400}])
def test_an_expiry_that_cannot_be_read_is_none(claims: object) -> None:
    assert token_expiry(_token(claims)) is None


@given(st.text(max_size=30))
def test_no_token_raises(text: str) -> None:
    assert token_expiry(text) is None
    assert token_expiry(f"a.{text}.c") is None or "." not in text


def test_expiry_is_checked_against_the_clock_given() -> None:
    assert token_expiry(_token({"exp": 1000})) == 1000.0
    assert check_expiry(_token({"exp": 1000}), "x_token", 900.0) == []
    assert [w.kind for w in check_expiry(_token({"exp": 1000}), "x_token", 950.0)] == ["expiring_token"]
    for now in (1000.0, 2000.0):
        with pytest.raises(AuthError, match="x_token expired on 1970-01-01 00:16 UTC"):
            check_expiry(_token({"exp": 1000}), "x_token", now)


READY = """
import sys
from voicebox import wire
from voicebox.services.base import discover

discover()
wire.prepare(sys.argv[1])
print(*(kind.__pydantic_complete__ for kind in vars(sys.modules["voicebox.wire." + sys.argv[2]]).values()
        if isinstance(kind, type) and issubclass(kind, wire.BaseModel) and kind.__module__.endswith(sys.argv[2])))
"""


@pytest.mark.parametrize(("wanted", "asked"), [("nextevi", "nextevi"), ("lira", "lira"), ("lira", "nextevi")])
def test_messages_are_prepared_where_they_are_needed_and_no_others(wanted: str, asked: str) -> None:
    """In a process of its own: others have used them here."""
    command = [sys.executable, "-c", READY, wanted, asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ("False" in done.stdout.split()) is (wanted != asked)
