"""JSON messages as services send them: read with limits and without trust, written compactly. Shared by adapters and
the simulator, so that both sides of a protocol use one definition of each message."""

import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

MAX_TEXT = 4 * 2**20
"""Characters of JSON we are willing to parse."""


class Message(BaseModel):
    """One kind of message. Unknown fields are kept, missing ones have defaults: services grow fields without notice."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, frozen=True)

    TYPE: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """The message's own fields as they are written on the wire, without those that are unset."""
        return self.model_dump(by_alias=True, exclude_none=True)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object in ``text``; None if it is not one, too long, too deep or holds what JSON does not know."""
    if len(text) > MAX_TEXT:
        return None
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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
    """As JSON that can be sent: half surrogate pairs, which JSON can smuggle in, become question marks."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(errors="replace").decode()
