"""Lira: JSON and raw PCM over one WebSocket; the service detects turns and interruptions.

Source: the vendor's WebSocket API page. Where it is silent or its published clients differ, both readings are accepted
(envelopes flat, ``data`` or ``payload``; ``sessionId`` or ``session_id``; ``role`` or ``is_ai``).
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import Field, ValidationError, field_validator

from voicebox.core.events import (
    Category,
    ParticipantChanged,
    ReplyText,
    ServiceError,
    SessionEnded,
    SessionReady,
    SessionUpdated,
    SessionWarning,
    TaskCreated,
    Transcript,
    VendorRaw,
)
from voicebox.errors import AuthError, ConfigError
from voicebox.redact import redact
from voicebox.services._replies import Replies
from voicebox.services.base import (
    Adapter,
    Capabilities,
    Dial,
    Effect,
    Hangup,
    Later,
    Send,
    ServiceSettings,
    Verdict,
    check_expiry,
    check_url,
    retry_after,
)
from voicebox.wire import Message, dump, flatten, is_json, parse_object
from voicebox.wire import lira as wire

JSON_PING = 30.0  # seconds; only the lira-web dialect knows it
REJOIN_AFTER = 2.0
SLOW_PAUSE = 1.0  # seconds without a message after RATE_LIMITED
SLOW_FACTOR = 4  # … and then messages this many times larger
SLOW_LIMIT = 64_000  # bytes (2 s) kept meanwhile; beyond that the oldest are dropped
ASK_AGAIN = 300.0  # seconds until a refused token may be tried once more, if somebody asks: a proxy may have refused it


class Settings(ServiceSettings):
    """``[lira]``"""

    SECRETS: ClassVar[tuple[str, ...]] = ("lira_token",)

    url: str = Field(default="wss://api.creovine.com/lira/v1/ws", description="where to connect")
    meeting_id: str = Field(default="", description="the meeting to join (required)")
    dialect: wire.Dialect = Field(default="documented", description="how our messages are written")
    local_wake: bool = Field(
        default=True, description="tell Lira that this box has its own wake word, so that it answers without its own"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description='sent at the start of each session, e.g. {personality = "supportive"}'
    )
    user_name: str = Field(default="voicebox", description="shown to the others (lira-web dialect)")
    allow_plain: bool = Field(default=False, description="permit ws:// to this machine itself")

    @field_validator("settings")
    @classmethod
    def _writable(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if not is_json(settings):
            raise ValueError("holds a date, nan or inf, which cannot be sent as JSON")
        return settings


# --- the adapter ---------------------------------------------------------------------------------------------------


class Service(Adapter):
    """Lira's protocol as a state machine without I/O. See services/base.py for what each method promises."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        name="lira",
        text_input=True,
        tasks=True,
        participants=True,
        resumes=True,
        auth="JWT in the address",
        lead=0.35,  # its vendor measured 200 to 400 ms between bursts
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._replies = Replies()
        self._token = ""
        self._dialled_at = 0.0  # Unix seconds
        self._refused_token = ""
        self._refused_at = 0.0  # Unix seconds
        self.odd_bytes = 0
        self.malformed = 0
        self.dropped_uplink_bytes = 0
        self._forget()

    @property
    def dropped_bytes(self) -> int:
        """Late sound of dead replies, never handed on."""
        return self._replies.dropped_bytes

    def _forget(self) -> None:
        """A new connection knows nothing of the last."""
        self._joined = False
        self._session_id = ""
        self._rejoined = False
        self._streaming = False
        self._unsent: list[Effect] = []  # wished before we had joined
        self._pending = bytearray()  # uplink audio gathered into larger messages
        self._slow = False
        self._paused = False
        self._seen: deque[tuple[str, str, str]] = deque(maxlen=64)  # transcripts
        self._replies.forget()

    # connection

    def dial(self, credentials: Mapping[str, str], now: float) -> tuple[Dial, Sequence[SessionWarning]]:
        self._forget()
        settings = self._settings
        if not settings.meeting_id:
            raise ConfigError("lira.meeting_id is not set: Lira needs to know which meeting to join")
        check_url(settings.url, "lira", allow_plain=settings.allow_plain)
        token = credentials.get("lira_token", "")
        if not token:
            raise AuthError("no token for Lira: store it as the credential lira_token")
        if token == self._refused_token and abs(now - self._refused_at) < ASK_AGAIN:
            raise AuthError("Lira refused this token before: store a new one as the credential lira_token")
        self._token, self._dialled_at = token, now
        warnings = check_expiry(token, "lira_token", now)
        joiner = "&" if "?" in settings.url else "?"
        return Dial(f"{settings.url}{joiner}token={quote(token, safe='')}"), warnings

    def refused(self, status: int, headers: Mapping[str, str]) -> Verdict:
        if status in (401, 403):
            return self._auth_verdict(f"Lira refused the token (HTTP {status})")
        if not 400 <= status < 500 or status in (408, 425, 429):  # below 400: a captive portal, not the service
            return Verdict(retry=True, server_side=True, retry_after=retry_after(headers))
        ended = SessionEnded(f"Lira answered HTTP {status}: check lira.url", Category.CONFIG)
        return Verdict(retry=False, effects=(ended,))

    def opened(self) -> Sequence[Effect]:
        effects: list[Effect] = [self._send(self._join())]
        if self._settings.dialect != "documented":
            effects.append(Later(JSON_PING, "ping"))
        return effects

    def closed(self, code: int, reason: str) -> Verdict:
        if code == 1000:
            return Verdict(retry=False, effects=(SessionEnded("the meeting has ended"),))
        if code in (4401, 4403):
            return self._auth_verdict(f"Lira closed the session: {self._clean(reason) or code}")
        return Verdict(retry=True, server_side=code != 1006, retry_after=60.0 if code == 1008 else 0.0)

    def later(self, key: str) -> Sequence[Effect]:
        timers: dict[str, Callable[[], Sequence[Effect]]] = {
            "ping": self._json_ping,
            "release": self._replies.release,
            "rejoin": self._rejoin,
            "resume": self._resume,
        }
        return timers[key]() if key in timers else []

    def goodbye(self) -> Sequence[Effect]:
        return [*self.audio_stop(), self._send(wire.Leave())] if self._joined else []

    # uplink

    def audio_start(self) -> Sequence[Effect]:
        if self._streaming or not self._joined:
            return []
        self._streaming = True
        return [self._send(wire.AudioStart())]

    def audio(self, pcm: bytes) -> Sequence[Effect]:
        if not self._streaming:
            return []
        if not self._slow:
            return [Send(pcm)]
        self._pending += pcm
        too_much = max(0, len(self._pending) - SLOW_LIMIT)
        del self._pending[:too_much]
        self.dropped_uplink_bytes += too_much
        enough = self.capabilities.uplink_chunk * 2 * SLOW_FACTOR
        return [] if self._paused or len(self._pending) < enough else self._send_pending()

    def audio_stop(self) -> Sequence[Effect]:
        if not self._streaming:
            return []
        self._streaming = False
        return [*self._send_pending(), self._send(wire.AudioStop())]

    def text(self, text: str) -> Sequence[Effect]:
        return self._when_joined(self._send(wire.Text(text=text)))

    def settings(self, values: Mapping[str, Any]) -> Sequence[Effect]:
        if not is_json(values):
            raise ConfigError("these settings cannot be written as JSON")
        return self._when_joined(self._send(wire.UpdateSettings.model_validate(dict(values))))

    def cancel(self, reply_id: int) -> Sequence[Effect]:
        """Lira knows no such message: only what is still on its way is dropped."""
        del reply_id  # whatever is on its way is of this reply or an older one
        return self._replies.cancelled()

    # downlink

    def received(self, message: str | bytes) -> Sequence[Effect]:
        if isinstance(message, bytes):
            return self._pcm(message)
        parsed = parse_object(message)
        if parsed is None:
            self.malformed += 1
            return [SessionWarning("malformed", f"Lira sent {len(message)} characters that are not a JSON object")]
        fields = flatten(parsed)
        kind = fields.pop("type", "")
        kind = kind if isinstance(kind, str) else ""
        model = wire.SERVER_MESSAGES.get(kind)
        if model is None:
            return [VendorRaw(kind, parsed)]
        try:
            read = model.model_validate({key: value for key, value in fields.items() if value is not None})
        except ValidationError:
            self.malformed += 1
            return [VendorRaw(kind, parsed)]
        effects: Sequence[Effect] = self._HANDLERS[model](self, read)
        return effects

    def _pcm(self, data: bytes) -> Sequence[Effect]:
        if len(data) % 2:
            self.odd_bytes += 1
            data = data[:-1]
        return self._replies.sound(data)

    def _on_joined(self, message: wire.Joined) -> Sequence[Effect]:
        self._joined = True
        self._session_id = message.session_id
        wanted = ({"wake_word_enabled": False} if self._settings.local_wake else {}) | self._settings.settings
        effects: list[Effect] = [self._send(wire.UpdateSettings.model_validate(wanted))] if wanted else []
        effects += self._unsent
        self._unsent = []
        return [*effects, SessionReady(message.session_id, tuple(message.participants))]  # last: speech follows it

    def _on_participant(self, message: wire.ParticipantEvent) -> Sequence[Effect]:
        return [ParticipantChanged(message.participant, message.action)]

    def _on_transcript(self, message: wire.TranscriptMessage) -> Sequence[Effect]:
        role = "assistant" if message.by_assistant else "user"
        key = (role, message.text, message.timestamp)
        if message.timestamp and key in self._seen:  # without a time, "yes" may well be said twice
            return []
        self._seen.append(key)
        event = Transcript(role, message.text, message.speaker, message.timestamp)
        if role == "user":
            if message.text.strip():
                self._replies.user_understood()
            return [event]
        started = self._replies.words(message.text)
        return [] if started is None else [*started, event]

    def _on_response(self, message: wire.AiResponse) -> Sequence[Effect]:
        started = self._replies.words(message.text)
        return [] if started is None else [*started, ReplyText(self._replies.newest, message.text, message.timestamp)]

    def _on_response_end(self, _message: wire.AiResponseEnd) -> Sequence[Effect]:
        return self._replies.end()

    def _on_audio_ready(self, message: wire.AudioReady) -> Sequence[Effect]:
        return [VendorRaw(message.TYPE, message.fields())]

    def _on_settings(self, message: wire.SettingsUpdated) -> Sequence[Effect]:
        return [SessionUpdated(message.settings or dict(message.model_extra or {}))]

    def _on_interruption(self, _message: wire.Interruption) -> Sequence[Effect]:
        return self._replies.interrupted()

    def _on_task(self, message: wire.TaskMessage) -> Sequence[Effect]:
        return [TaskCreated(message.model_extra if message.task is None else message.task)]

    def _on_error(self, message: wire.ErrorMessage) -> Sequence[Effect]:
        text = self._clean(message.message or message.code)
        if message.code == "UNAUTHORIZED":
            verdict = self._auth_verdict(f"Lira refused the token: {text}")
            return [*verdict.effects, Hangup(text)]
        if message.code == "SESSION_NOT_FOUND":
            return [
                SessionEnded(f"Lira does not know this meeting: check lira.meeting_id ({text})", Category.NOT_FOUND),
                Hangup(text),
            ]
        if message.code == "ALREADY_JOINED" and not self._joined:
            return self._already_joined(text)
        if message.code == "RATE_LIMITED":
            self._slow = self._paused = True
            return [ServiceError(Category.RATE_LIMIT, message.code, text), Later(SLOW_PAUSE, "resume")]
        return [ServiceError(Category.SERVER, self._clean(message.code), text)]

    _HANDLERS: ClassVar[dict[type[Message], Any]] = {
        wire.Joined: _on_joined,
        wire.ParticipantEvent: _on_participant,
        wire.TranscriptMessage: _on_transcript,
        wire.AiResponse: _on_response,
        wire.AiResponseEnd: _on_response_end,
        wire.AudioReady: _on_audio_ready,
        wire.SettingsUpdated: _on_settings,
        wire.Interruption: _on_interruption,
        wire.TaskMessage: _on_task,
        wire.ErrorMessage: _on_error,
    }

    # the rest

    def _join(self) -> Message:
        settings = self._settings
        if settings.dialect == "documented":
            return wire.Join(meetingId=settings.meeting_id)
        return wire.Join.model_validate(
            {
                "meetingId": settings.meeting_id,
                "session_id": settings.meeting_id,
                "user_id": settings.user_name,
                "user_name": settings.user_name,
                "settings": settings.settings,
            }
        )

    def _send(self, message: Message) -> Send:
        return Send(wire.encode(message, self._settings.dialect, self._session_id))

    def _when_joined(self, effect: Send) -> Sequence[Effect]:
        if self._joined:
            return [effect]
        self._unsent.append(effect)
        return []

    def _send_pending(self) -> list[Effect]:
        if not self._pending:
            return []
        pcm, self._pending = bytes(self._pending), bytearray()
        return [Send(pcm)]

    def _resume(self) -> Sequence[Effect]:
        self._paused = False
        return self._send_pending()

    def _already_joined(self, text: str) -> Sequence[Effect]:
        if self._rejoined:
            return [
                SessionEnded(f"Lira says this account is already in a session ({text})", Category.CONFIG),
                Hangup(text),
            ]
        self._rejoined = True
        return [Later(REJOIN_AFTER, "rejoin")]

    def _rejoin(self) -> Sequence[Effect]:
        return [] if self._joined else [self._send(wire.Leave()), self._send(self._join())]

    def _json_ping(self) -> Sequence[Effect]:
        ping = [Send(dump({"type": "ping"}))] if self._joined else []
        return [*ping, Later(JSON_PING, "ping")]

    def _auth_verdict(self, message: str) -> Verdict:
        self._refused_token, self._refused_at = self._token, self._dialled_at
        text = f"{message}; store a new one as the credential lira_token"
        return Verdict(retry=False, effects=(SessionEnded(text, Category.AUTH),))

    def _clean(self, text: str) -> str:
        """A service may quote our own token back at us."""
        return redact(text.replace(self._token, "***") if self._token else text)
