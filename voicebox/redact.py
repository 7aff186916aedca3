"""Keeps secrets out of everything a person or a log can read.

Secrets are known by value (every one that is loaded is registered, in all the spellings in which it travels) and, for
those of others, by shape: JWTs and credentials in URLs, headers and JSON. Applied to whole log lines and error texts,
so it also covers what libraries say.
"""

import json
import re
from urllib.parse import quote, quote_plus

_MASK = "***"
_SHORTEST = 4
_NAMES = "token|token_key|access_token|refresh_token|api_key|authorization|password|connection_data"
_SHAPES = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?"  # a JSON web token
    r"|\boak_[\w-]{4,}"
    rf"|(?P<query>[?&](?:{_NAMES})=)[^&\s\"'#]+"
    rf"|(?P<json>\\?\"(?:{_NAMES})\\?\"\s*:\s*\\?\")(?:\\.|[^\"\\])+"
    r"|(?P<bearer>\bBearer(?:\s+|%20|\+))[\w.~+/=%-]{8,}"
    r"|(?P<header>\bToken\s+)[0-9a-f]{16,}"
    r"|(?P<word>\btoken\W{1,4})[0-9a-f]{40}\b",
    re.IGNORECASE,
)
_known: set[str] = set()
_spellings = re.compile(r"(?!)")  # matches nothing


def remember(secret: str) -> None:
    """Never let this value be read again. Less than 4 characters would mask ordinary words and are ignored."""
    global _spellings  # noqa: PLW0603  # one compiled pattern for all that is known
    if len(secret) < _SHORTEST or secret in _known:
        return
    _known.add(secret)
    spellings = {spelling for known in _known for spelling in _ways_to_write(known)}
    _spellings = re.compile("|".join(re.escape(s) for s in sorted(spellings, key=len, reverse=True)))


def redact(text: str) -> str:
    """``text`` with every known or secret-shaped part replaced by ``***``. Doing it again changes nothing."""
    while (masked := _SHAPES.sub(_mask, _spellings.sub(_MASK, text))) != text:
        text = masked
    return text


def _mask(match: re.Match[str]) -> str:
    """What comes before the secret stays, so that one sees what it was."""
    return (match[match.lastgroup] if match.lastgroup else "") + _MASK


def _ways_to_write(secret: str) -> set[str]:
    """As it is, percent-encoded, and inside JSON or a Python literal."""
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    lower = {re.sub("%..", lambda m: m[0].lower(), text) for text in encoded}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return {secret} | encoded | lower | escaped
