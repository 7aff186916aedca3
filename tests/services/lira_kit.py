"""What the tests of the Lira adapter share: a session, messages as Lira may write them, what the adapter answered."""

import base64
import json
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

from voicebox.core.events import ReplyAudio
from voicebox.services.base import Effect, Later, Send
from voicebox.services.lira import Service, Settings

Envelope = Literal["flat", "data", "payload"]
ENVELOPES: tuple[Envelope, ...] = ("flat", "data", "payload")
NOW = 1_700_000_000.0
PCM = b"\1\0" * 240
CANARY = "canary-0123456789"
"""A token that must not be seen anywhere."""

T = TypeVar("T")


def jwt(**claims: object) -> str:
    """A token that looks like one and is worth nothing."""
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{part}.signature"


def service(**changes: Any) -> Service:
    """Dialled, not yet opened."""
    adapter = Service(Settings(**({"meeting_id": "mtg_1"} | changes)))
    redial(adapter)
    return adapter


def redial(adapter: Service, token: str = CANARY, now: float = NOW) -> str:
    return adapter.dial({"lira_token": token}, now)[0].url


def says(kind: str, envelope: Envelope = "data", **fields: Any) -> str:
    """A message of Lira's."""
    return json.dumps({"type": kind} | (fields if envelope == "flat" else {envelope: fields}))


def joined(**changes: Any) -> Service:
    adapter = service(**changes)
    adapter.opened()
    adapter.received(says("joined", sessionId="s1", participants=[]))
    return adapter


def feed(adapter: Service, *messages: str | bytes) -> list[Effect]:
    return [effect for message in messages for effect in adapter.received(message)]


def only(kind: type[T], effects: Iterable[object]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Iterable[Effect]) -> list[Any]:
    """Text frames as objects, binary frames as bytes."""
    messages = [effect.message for effect in only(Send, effects)]
    return [json.loads(m) if isinstance(m, str) else m for m in messages]


def heard(effects: Iterable[Effect]) -> list[tuple[int, bytes]]:
    return [(effect.reply_id, effect.pcm) for effect in only(ReplyAudio, effects)]


def waits(effects: Iterable[Effect]) -> dict[str, float]:
    return {effect.key: effect.seconds for effect in only(Later, effects)}


def understood(text: str = "hello", timestamp: str = "") -> str:
    return says("transcript", text=text, role="user", timestamp=timestamp)


def answer(text: str = "well") -> str:
    return says("ai_response", text=text, timestamp="2026-03-29T10:15:38Z")


END = says("ai_response_end")
CUT = says("interruption")
