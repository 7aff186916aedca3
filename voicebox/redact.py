"""Keeps secrets out of everything a person or a log can read.

Secrets are known by value (every one that is loaded is registered) and, for those of others, by shape: JWTs and
credentials in URLs or headers. Applied to whole log lines and error texts, so it also covers what libraries say.
"""

import re

_MASK = "***"
_SHAPES = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"  # a JSON web token
    r"|(?<=[?&]token=)[^&\s\"']+|(?<=[?&]api_key=)[^&\s\"']+|(?<=[?&]authorization=)[^&\s\"']+"
    r"|(?<=Bearer )\S+|(?<=Token )[0-9a-f]{16,}"
    r"|\boak_\w+",
    re.IGNORECASE,
)
_known: set[str] = set()


def remember(secret: str) -> None:
    """Never let this value be read again. Values shorter than 4 characters would mask ordinary words and are ignored."""
    if len(secret) >= 4:
        _known.add(secret)


def redact(text: str) -> str:
    """``text`` with every known or secret-shaped part replaced by ``***``."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return _SHAPES.sub(_MASK, text)
