"""Lira's server side: see voicebox/wire/lira.py for its messages.

Where the vendor's page is silent this server is strict, so that a sloppy client is found out: nothing but ``join``
before ``joined``, no sound before ``audio_start``, whole samples only.
"""

import hmac
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from voicebox.simulator.base import HttpAnswer, Link, Reply, Request, Setup
from voicebox.simulator.conversation import Conversation
from voicebox.wire import Message, dump, parse_object
from voicebox.wire import lira as wire

INVALID_DATA = 1007
POLICY_VIOLATION = 1008
TASK = "task:"
"""Written turns that begin so make a task."""

_MALFORMED = ('{"type":"transcript","data":{"text":', "[1, 2", '{"type":"transcript","data":{"n":NaN}}', "", "null")
_UNKNOWN: tuple[dict[str, Any], ...] = (
    {"type": "weather_report", "data": {"sunny": True}},
    {"type": 7},
    {"data": {}},
    {},
)
_sessions = itertools.count(1)


class Service:
    """One client of Lira."""

    PATH: ClassVar[str] = "/lira/v1/ws"

    def __init__(self, setup: Setup, link: Link) -> None:
        self._setup = setup
        self._faults = setup.faults
        self._link = link
        self._conversation = Conversation(self, setup, link)
        self._joined = False
        self._streaming = False
        self._settings: dict[str, Any] = {"wake_word_enabled": True}

    @staticmethod
    def answer_http(request: Request, setup: Setup) -> HttpAnswer | None:
        if request.path != Service.PATH:
            return HttpAnswer(404, f"there is only {Service.PATH} here\n")
        if setup.faults.strikes("http_503"):
            wait = f"{setup.faults.amount('http_503'):.0f}"
            return HttpAnswer(503, "a fault that was asked for\n", {"Retry-After": wait})
        if setup.faults.strikes("unauthorized_message"):
            return None
        token = request.query.get("token", "")
        if setup.faults.strikes("unauthorized") or not hmac.compare_digest(token.encode(), setup.token.encode()):
            return HttpAnswer(401, "invalid or expired token\n")
        return None

    @staticmethod
    def access(url: str, setup: Setup) -> tuple[dict[str, Any], dict[str, str]]:
        section = {"url": url, "meeting_id": setup.meeting_id, "allow_plain": True}
        return section, {"lira_token": setup.token}

    async def opened(self) -> None:
        """The client speaks first."""

    # what the client says

    async def received(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self._audio(message)
            return
        parsed = parse_object(message)
        if parsed is None:
            await self._refuse("INVALID_MESSAGE", "a text message must be a JSON object")
            await self._link.close(INVALID_DATA, "not JSON")
            return
        kind, fields = wire.read_client_message(parsed)
        if not self._joined and kind != wire.Join.TYPE:
            await self._not_joined()
        elif kind in self._HANDLERS:
            await self._HANDLERS[kind](self, fields)
        else:
            await self._refuse("INVALID_MESSAGE", f"unknown type {kind[:40]!r}")

    async def _audio(self, pcm: bytes) -> None:
        if not self._joined:
            await self._not_joined()
        elif not self._streaming:
            await self._refuse("INVALID_AUDIO", "audio before audio_start")
        elif len(pcm) % 2:
            await self._refuse("INVALID_AUDIO", "audio must be whole samples of 16 bits")
        else:
            if self._faults.strikes("rate_limited"):
                await self._refuse("RATE_LIMITED", "too many messages")
            await self._conversation.hear(pcm)

    async def _not_joined(self) -> None:
        await self._refuse("NOT_JOINED", "join first")
        await self._link.close(POLICY_VIOLATION, "join first")

    async def _join(self, fields: Mapping[str, Any]) -> None:
        if self._faults.strikes("unauthorized_message"):
            await self._refuse("UNAUTHORIZED", "invalid or expired token")
            return
        if self._joined or self._faults.strikes("already_joined") or self._faults.strikes("already_joined_always"):
            await self._refuse("ALREADY_JOINED", "client already in a session")
            return
        meeting = next((fields[key] for key in ("meetingId", "meeting_id", "session_id") if key in fields), None)
        if meeting != self._setup.meeting_id or self._faults.strikes("session_not_found"):
            await self._refuse("SESSION_NOT_FOUND", "meeting session not found or has ended")
            return
        if self._faults.strikes("never_joined"):
            return
        await self._welcome()

    async def _welcome(self) -> None:
        self._joined = True
        everybody = [{"id": "user", "name": "voicebox"}, {"id": "lira", "name": "Lira", "is_ai": True}]
        await self._send(wire.Joined(sessionId=f"ses_{next(_sessions):04}", participants=everybody))
        await self._send(wire.ParticipantEvent(participant=everybody[1], action="joined"))

    async def _text(self, fields: Mapping[str, Any]) -> None:
        text = fields.get("text")
        if not isinstance(text, str) or not text.strip():
            await self._refuse("INVALID_MESSAGE", "text without text")
            return
        if text.lower().startswith(TASK):
            await self._send(wire.TaskMessage(task={"task_id": "tsk_1", "title": text[len(TASK) :].strip()}))
        await self._conversation.ask(text)

    async def _audio_start(self, _fields: Mapping[str, Any]) -> None:
        self._streaming = True

    async def _audio_stop(self, _fields: Mapping[str, Any]) -> None:
        self._streaming = False
        await self._conversation.stop_hearing()

    async def _change_settings(self, fields: Mapping[str, Any]) -> None:
        self._settings |= fields
        await self._send(wire.SettingsUpdated(settings=dict(self._settings)))

    async def _leave(self, _fields: Mapping[str, Any]) -> None:
        await self._link.close(1000, "left the meeting")

    async def _ping(self, _fields: Mapping[str, Any]) -> None:
        """Only the lira-web dialect has it; nothing is known of an answer."""

    _HANDLERS: ClassVar[dict[str, Callable[["Service", Mapping[str, Any]], Awaitable[None]]]] = {
        wire.Join.TYPE: _join,
        wire.Text.TYPE: _text,
        wire.AudioStart.TYPE: _audio_start,
        wire.AudioStop.TYPE: _audio_stop,
        wire.UpdateSettings.TYPE: _change_settings,
        wire.Leave.TYPE: _leave,
        "ping": _ping,
    }

    # what the conversation brings

    async def heard(self, text: str) -> None:
        await self._send(self._transcript("user", "voicebox", text))

    async def reply_begins(self, reply: Reply) -> None:
        await self._garbage()
        response = wire.AiResponse(text=reply.text, timestamp=self._setup.clock())
        await self._send(response)
        if self._faults.strikes("duplicate_text"):
            await self._send(self._transcript("assistant", "Lira", reply.text))
            await self._send(response)
        await self._send(wire.AudioReady(duration=round(reply.seconds, 3)))

    async def reply_audio(self, pcm: bytes) -> None:
        await self._link.send(pcm + b"\x00" if self._faults.strikes("odd_bytes") else pcm)

    async def reply_ends(self, reply: Reply) -> None:
        del reply  # the message says nothing about it
        await self._send(wire.AiResponseEnd())
        if self._faults.strikes("token_expires"):
            await self._refuse("UNAUTHORIZED", "invalid or expired token")

    async def interrupted(self) -> None:
        await self._send(wire.Interruption())

    async def _garbage(self) -> None:
        """What no client should stumble over."""
        broken = _MALFORMED if self._faults.strikes("malformed_json") else ()
        unknown = _UNKNOWN if self._faults.strikes("unknown_type") else ()
        for text in (*broken, *(dump(message) for message in unknown)):
            await self._link.send(text)
        if self._faults.strikes("empty_audio"):
            await self._link.send(b"")

    # messages

    def _transcript(self, role: str, speaker: str, text: str) -> Message:
        is_ai = (
            role == "assistant" if self._setup.envelope == "payload" else None
        )  # as the vendor's web client reads it
        return wire.TranscriptMessage(text=text, speaker=speaker, timestamp=self._setup.clock(), role=role, is_ai=is_ai)

    async def _refuse(self, code: str, message: str) -> None:
        await self._send(wire.ErrorMessage(code=code, message=message))

    async def _send(self, message: Message) -> None:
        await self._link.send(wire.encode_server_message(message, self._setup.envelope))
