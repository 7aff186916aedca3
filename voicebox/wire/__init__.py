"""JSON messages as services send them: read with limits and without trust, written compactly. Shared by adapters and
the simulator, so that both sides of a protocol use one definition of each message."""

import importlib
import importlib.util
import json
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

MAX_TEXT = 4 * 2**20
"""Characters of JSON we are willing to parse."""
MAX_DEPTH = 64
"""Objects and lists within each other."""


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


class Message(BaseModel):
    """One kind of message. Unknown fields are kept, missing ones have defaults: services grow fields without notice.

    Made ready when it is first used, or by ``prepare``: all services' take 70 ms on a PC, and a box needs one's."""

    model_config = ConfigDict(
        extra="allow", populate_by_name=True, frozen=True, coerce_numbers_to_str=True, defer_build=True
    )

    TYPE: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """The message's own fields as they are written on the wire, without those that are unset."""
        return self.model_dump(by_alias=True, exclude_none=True)


def prepare(service: str) -> None:
    """This service's messages, so that the first of a conversation need not wait for that; nothing for one that keeps
    its messages elsewhere."""
    if importlib.util.find_spec(f"{__name__}.{service}") is None:
        return
    module = importlib.import_module(f"{__name__}.{service}")
    for kind in vars(module).values():
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__module__ == module.__name__:
            kind.model_rebuild()


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two values for one key: which of them is meant depends on who reads it, so neither is believed."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _shallow(value: object) -> bool:
    """Not so deep that showing it again would fail."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner for v in level if isinstance(v, dict | list) for inner in (v.values() if isinstance(v, dict) else v)
        ]
        if not level:
            return True
    return False


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object in ``text``; None if it is not one, too long, too deep or holds what JSON does not know. Halves
    of surrogate pairs (a text cut in the middle of an emoji) become question marks."""
    if len(text) > MAX_TEXT:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not _shallow(value):
        return None
    mended: dict[str, Any] = json.loads(_encodable(value)) if _SURROGATE.search(text) else value
    return mended


def _encodable(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def is_json(value: object) -> bool:
    """Whether ``value`` can be written as JSON that everybody reads."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def flatten(message: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a message whatever its envelope: the top level, overlaid by ``data`` and ``payload`` where they are
    objects; the ``type`` of the top level stays."""
    merged = dict(message)
    for envelope in ("data", "payload"):
        inner = message.get(envelope)
        if isinstance(inner, Mapping):
            merged.pop(envelope, None)
            merged.update(inner)
    if "type" in message:
        merged["type"] = message["type"]
    return merged


def dump(message: Mapping[str, Any]) -> str:
    """As JSON that can be sent: halves of surrogate pairs, which JSON can smuggle in, become question marks."""
    return _encodable(dict(message))
