"""Lira: JSON and raw PCM over one WebSocket; the service detects turns and interruptions.

Source: the vendor's WebSocket API page. Where it is silent or its published clients differ, both readings are accepted
(envelopes flat, ``data`` or ``payload``; ``sessionId`` or ``session_id``; ``role`` or ``is_ai``).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import Field, ValidationError

from voicebox.core.events import (
    Category,
    Interrupted,
    ParticipantChanged,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
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
from voicebox.services.base import (
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
from voicebox.wire import Message, dump, flatten, parse_object
from voicebox.wire import lira as wire

JSON_PING = 30.0  # seconds; only the lira-web dialect knows it
RELEASE = 2.0  # seconds without late audio of a dead reply until audio is believed again
RELEASE_UNBORN = 10.0  # … of a reply that was cut before its first sound
REJOIN_AFTER = 2.0
SLOW_PAUSE = 1.0  # seconds without a message after RATE_LIMITED
SLOW_FACTOR = 4  # … and then messages this many times larger


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


# --- the adapter ---------------------------------------------------------------------------------------------------


class Service:
    """Lira's protocol as a state machine without I/O. See services/base.py for what each method promises."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        name="lira", uplink_rate=16_000, uplink_chunk=1_600, server_interrupts=True, text_input=True
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reply = 0  # newest reply id given out; survives reconnections
        self._refused_token = ""
        self.odd_bytes = 0
        self.malformed = 0
        self.dropped_bytes = 0
        self._forget()

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
        self._open = False  # a reply is coming in
        self._ended = False  # … and all its text has come; sound may still follow
        self._dropping = False  # what comes in belongs to a dead reply
        self._dead_text_due = False  # … whose text has not come yet
        self._texts: set[str] = set()  # assistant text already shown in this reply
        self._seen: deque[tuple[str, str, str]] = deque(maxlen=64)

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
        if token == self._refused_token:
            raise AuthError("Lira refused this token before: store a new one as the credential lira_token")
        self._token = token
        warnings = check_expiry(token, "lira_token", now)
        joiner = "&" if "?" in settings.url else "?"
        return Dial(f"{settings.url}{joiner}token={quote(token, safe='')}"), warnings

    def refused(self, status: int, headers: Mapping[str, str]) -> Verdict:
        if status in (401, 403):
            return self._auth_verdict(f"Lira refused the token (HTTP {status})")
        if status in (408, 425, 429) or status >= 500:
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
            return self._auth_verdict(f"Lira closed the session: {reason or code}")
        return Verdict(retry=True, server_side=code != 1006, retry_after=60.0 if code == 1008 else 0.0)

    def later(self, key: str) -> Sequence[Effect]:
        timers = {
            "ping": self._json_ping,
            "release": self._release,
            "rejoin": self._rejoin,
            "resume": self._resume,
        }
        return timers[key]()

    def goodbye(self) -> Sequence[Effect]:
        return [*self.audio_stop(), self._send(wire.Leave())] if self._joined else []

    # uplink

    def audio_start(self) -> Sequence[Effect]:
        if self._streaming:
            return []
        self._streaming = True
        return [self._send(wire.AudioStart())]

    def audio(self, pcm: bytes) -> Sequence[Effect]:
        if not self._streaming:
            return []
        if not self._slow:
            return [Send(pcm)]
        self._pending += pcm
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
        return self._when_joined(self._send(wire.UpdateSettings(**values)))

    def cancel(self, reply_id: int) -> Sequence[Effect]:
        """Lira knows no such message: only what is still on its way is dropped."""
        del reply_id  # whatever is on its way is of this reply or an older one
        begun = self._open
        self._kill()
        return [Later(RELEASE if begun else RELEASE_UNBORN, "release")]

    # downlink

    def received(self, message: str | bytes) -> Sequence[Effect]:
        if isinstance(message, bytes):
            return self._pcm(message)
        parsed = parse_object(message)
        if parsed is None:
            self.malformed += 1
            return [SessionWarning("malformed", f"Lira sent {len(message)} characters that are not a JSON object")]
        fields = flatten(parsed)
        kind = str(fields.pop("type", ""))
        model = wire.SERVER_MESSAGES.get(kind)
        if model is None:
            return [VendorRaw(kind, parsed)]
        try:
            read = model(**{key: value for key, value in fields.items() if value is not None})
        except (ValidationError, TypeError):
            self.malformed += 1
            return [VendorRaw(kind, parsed)]
        effects: Sequence[Effect] = self._HANDLERS[model](self, read)
        return effects

    def _pcm(self, data: bytes) -> Sequence[Effect]:
        if len(data) % 2:
            self.odd_bytes += 1
            data = data[:-1]
        if self._dropping:
            self.dropped_bytes += len(data)
            return [] if self._dead_text_due and not self._open else [Later(RELEASE, "release")]
        if not data:
            return []
        started = self._begin_reply()
        return [*started, ReplyAudio(self._reply, data)]

    def _on_joined(self, message: wire.Joined) -> Sequence[Effect]:
        self._joined = True
        self._session_id = message.session_id
        wanted = ({"wake_word_enabled": False} if self._settings.local_wake else {}) | self._settings.settings
        effects: list[Effect] = [SessionReady(message.session_id, tuple(message.participants))]
        if wanted:
            effects.append(self._send(wire.UpdateSettings(**wanted)))
        effects += self._unsent
        self._unsent = []
        return effects

    def _on_participant(self, message: wire.ParticipantEvent) -> Sequence[Effect]:
        return [ParticipantChanged(message.participant, message.action)]

    def _on_transcript(self, message: wire.TranscriptMessage) -> Sequence[Effect]:
        role = "assistant" if message.by_assistant else "user"
        key = (role, message.text, message.timestamp)
        if key in self._seen:
            return []
        self._seen.append(key)
        event = Transcript(role, message.text, message.speaker, message.timestamp)
        if role == "user":
            self._release()
            return [event]
        effects, shown_before = self._assistant_text(message.text)
        return effects if shown_before else [*effects, event]

    def _on_response(self, message: wire.AiResponse) -> Sequence[Effect]:
        effects, shown_before = self._assistant_text(message.text)
        return effects if shown_before else [*effects, ReplyText(self._reply, message.text, message.timestamp)]

    def _on_response_end(self, _message: wire.AiResponseEnd) -> Sequence[Effect]:
        if self._dropping:
            self._dead_text_due = False
            return [Later(RELEASE, "release")]
        if not self._open or self._ended:
            return []
        self._ended = True
        return [ReplyDone(self._reply)]

    def _on_audio_ready(self, message: wire.AudioReady) -> Sequence[Effect]:
        return [VendorRaw(message.TYPE, message.fields())]

    def _on_settings(self, message: wire.SettingsUpdated) -> Sequence[Effect]:
        return [SessionUpdated(message.settings)]

    def _on_interruption(self, _message: wire.Interruption) -> Sequence[Effect]:
        self._kill()
        return [Interrupted(self._reply), Later(RELEASE, "release")]

    def _on_task(self, message: wire.TaskMessage) -> Sequence[Effect]:
        return [TaskCreated(message.task)]

    def _on_error(self, message: wire.ErrorMessage) -> Sequence[Effect]:
        text = message.message or message.code
        if message.code == "UNAUTHORIZED":
            verdict = self._auth_verdict(f"Lira refused the token: {text}")
            return [*verdict.effects, Hangup(text)]
        if message.code == "SESSION_NOT_FOUND":
            return [
                SessionEnded(f"Lira does not know this meeting: check lira.meeting_id ({text})", Category.NOT_FOUND),
                Hangup(text),
            ]
        if message.code == "ALREADY_JOINED":
            return self._already_joined(text)
        if message.code == "RATE_LIMITED":
            self._slow = self._paused = True
            return [ServiceError(Category.RATE_LIMIT, message.code, text), Later(SLOW_PAUSE, "resume")]
        return [ServiceError(Category.SERVER, message.code, text)]

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

    # replies

    def _begin_reply(self) -> Sequence[Effect]:
        """A reply is coming in: give it an id unless it has one."""
        if self._open:
            return []
        self._open, self._ended = True, False
        self._reply += 1
        self._texts.clear()
        return [ReplyStarted(self._reply)]

    def _kill(self) -> None:
        """Nothing of the present reply is believed any more."""
        self._dead_text_due = not self._texts
        self._dropping = True
        self._open = False

    def _release(self) -> Sequence[Effect]:
        self._dropping = self._dead_text_due = self._open = False
        return []

    def _assistant_text(self, text: str) -> tuple[Sequence[Effect], bool]:
        """(effects, whether this text was shown before). A dead reply's late text does not bring it back to life."""
        if self._dropping:
            if self._dead_text_due:
                self._dead_text_due = False
                return [], True
            if text in self._texts:
                return [], True
            self._release()
        if text in self._texts and self._open:
            return [], True
        if self._ended:  # words after the end of a reply begin the next
            self._open = False
        started = self._begin_reply()
        self._texts.add(text)
        return started, False

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
        return [self._send(wire.Leave()), self._send(self._join())]

    def _json_ping(self) -> Sequence[Effect]:
        return [Send(dump({"type": "ping"})), Later(JSON_PING, "ping")]

    def _auth_verdict(self, message: str) -> Verdict:
        self._refused_token = self._token
        text = f"{message}; store a new one as the credential lira_token"
        return Verdict(retry=False, effects=(SessionEnded(text, Category.AUTH),))
