"""ZeebeeAI: whole utterances up, MP3 in numbered pieces down, all as JSON over one WebSocket.

Source: the vendor's WebSocket API page. It has no request ids, so one utterance is in flight at a time and whatever
comes answers that; it has no interruption, so what a cut reply still sends is dropped here until it is over."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field, ValidationError, field_validator

from voicebox.core.events import (
    Category,
    Event,
    ServiceError,
    ServiceStatus,
    SessionEnded,
    SessionReady,
    SessionUpdated,
    SessionWarning,
    Transcript,
    VendorRaw,
)
from voicebox.errors import AuthError, ConfigError
from voicebox.services._inflight import InFlight
from voicebox.services._private import Private
from voicebox.services._thread import Thread
from voicebox.services._utterances import Utterances
from voicebox.services._world import wall_clock
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
    check_url,
    retry_after,
)
from voicebox.wire import Message, flatten, is_json, parse_object, wav
from voicebox.wire import zeebee as wire

QUIET = 20.0  # seconds without a message until we ask
QUIETEST = 3  # times that, then the link is dead
ASK_AGAIN = 300.0  # seconds until refused credentials may be tried once more
CONVERSATION = "zeebee_conversation"  # of the Remember effects

_AUTH_TEXTS = ("invalid api key", "authentication required", "need to be logged in")
_COMPLAINTS = (  # what an error text holds -> code of the ServiceError
    ("no audio data", "audio"),
    ("invalid audio data", "audio"),
    ("transcribe audio", "stt"),
    ("text-to-speech", "tts"),
)
_CUES = {"audio": "please repeat", "stt": "please repeat", "tts": "the answer could not be spoken"}
_PRIVATE = {"api_key", "user_id", "audio_data", "data"}  # never in an event


class Settings(ServiceSettings):
    """``[zeebee]``"""

    SECRETS_ANY: ClassVar[tuple[str, ...]] = ("zeebee_api_key", "zeebee_user_id")

    url: str = Field(default="wss://zeebee.ai/ws", description="where to connect")
    conversation_id: str = Field(default="", description="a conversation to go on with; empty begins a new one")
    keep_conversation: bool = Field(default=False, description="go on with the last conversation after a restart, too")
    model: str = Field(default="gpt-4o", description="who answers")
    stt_provider: str = Field(default="openai", description="who understands speech")
    stt_model: str = Field(default="whisper-1", description="… with which model")
    tts_provider: str = Field(default="openai", description='who speaks: "openai", "elevenlabs"')
    tts_voice: str = Field(default="", description='with which voice; empty: "alloy", or "Rachel" of elevenlabs')
    tts_options: dict[str, Any] = Field(default_factory=dict, description="handed on to who speaks")
    language_code: str = Field(default="en-US", description=f"one of {', '.join(wire.LANGUAGES)}")
    client_info: dict[str, Any] = Field(default_factory=dict, description="told to the service about this box")
    dialect: wire.Dialect = Field(default="documented", description="how our messages are written")
    client_id: str = Field(default="voicebox", description="how this box names itself (python-sdk dialect)")
    allow_plain: bool = Field(default=False, description="permit ws:// to this machine itself")

    @field_validator("tts_options", "client_info")
    @classmethod
    def _writable(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not is_json(values):
            raise ValueError("holds a date, nan or inf, which cannot be sent as JSON")
        return values


_WORDS = ("model", "stt_provider", "stt_model", "tts_provider", "tts_voice", "language_code", "conversation")
_OPTIONS: dict[str, type] = dict.fromkeys(_WORDS, str) | {"tts_options": dict}
"""What may be changed from one utterance to the next."""


class Service(Adapter):
    """ZeebeeAI's protocol as a state machine without I/O. See services/base.py for what each method promises."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        name="zeebee",
        streams=False,
        server_interrupts=False,
        resumes=True,
        downlink="MP3 (or WAV, Ogg, FLAC) in base64 pieces",
        auth="API key or user id in the first message",
        lead=0.3,  # it advises to begin once this much is decoded
        max_message=2**22,
    )

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = wall_clock) -> None:
        """``clock`` tells Unix seconds, for the timestamps of pings."""
        self._settings = settings
        self._clock = clock
        self._options: dict[str, Any] = {name: getattr(settings, name) for name in _OPTIONS if name != "conversation"}
        self._identity: dict[str, str] = {}
        self._private = Private(_PRIVATE)
        self._dialled_at = self._refused_at = 0.0  # Unix seconds
        self._refused = ""
        self._thread = Thread(settings.conversation_id, CONVERSATION if settings.keep_conversation else None)
        self._flight = InFlight()
        self._utterances = Utterances()
        self.malformed = 0
        self._forget()

    def _forget(self) -> None:
        """A new connection knows nothing of the last; what was said to that one is stale."""
        self._ready = False
        self._utterances.forget()
        self._flight.forget()
        self._quiet = 0  # stretches without a message
        self._leaving = ""  # why we will redial when nothing is in flight

    # connection

    def dial(self, credentials: Mapping[str, str], now: float) -> tuple[Dial, Sequence[Effect]]:
        self._forget()
        check_url(self._settings.url, "zeebee", allow_plain=self._settings.allow_plain)
        found = {name: credentials.get(f"zeebee_{name}", "") for name in ("api_key", "user_id")}
        name, secret = next(((name, secret) for name, secret in found.items() if secret), ("", ""))
        if not secret:
            raise AuthError("no credentials for ZeebeeAI: store one of zeebee_api_key and zeebee_user_id")
        if secret == self._refused and abs(now - self._refused_at) < ASK_AGAIN:
            raise AuthError(f"ZeebeeAI refused this before: store a new one as the credential zeebee_{name}")
        self._identity, self._dialled_at = {name: secret}, now
        self._private.add(*found.values())
        self._thread.recall(credentials)
        return Dial(self._settings.url), _language_warnings(self._options["language_code"])

    def refused(self, status: int, headers: Mapping[str, str]) -> Verdict:
        if status in (401, 403):
            return self._auth_verdict(f"HTTP {status}")
        if not 400 <= status < 500 or status in (408, 425, 429):  # below 400: a captive portal, not the service
            return Verdict(retry=True, server_side=True, retry_after=retry_after(headers))
        ended = SessionEnded(f"ZeebeeAI answered HTTP {status}: check zeebee.url", Category.CONFIG)
        return Verdict(retry=False, effects=(ended,))

    def opened(self) -> Sequence[Effect]:
        own_name = {"user_id": self._settings.client_id} if self._names_itself else {}
        init = wire.Init(
            conversation_id=self._thread.id or None,
            model=self._options["model"],
            client_info=self._settings.client_info | self._own_names(sdk="voicebox"),
            **own_name | self._identity,
        )
        return [Send(wire.encode(init)), Later(QUIET, "quiet")]

    def closed(self, code: int, reason: str) -> Verdict:
        if code == 1000:
            return Verdict(retry=False, effects=(SessionEnded("ZeebeeAI has ended the session"),))
        if code in (4401, 4403):
            return self._auth_verdict(reason or str(code))
        if code >= 3000:
            text = f"ZeebeeAI ended the session: {self._private.clean(reason) or code}"
            return Verdict(retry=False, effects=(SessionEnded(text, Category.SERVER),))
        return Verdict(retry=True, server_side=code != 1006, retry_after=60.0 if code == 1008 else 0.0)

    def later(self, key: str) -> Sequence[Effect]:
        timers: dict[str, Callable[[], Sequence[Effect]]] = {
            "quiet": self._on_quiet,
            "answer": self._flight.timed_out,
            "leave": self._leave,
        }
        return self._and_next(timers[key]()) if key in timers else []

    def goodbye(self) -> Sequence[Effect]:
        """There is no such message."""
        return []

    # uplink

    def audio_start(self) -> Sequence[Effect]:
        if self._ready:
            self._utterances.start()
        return []

    def audio(self, pcm: bytes) -> Sequence[Effect]:
        self._utterances.add(pcm)
        return []

    def audio_stop(self) -> Sequence[Effect]:
        if not self._utterances.recording:
            return []
        effects: list[Effect] = [*self._utterances.stop()]
        effects += self._next() or self._flight.unheard()
        return [*effects, *self._utterances.limit()]

    def cancel(self, reply_id: int) -> Sequence[Effect]:
        """ZeebeeAI knows no such message: what is still on its way is dropped, and what waited is no longer wanted."""
        self._utterances.drop_waiting()
        self._flight.cancelled(reply_id)
        return []

    def text(self, text: str) -> Sequence[Effect]:  # noqa: ARG002  # it is not even read
        raise ConfigError("ZeebeeAI takes no written text, only speech")

    def settings(self, values: Mapping[str, Any]) -> Sequence[Effect]:
        """``conversation``: "new", or the id of one to go on with; the other keys hold from the next utterance on."""
        changes = dict(values)
        wrong = [name for name, value in changes.items() if not (_is_a(value, _OPTIONS.get(name)) and is_json(value))]
        if wrong:
            known = ", ".join(f"{name} ({kind.__name__})" for name, kind in _OPTIONS.items())
            raise ConfigError(
                f"ZeebeeAI's setting {', '.join(wrong)}: there is none, or of another kind; it has {known}"
            )
        effects: list[Effect] = [SessionUpdated(dict(changes))]
        wanted = changes.pop("conversation", None)
        if wanted is not None:
            effects += self._thread.change("" if wanted == "new" else wanted)
        self._options |= changes
        return [*effects, *_language_warnings(changes.get("language_code", wire.LANGUAGES[0]))]

    # downlink

    def received(self, message: str | bytes) -> Sequence[Effect]:
        self._quiet = 0
        return [*self._and_next(self._understand(message)), Later(QUIET, "quiet")]

    def _understand(self, message: str | bytes) -> Sequence[Effect]:
        if isinstance(message, bytes):
            return self._flight.chunk(base64.b64encode(message).decode(), None, None)
        parsed = parse_object(message)
        if parsed is None:
            self.malformed += 1
            return [SessionWarning("malformed", f"ZeebeeAI sent {len(message)} characters that are not a JSON object")]
        fields = flatten(parsed)
        kind = fields.pop("type", "")
        kind = kind if isinstance(kind, str) else ""
        model = wire.SERVER_MESSAGES.get(kind) or wire.ALIASES.get(kind)
        if model is None:
            return [self._raw(kind, parsed)]
        try:
            read = model.model_validate({key: value for key, value in fields.items() if value is not None})
        except ValidationError:
            self.malformed += 1
            return [self._raw(kind, parsed)]
        effects: Sequence[Effect] = self._HANDLERS[model](self, read)
        return effects

    def _on_established(self, message: wire.Established) -> Sequence[Effect]:
        return [ServiceStatus(message.TYPE, self._private.scrub(message.fields()))]

    def _on_ack(self, message: wire.InitAck) -> Sequence[Effect]:
        self._private.add(message.user_id)  # lets anybody in who knows it
        if self._ready:
            return []
        self._ready = True
        return [SessionReady()]

    def _on_transcript(self, message: wire.Transcription) -> Sequence[Effect]:
        if self._flight.dead:
            return [self._raw(message.TYPE, message.fields())]
        return [Transcript("user", self._private.clean(message.text)), *self._flight.patience()]

    def _on_response(self, message: wire.Response) -> Sequence[Effect]:
        effects: list[Effect] = [*self._thread.named(message.conversation_id, self._flight.conversation)]
        if self._flight.dead:
            return [*effects, self._raw(message.TYPE, message.fields())]
        return [*effects, *self._flight.words(self._private.clean(message.text))]

    def _on_status(self, message: wire.Status) -> Sequence[Effect]:
        return [ServiceStatus(self._private.clean(message.status), self._private.scrub(message.model_extra or {}))]

    def _on_tts_error(self, message: wire.TtsError) -> Sequence[Effect]:
        return [self._complaint(message.message, "tts"), *self._flight.unspoken()]

    def _on_error(self, message: wire.Error) -> Sequence[Effect]:
        text = message.message.lower()
        refused = any(known in text for known in _AUTH_TEXTS)
        if refused or not self._ready:
            verdict = self._auth_verdict(message.message, for_sure=refused)
            return [*verdict.effects, Hangup(self._private.clean(message.message))]
        code = next((code for known, code in _COMPLAINTS if known in text), "")
        complaint = self._complaint(message.message, code)
        if code == "tts":
            return [complaint, *self._flight.unspoken()]
        failed = code or not self._flight.begun
        return [complaint, *(self._flight.over() if failed else [])]

    def _on_warning(self, message: wire.ConnectionWarning) -> Sequence[Effect]:
        text = self._private.clean(message.message) or "ZeebeeAI thinks that nobody is here"
        effects: list[Effect] = [self._ping(), SessionWarning("inactivity", text)]
        if message.reconnect_required:
            self._leaving = text
            effects.append(Later(message.time_remaining / 2, "leave"))  # if it cannot be before
        return effects

    def _on_ping(self, message: wire.Ping) -> Sequence[Effect]:
        return [Send(wire.encode(wire.Pong(ping_id=message.ping_id, timestamp=self._timestamp())))]

    _HANDLERS: ClassVar[dict[type[Message], Any]] = {
        wire.Established: _on_established,
        wire.InitAck: _on_ack,
        wire.Transcription: _on_transcript,
        wire.Response: _on_response,
        wire.Status: _on_status,
        wire.StreamStart: lambda self, m: self._flight.stream_begins(m.total_chunks),
        wire.Chunk: lambda self, m: self._flight.chunk(m.data, m.chunk_index, m.total_chunks),
        wire.StreamEnd: lambda self, _: self._flight.stream_ends(),
        wire.TtsError: _on_tts_error,
        wire.Error: _on_error,
        wire.ConnectionWarning: _on_warning,
        wire.Ping: _on_ping,
        wire.Pong: lambda *_: [],  # that it came is all there is to know
    }

    # the rest

    def _and_next(self, effects: Sequence[Effect]) -> list[Effect]:
        over = any(isinstance(effect, Hangup) for effect in effects)
        return [*effects, *([] if over else self._next())]

    def _next(self) -> Sequence[Effect]:
        """Once nothing is in flight, what waited for that has its turn."""
        if self._flight.busy:
            return []
        pcm = self._utterances.take()
        if pcm:
            return self._send_utterance(pcm)
        return [] if self._utterances.recording else self._leave()

    def _send_utterance(self, pcm: bytes) -> Sequence[Effect]:
        options = dict(self._options)
        stt_options = {"model": options.pop("stt_model")}
        message = wire.Audio(
            audio_data=base64.b64encode(wav.pack(pcm, self.capabilities.uplink_rate)).decode(),
            conversation_id=self._thread.id or None,
            stt_options=None if self._names_itself else stt_options,
            user_id=self._settings.client_id if self._names_itself else None,
            **options | {"tts_voice": options["tts_voice"] or wire.default_voice(options["tts_provider"])},
        )
        return [Send(wire.encode(message), is_audio=True), *self._flight.sent(self._thread.number)]

    def _on_quiet(self) -> Sequence[Effect]:
        self._quiet += 1
        if self._quiet >= QUIETEST:
            return [Hangup(f"ZeebeeAI has been silent for {QUIET * QUIETEST:.0f} s", retry=True)]
        return [self._ping(), Later(QUIET, "quiet")]

    def _leave(self) -> Sequence[Effect]:
        return [Hangup(self._leaving, retry=True)] if self._leaving else []

    def _ping(self) -> Send:
        return Send(wire.encode(wire.Ping(timestamp=self._timestamp(), client_id=self._own_names().get("client_id"))))

    def _timestamp(self) -> int:
        return int(self._clock() * (1 if self._names_itself else 1000))

    @property
    def _names_itself(self) -> bool:
        return self._settings.dialect == "python-sdk"

    def _own_names(self, **more: str) -> dict[str, str]:
        return {"client_id": self._settings.client_id} | more if self._names_itself else {}

    def _complaint(self, text: str, code: str) -> ServiceError:
        return ServiceError(
            Category.SERVER, code, f"{_CUES.get(code, 'ZeebeeAI complains')}: {self._private.clean(text)}"
        )

    def _auth_verdict(self, said: str, *, for_sure: bool = True) -> Verdict:
        """``for_sure``: the same credentials need not be tried again soon, whoever asks."""
        name, secret = next(iter(self._identity.items()))
        if for_sure:
            self._refused, self._refused_at = secret, self._dialled_at
        said = self._private.clean(said)
        text = f"ZeebeeAI refused the credentials: {said}; store a new one as the credential zeebee_{name}"
        return Verdict(retry=False, effects=(SessionEnded(text, Category.AUTH),))

    def _raw(self, kind: str, message: Mapping[str, Any]) -> Event:
        return VendorRaw(self._private.clean(kind), self._private.scrub(message))


def _is_a(value: object, kind: type | None) -> bool:
    return kind is not None and isinstance(value, kind)


def _language_warnings(language: str) -> list[Effect]:
    if language in wire.LANGUAGES:
        return []
    known = ", ".join(wire.LANGUAGES)
    return [SessionWarning("language", f"ZeebeeAI may not know the language {language!r}; it names: {known}")]
