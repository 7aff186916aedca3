"""LIKU's server side: see voicebox/wire/liku.py for its messages.

Where the vendor's page is silent this server is strict, so that a sloppy client is found out: connection data works
once, nothing precedes it, only sound follows it, the WebSocket's address carries nothing. The order of messages is that
of the vendor's sequence diagram: what the user said, sound, what the assistant said.
"""

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Callable
from typing import Any, ClassVar

from voicebox.redact import remember
from voicebox.simulator.base import HttpAnswer, Link, Reply, Request, Setup
from voicebox.simulator.conversation import Conversation
from voicebox.wire import Message, dump, parse_object
from voicebox.wire import liku as wire

INVALID_DATA = 4000
UNAUTHORIZED = 1008
UNSUPPORTED = 1003
PATIENCE = 10.0
"""Seconds in which the connection data has to come."""
EMAIL = "parrot@liku.example"

_MOST_KEPT = 100
_MALFORMED = ("connection established", '{"type":"user_transcript","text":', "[1, 2", "", "null")
_UNKNOWN: tuple[dict[str, Any], ...] = ({"type": "weather_report", "sunny": True}, {"type": 7}, {})
_ids = itertools.count(1)


class Service:
    """One client of LIKU."""

    PATH: ClassVar[str] = wire.SOCKET_PATH

    def __init__(self, setup: Setup, link: Link) -> None:
        self._setup = setup
        self._faults = setup.faults
        self._link = link
        self._conversation = Conversation(self, setup, link)
        self._accepted = False
        self._message_id = self._response_id = ""

    @staticmethod
    def answer_http(request: Request, setup: Setup) -> HttpAnswer | None:
        if (request.method, request.path) == ("GET", wire.SOCKET_PATH):
            return _open(request, setup)
        answer = _ROUTES.get((request.method, request.path))
        return answer(request, setup) if answer else _error(setup, 404, "Not found.")

    @staticmethod
    def access(url: str, setup: Setup) -> tuple[dict[str, Any], dict[str, str]]:
        host = url.removesuffix(wire.SOCKET_PATH)
        section = {"url": host, "api_url": "http" + host.removeprefix("ws"), "topic_id": "55", "allow_plain": True}
        return section, {"liku_email": EMAIL, "liku_password": setup.token}

    # what the client says

    async def opened(self) -> None:
        """The client speaks first, and soon."""
        self._link.spawn(self._expect_data())

    async def _expect_data(self) -> None:
        await asyncio.sleep(PATIENCE)
        if not self._accepted:
            await self._link.close(INVALID_DATA, "no connection data")

    async def received(self, message: str | bytes) -> None:
        if not self._accepted:
            await self._check(message)
        elif isinstance(message, str) or len(message) % 2:
            await self._link.close(UNSUPPORTED, "only sound in whole samples is expected")
        else:
            await self._conversation.hear(message)

    async def _check(self, message: str | bytes) -> None:
        """The first message."""
        fields = (parse_object(message) if isinstance(message, str) else None) or {}
        data = fields.get("connection_data")
        issued = self._setup.shared.get("issued", {})
        if fields.keys() != {"connection_data"} or not isinstance(data, str) or issued.pop(data, None) is None:
            await self._link.close(INVALID_DATA, "invalid connection data")
        elif self._faults.strikes("close_4000"):
            await self._link.close(INVALID_DATA, "a fault that was asked for")
        elif self._faults.strikes("close_1008_at_once"):
            await self._link.close(UNAUTHORIZED, "a fault that was asked for")
        else:
            self._accepted = True

    # what the conversation brings

    async def heard(self, text: str) -> None:
        message_id = _new_id("msg")
        if self._faults.strikes("partials"):
            await self._send(wire.UserTranscript(text=text[:-1], message_id=message_id, status="in_progress"))
        await self._send(wire.UserTranscript(text=text, message_id=message_id))

    async def reply_begins(self, reply: Reply) -> None:
        self._message_id, self._response_id = _new_id("msg"), _new_id("resp")
        await self._garbage()
        text = f"{reply.text} [[EMAIL]]" if self._faults.strikes("markers") else reply.text
        await self._send(wire.AssistantMessage(text=text, message_id=self._message_id))

    async def reply_audio(self, pcm: bytes) -> None:
        await self._link.send(pcm + b"\x00" if self._faults.strikes("odd_bytes") else pcm)

    async def reply_ends(self, reply: Reply) -> None:
        transcript = wire.AssistantTranscript(
            text=reply.text, message_id=self._message_id, response_id=self._response_id
        )
        for _ in range(3 if self._faults.strikes("duplicate_text") else 1):
            await self._send(transcript)
        if self._faults.strikes("token_expires"):
            await self._link.close(UNAUTHORIZED, "invalid token")

    async def interrupted(self) -> None:
        """LIKU says nothing: it only stops sending."""

    async def _garbage(self) -> None:
        """What no client should stumble over."""
        broken = _MALFORMED if self._faults.strikes("malformed_json") else ()
        unknown = _UNKNOWN if self._faults.strikes("unknown_type") else ()
        for text in (*broken, *(dump(message) for message in unknown)):
            await self._link.send(text)
        if self._faults.strikes("empty_audio"):
            await self._link.send(b"")

    async def _send(self, message: Message) -> None:
        await self._link.send(wire.encode(message))


def _new_id(kind: str) -> str:
    return f"{kind}_{next(_ids):05}"


# --- HTTP ----------------------------------------------------------------------------------------------------------


def _token(setup: Setup) -> str:
    """The present one; another after it has expired."""
    expired = setup.shared.get("expired", 0)
    token = hashlib.sha1(f"{setup.token} {expired}".encode(), usedforsecurity=False).hexdigest()
    remember(token)
    return token


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _error(setup: Setup, status: int, detail: str) -> HttpAnswer:
    return HttpAnswer(
        status, "<html>sorry</html>" if setup.faults.strikes("plain_errors") else dump({"detail": detail})
    )


def _open(request: Request, setup: Setup) -> HttpAnswer | None:
    if setup.faults.strikes("http_503"):
        wait = f"{setup.faults.amount('http_503'):.0f}"
        return HttpAnswer(503, "a fault that was asked for\n", {"Retry-After": wait})
    return HttpAnswer(400, "nothing belongs into this address\n") if request.query else None


def _login(request: Request, setup: Setup) -> HttpAnswer:
    fields = parse_object(request.body.decode("utf-8", "replace")) or {}
    headers = {name.lower(): value for name, value in request.headers.items()}
    if any(headers.get(name) != "application/json" for name in ("content-type", "accept")):
        return _error(setup, 415, "Unsupported media type.")
    if fields.keys() != {"email", "password"} or not all(isinstance(v, str) and v for v in fields.values()):
        return _error(setup, 400, "Only email and password are expected.")
    right = fields["email"] == EMAIL and _same(fields["password"], setup.token)
    if not right or setup.faults.strikes("unauthorized"):
        return _error(setup, 401, "Unable to log in with provided credentials.")
    named = "token" if setup.faults.strikes("login_no_token") else "token_key"
    return HttpAnswer(200, dump({named: _token(setup)}))


def _init(request: Request, setup: Setup) -> HttpAnswer:
    if setup.faults.strikes("token_expired"):
        setup.shared["expired"] = setup.shared.get("expired", 0) + 1
    if not _same(request.query.get("token", ""), _token(setup)):
        return _error(setup, 401, "Invalid token.")
    if not request.query.get("topic_id") or setup.faults.strikes("unknown_topic"):
        return _error(setup, 400, "No such topic.")
    wanted = {name: value for name, value in request.query.items() if name != "token"}
    data = base64.b64encode(dump(wanted | {"id": _new_id("init")}).encode()).decode()
    issued: dict[str, str] = setup.shared.setdefault("issued", {})
    issued[data] = request.query["topic_id"]
    if len(issued) > _MOST_KEPT:
        del issued[next(iter(issued))]
    if setup.faults.strikes("init_object"):
        return HttpAnswer(200, dump({"connection_data": data}))
    return HttpAnswer(200, json.dumps(data) if setup.faults.strikes("init_quoted") else data)


def _save(request: Request, setup: Setup) -> HttpAnswer:
    headers = {name.lower(): value for name, value in request.headers.items()}
    right = _same(headers.get("authorization", ""), f"Token {_token(setup)}")
    if not right or setup.faults.strikes("save_refused"):
        return _error(setup, 401, "Invalid token.")
    fields = parse_object(request.body.decode("utf-8", "replace")) or {}
    if fields.keys() != {"connection_data", "topic_id", "conversation_id"} or not all(fields.values()):
        return _error(setup, 400, "connection_data, topic_id and conversation_id are expected.")
    saved: list[dict[str, Any]] = setup.shared.setdefault("saved", [])
    saved.append(fields)
    del saved[:-_MOST_KEPT]
    return HttpAnswer(200, dump({"detail": "saved"}))


_ROUTES: dict[tuple[str, str], Callable[[Request, Setup], HttpAnswer]] = {
    ("POST", wire.LOGIN_PATH): _login,
    ("GET", wire.INIT_PATH): _init,
    ("POST", wire.SAVE_PATH): _save,
}
