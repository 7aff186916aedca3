"""Takes secrets out of whole messages, wherever in them they stand."""

from collections.abc import Callable
from typing import Any

from voicebox.redact import redact


def scrubbed(message: dict[str, Any], scrub: Callable[[str], str]) -> dict[str, Any]:
    """A copy in which ``scrub`` has seen every text, keys among them; what a key calls a secret is masked whole."""
    return {scrub(key): _value(key, value, scrub) for key, value in message.items()}


def _value(key: str, value: object, scrub: Callable[[str], str]) -> object:
    match value:
        case str():
            return "***" if _names_a_secret(key) else scrub(value)
        case dict():
            return scrubbed(value, scrub)
        case list():
            return [_value(key, inner, scrub) for inner in value]
    return value


def _names_a_secret(key: str) -> bool:
    return len(key) < 40 and redact(f'"{key}":"x"') == f'"{key}":"***"'
