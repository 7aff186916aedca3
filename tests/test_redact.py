"""No registered or secret-shaped value survives redaction, in any spelling in which it travels."""

import json
import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebox import redact as module
from voicebox.redact import redact, remember

SURROGATES: tuple[Literal["Cs"], ...] = ("Cs",)
SECRETS = st.text(st.characters(exclude_categories=SURROGATES), min_size=4, max_size=40).filter(lambda s: s.strip("*"))
TEXT = st.text(st.characters(exclude_categories=SURROGATES), max_size=40)
WORDS = st.text(st.sampled_from("abcdefXYZ0189_-"), min_size=8, max_size=60)
HEX = st.text(st.sampled_from("0123456789abcdef"), min_size=40, max_size=40)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    module._known.clear()
    module._spellings = re.compile(r"(?!)")


@given(SECRETS, TEXT, TEXT)
def test_a_known_secret_never_appears(secret: str, before: str, after: str) -> None:
    """LIRA-03, LIKU-48: raw, percent-encoded in both cases, JSON-escaped."""
    forget()
    remember(secret)
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for spelling in {secret} | encoded | escaped:
        shown = redact(before + spelling + after)
        assert spelling not in shown
        assert secret not in shown


@given(st.lists(SECRETS, max_size=4), st.lists(st.one_of(TEXT, WORDS, HEX), max_size=6))
def test_redacting_twice_changes_nothing(secrets: list[str], parts: list[str]) -> None:
    forget()
    for secret in secrets:
        remember(secret)
    text = " token=".join([*parts, *secrets])
    once = redact(text)
    assert redact(once) == once


@given(WORDS)
@pytest.mark.parametrize(
    "shape",
    [
        "GET /ws?token={} HTTP/1.1",
        "wss://host/?api_key={}&config_id=3",
        "wss://host/?a=1&authorization=Bearer%20{}",
        "Authorization: Bearer {}",
        "authorization: bearer {}",
        '{{"token_key": "{}"}}',
        '{{"email": "a@b.c", "password":"{}"}}',
        "key oak_{}",
        "eyJ{0}.{0}.{0}",
        "a token eyJ{0}.eyJ{0}.",
    ],
)
def test_shapes_of_foreign_secrets(shape: str, secret: str) -> None:
    shown = redact(shape.format(secret))
    assert secret not in shown
    assert "***" in shown


@given(HEX)
@pytest.mark.parametrize("shape", ["Authorization: Token {}", "token {}", "token: {}", "token='{}'", "token_key={}"])
def test_hexadecimal_tokens(shape: str, secret: str) -> None:
    assert secret not in redact("?" * shape.startswith("token_key") + shape.format(secret))


@pytest.mark.parametrize(
    "line",
    [
        "the token is missing. Put it into /etc/voicebox/credentials/lira_token",
        "listening → thinking after 1.2 s",
        "commit 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
        "wss://api.example.org/v1/ws?meeting=7",
    ],
)
def test_ordinary_lines_stay_as_they_are(line: str) -> None:
    assert redact(line) == line


def test_what_stood_before_the_secret_stays() -> None:
    assert redact("dialling wss://h/ws?token=abc&x=1") == "dialling wss://h/ws?token=***&x=1"


def test_values_too_short_to_be_secrets_are_not_masked() -> None:
    remember("a")
    assert redact("a cat") == "a cat"
