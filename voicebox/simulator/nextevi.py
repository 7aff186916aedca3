"""NextEVI's server side: see voicebox/wire/nextevi.py for its messages.

It counts what comes and refuses what the vendor's table of limits refuses. Where the vendor's reference is silent it is
strict, so that a sloppy client is found out: settings before sound, whole samples, a new UUID for each connection.
"""

import asyncio
import base64
import binascii
import hmac
import itertools
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import Resampler, from_bytes, resample, to_bytes
from voicebox.simulator.base import HttpAnswer, Link, Reply, Request, Setup
from voicebox.simulator.conversation import Conversation
from voicebox.wire import Message, dump, flatten, parse_object, wav
from voicebox.wire import nextevi as wire

PROTOCOL_ERROR, UNAUTHORIZED, NO_CONFIG, RATE_LIMITED = 1002, 4001, 4002, 4004
MAX_CHUNK = 1_000_000  # bytes of sound in one message
MAX_SESSION = 3600.0  # seconds
MAX_SESSIONS = 10  # at once
DIALS = 50  # a minute from one address; the 100 of one account cannot be reached before
RATES = (("audio", 1000, 60.0), ("text", 100, 60.0), ("any", 100, 1.0))

_SOUND = {"sample_rate": wire.RATE, "channels": 1, "encoding": "linear16"}
_GARBAGE = ('{"type":"transcription","data":{"transcript":', "[1, 2", '{"type":"status","data":{"n":NaN}}', "", "null")
_UNKNOWN: tuple[dict[str, Any], ...] = (
    {"type": "weather_report", "data": {"sunny": True}},
    {"type": 7},
    {"type": "transcription", "data": {"transcript": {"not": "a text"}}},
    {},
)
_EMOTIONS = {"Joy": 0.85, "Excitement": 0.72, "Calmness": 0.45, "Surprise": 0.15, "Sadness": 0.12}
_messages = itertools.count(1)


class _FieldEmotions(Message):
    """As the vendor's own clients read them: other names, and per cent."""

    TYPE: ClassVar[str] = wire.EmotionUpdate.TYPE


class Window:
    """At most so many messages within so many seconds."""

    def __init__(self, messages: int, seconds: float) -> None:
        self._seen: deque[float] = deque(maxlen=messages)
        self._seconds = seconds

    def overflows(self) -> bool:
        """One more has come; whether that is one too many."""
        now = _now()
        too_many = len(self._seen) == self._seen.maxlen and now - self._seen[0] < self._seconds
        self._seen.append(now)
        return too_many


class Service:
    """One client of NextEVI."""

    PATH: ClassVar[str] = "/ws/voice"

    def __init__(self, setup: Setup, link: Link) -> None:
        self._setup = setup
        self._faults = setup.faults
        self._link = link
        self._conversation = Conversation(self, setup, link)
        self._resampler = Resampler(wire.RATE, CAPTURE_RATE)
        self._configured = False
        self._ids: set[str] = set()  # of messages received
        self._turns = itertools.count(1)
        self._limits = [(kind, Window(messages, seconds)) for kind, messages, seconds in RATES]

    # opening

    @staticmethod
    def answer_http(request: Request, setup: Setup) -> HttpAnswer | None:
        if setup.faults.strikes("http_status"):
            status = round(setup.faults.amount("http_status"))
            return HttpAnswer(status, "a fault that was asked for\n", {"Retry-After": "7"} if status == 429 else {})
        path, _, connection = request.path.rpartition("/")
        if path != Service.PATH:
            return HttpAnswer(404, f"there is only {Service.PATH}/{{connection_id}} here\n")
        dials: Window = setup.shared.setdefault("dials", Window(DIALS, 60.0))
        if dials.overflows():
            return HttpAnswer(429, f"more than {DIALS} connections a minute\n", {"Retry-After": "60"})
        used: set[str] = setup.shared.setdefault("connections", set())
        if not _is_uuid4(connection) or connection in used or not request.query.get("config_id"):
            return HttpAnswer(400, "a connection takes a new UUID v4 and a config_id\n")
        used.add(connection)
        return _authorize(request, setup)

    @staticmethod
    def access(url: str, setup: Setup) -> tuple[dict[str, Any], dict[str, str]]:
        section = {"url": url, "config_id": setup.meeting_id, "allow_plain": True}
        return section, {"nextevi_api_key": api_key(setup)}

    async def opened(self) -> None:
        if self._link.request.query["config_id"] != self._setup.meeting_id:
            await self._link.close(NO_CONFIG, "config not found")
            return
        if self._setup.shared.get("sessions", 0) >= MAX_SESSIONS:
            await self._link.close(RATE_LIMITED, f"rate limited: more than {MAX_SESSIONS} sessions at once")
            return
        self._link.spawn(self._last())
        await self._send(
            wire.ConnectionMetadata(
                connection_id=self._connection,
                status="connected",
                config={"audio_format": "pcm_24khz_16bit_mono", **_SOUND},
                project_id=self._link.request.query.get("project_id", "project-1"),
                config_id=self._setup.meeting_id,
            )
        )

    async def _last(self) -> None:
        """As long as the connection does, and not longer than a session may."""
        shared = self._setup.shared
        shared["sessions"] = shared.get("sessions", 0) + 1
        try:
            await asyncio.sleep(MAX_SESSION)
            await self._link.close(RATE_LIMITED, "rate limited: session duration")
        finally:
            shared["sessions"] -= 1

    # what the client says

    async def received(self, message: str | bytes) -> None:
        parsed = None if isinstance(message, bytes) else parse_object(message)
        is_audio = isinstance(message, bytes) or (parsed or {}).get("type") == wire.AudioInput.TYPE
        if await self._too_much("audio" if is_audio else "text"):
            return
        if isinstance(message, bytes):
            await self._audio(message, "")
        elif parsed is None:
            await self._link.close(PROTOCOL_ERROR, "a text message must be a JSON object")
        elif not self._has_marks(parsed):
            await self._refuse("INVALID_MESSAGE", "timestamp and message_id: a number and a new text")
        else:
            await self._handle(flatten(parsed))

    async def _handle(self, fields: dict[str, Any]) -> None:
        kind = fields.get("type")
        if isinstance(kind, str) and kind in self._HANDLERS:
            await self._HANDLERS[kind](self, fields)
        else:
            await self._refuse("UNKNOWN_MESSAGE_TYPE", "no such type")

    async def _too_much(self, kind: str) -> bool:
        over = [of for of, window in self._limits if of in (kind, "any") and window.overflows()]
        if over:
            await self._link.close(RATE_LIMITED, f"rate limited: too many messages ({over[0]})")
        return bool(over)

    def _has_marks(self, message: Mapping[str, Any]) -> bool:
        """The documented envelope has both; the vendor's own clients send neither, and nothing nested."""
        if not {"timestamp", "message_id", "data"} & message.keys():
            return True
        stamp, own = message.get("timestamp"), message.get("message_id")
        new = isinstance(own, str) and bool(own) and own not in self._ids
        self._ids.add(str(own))
        return new and isinstance(stamp, int | float) and not isinstance(stamp, bool)

    async def _settings(self, fields: Mapping[str, Any]) -> None:
        given = fields.get("audio")
        sound = given if isinstance(given, Mapping) else fields
        if any(sound.get(key) != value for key, value in _SOUND.items()):
            await self._refuse("INVALID_SETTINGS", "audio must be 24000 Hz, 1 channel, linear16")
            await self._send(wire.Status(status="error", details={"error_code": "INVALID_SETTINGS"}))
            return
        self._configured = True
        if self._faults.strikes("close_code"):
            await self._say_goodbye(round(self._faults.amount("close_code")), "a fault that was asked for")
        elif self._faults.strikes("config_gone"):
            await self._say_goodbye(RATE_LIMITED, "CONFIG_NOT_FOUND")
        elif not self._faults.strikes("never_ready"):
            extras = {key: fields[key] for key in ("emotion_detection", "turn_detection") if key in fields}
            await self._send(wire.Status(status="ready", details={"session_settings": _SOUND | extras}))

    async def _say_goodbye(self, code: int, reason: str) -> None:
        if self._faults.strikes("undocumented"):
            await self._send(wire.Disconnect(code=code, reason=reason))
        await self._link.close(code, reason)

    async def _audio_input(self, fields: Mapping[str, Any]) -> None:
        chunk_id = str(fields.get("chunk_id", ""))
        try:
            pcm = base64.b64decode(fields.get("audio", ""), validate=True)
        except (binascii.Error, ValueError, TypeError):
            await self._refuse("AUDIO_PROCESSING_FAILED", "no base64", chunk_id)
            return
        await self._audio(pcm, chunk_id)

    async def _audio(self, pcm: bytes, chunk_id: str) -> None:
        if not self._configured:
            await self._link.close(PROTOCOL_ERROR, "sound before session_settings")
        elif len(pcm) > MAX_CHUNK:
            await self._link.close(RATE_LIMITED, "rate limited: audio chunk above 1 MB")
        elif len(pcm) % 2 or self._faults.strikes("audio_failed"):
            await self._refuse("AUDIO_PROCESSING_FAILED", "Failed to process audio chunk", chunk_id)
        else:
            if self._faults.strikes("rate_limited"):
                await self._refuse("RATE_LIMITED", "too many messages")
            await self._conversation.hear(to_bytes(self._resampler.process(from_bytes(pcm))))

    async def _text(self, fields: Mapping[str, Any]) -> None:
        text = fields.get("text")
        if isinstance(text, str) and text.strip():
            await self._conversation.ask(text)
        else:
            await self._refuse("INVALID_MESSAGE", "text without text")

    async def _interrupt(self, _fields: Mapping[str, Any]) -> None:
        await self._conversation.interrupt()

    async def _keep_alive(self, _fields: Mapping[str, Any]) -> None:
        """Has no answer."""

    _HANDLERS: ClassVar[dict[str, Callable[["Service", Mapping[str, Any]], Awaitable[None]]]] = {
        wire.SessionSettings.TYPE: _settings,
        wire.AudioInput.TYPE: _audio_input,
        wire.KeepAlive.TYPE: _keep_alive,
        wire.TextInput.TYPE: _text,
        wire.Interrupt.TYPE: _interrupt,
    }

    # what the conversation brings

    async def heard(self, text: str) -> None:
        turn = f"turn-{next(self._turns)}"
        await self._send(wire.TurnStart(turn_id=turn))
        await self._send(self._transcription(text[: len(text) // 2], final=False))
        await self._send(self._transcription(text, final=True))
        await self._send(wire.TurnEnd(turn_id=turn, duration=1.5, is_complete=True))
        await self._emotions()
        if self._faults.strikes("undocumented"):
            result = {"is_complete": True, "confidence": 0.9, "reasons": [], "processing_time": 0.01}
            await self._send(wire.TurnComplete(turn_result=result, transcript=text))
            await self._send(wire.SystemMessage(content="Are you still there?", message_type="warning"))
            await self._send(wire.IdleWarning(time_remaining=30.0, warning_type="inactivity"))
        if self._faults.strikes("status_error"):
            await self._send(wire.Status(status="error", details={"reason": "a fault that was asked for"}))
        await self._send(wire.Status(status="processing"))

    async def reply_begins(self, reply: Reply) -> None:
        broken = _GARBAGE if self._faults.strikes("malformed_json") else ()
        unknown = _UNKNOWN if self._faults.strikes("unknown_type") else ()
        for text in (*broken, *map(dump, unknown)):
            await self._link.send(text)
        whole = wav.pack(bytes(960), wire.RATE)
        for content in ("%%%", _base64(whole[:-1]), _base64(whole[:20])) if self._faults.strikes("bad_audio") else ():
            await self._send(wire.TtsChunk(content=content))
        await self._say(reply)

    async def _say(self, reply: Reply) -> None:
        pieces = reply.text.split(" ")
        grows = self._faults.strikes("growing_text")
        for index, piece in enumerate(pieces):
            content = " ".join(pieces[: index + 1]) if grows else f" {piece}" if index else piece
            last = index == len(pieces) - 1
            await self._send(
                wire.LlmResponseChunk(
                    content=content, is_final=last, generation_id=f"gen-{reply.number}", chunk_index=index
                )
            )

    async def reply_audio(self, pcm: bytes) -> None:
        if self._faults.strikes("bare_pcm"):
            sound = pcm
        elif self._faults.strikes("wav_16k"):
            sound = wav.pack(to_bytes(resample(from_bytes(pcm), PLAYBACK_RATE, CAPTURE_RATE)), CAPTURE_RATE)
        else:
            sound = wav.pack(pcm, wire.RATE)
        await self._send(wire.TtsChunk(content=_base64(sound)))

    async def reply_ends(self, reply: Reply) -> None:
        """Nothing says so, but in the undocumented form."""
        del reply
        if self._faults.strikes("undocumented"):
            await self._send(wire.TtsChunk(is_last=True))
        if self._faults.strikes("token_expires"):
            await self._say_goodbye(UNAUTHORIZED, "unauthorized")

    async def interrupted(self) -> None:
        await self._send(wire.UserInterruption() if self._faults.strikes("undocumented") else wire.TtsInterruption())

    # messages

    @property
    def _connection(self) -> str:
        return self._link.request.path.rpartition("/")[2]

    def _transcription(self, text: str, *, final: bool) -> Message:
        words = [
            {"word": word, "start": 0.3 * at, "end": 0.3 * at + 0.2, "confidence": 0.98}
            for at, word in enumerate(text.split())
        ]
        return wire.Transcription(
            transcript=text,
            confidence=0.95,
            is_final=final,
            is_speech_final=final,
            session_id=self._connection,
            words=words,
            accumulated_transcript=text,
            is_turn_incomplete=not final,
            original_fragment=text,
        )

    async def _emotions(self) -> None:
        top = list(_EMOTIONS.items())[:2]
        if self._faults.strikes("undocumented"):
            named = [{"emotion": name, "percentage": 100 * score} for name, score in top]
            await self._send(_FieldEmotions.model_validate({"top_emotions": named}))
            return
        update = {
            "top_emotions": [{"name": name, "score": score} for name, score in top],
            "all_emotions": _EMOTIONS,
            "processing_time": 0.045,
            "utterance_duration": 2.3,
            "connection_id": self._connection,
            "session_id": self._connection,
        }
        await self._send(wire.EmotionUpdate.model_validate(update))

    async def _refuse(self, code: str, message: str, chunk_id: str = "") -> None:
        details = {"chunk_id": chunk_id} if chunk_id else {}
        await self._send(wire.ErrorMessage(error_code=code, error_message=message, details=details))

    async def _send(self, message: Message) -> None:
        envelope: wire.Envelope = "flat" if self._setup.envelope == "flat" else "data"
        stamp = datetime.fromisoformat(self._setup.clock()).timestamp()
        await self._link.send(wire.encode_server_message(message, envelope, f"msg-{next(_messages)}", stamp))


def api_key(setup: Setup) -> str:
    """The key that is accepted; as a JWT the token itself is."""
    return setup.token if setup.token.startswith("oak_") else f"oak_{setup.token}"


def _authorize(request: Request, setup: Setup) -> HttpAnswer | None:
    if setup.faults.strikes("unauthorized"):
        return HttpAnswer(401, "a fault that was asked for\n")
    key = request.query.get("api_key")
    headers = {name.lower(): value for name, value in request.headers.items()}
    token = request.query.get("authorization") or headers.get("authorization")
    if key is not None and token is not None:
        return HttpAnswer(400, "an API key or a token, not both\n")
    expected = api_key(setup) if key is not None else f"Bearer {setup.token}"
    if not hmac.compare_digest((key or token or "").encode(), expected.encode()):
        return HttpAnswer(401, "authentication failed\n")
    return None


def _is_uuid4(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower() and uuid.UUID(text).version == 4
    except ValueError:
        return False


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _now() -> float:
    return asyncio.get_running_loop().time()
