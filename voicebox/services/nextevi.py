"""NextEVI: JSON and PCM at 24 kHz over one WebSocket; the service detects turns, interruptions and emotions.

Source: the vendor's WebSocket API reference. Where it is silent or its published clients differ, both readings are
accepted: fields under ``data`` or beside ``type``; text as additions or as the whole so far; sound as WAV or bare PCM.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlencode

from pydantic import Field, ValidationError

from voicebox.core.events import ReplyStarted, SessionWarning
from voicebox.errors import AuthError, ConfigError
from voicebox.services._nextevi_ends import Closes, refusal
from voicebox.services._nextevi_reader import Reader
from voicebox.services._world import new_uuid, wall_clock
from voicebox.services.base import (
    Adapter,
    Capabilities,
    Dial,
    Effect,
    Later,
    Rate,
    Send,
    ServiceSettings,
    Verdict,
    check_expiry,
    check_url,
)
from voicebox.wire import Message
from voicebox.wire import nextevi as wire

READY_AFTER = 1.0  # seconds from our settings until we speak, where no "ready" comes
ASK_AGAIN = 300.0  # seconds until a refused credential may be tried once more, if somebody asks
MAX_CHUNK = 720_000  # bytes of sound in one message: below 1 MB in base64, too
TAIL = 0.25  # seconds of silence beyond the threshold, so that the service notices the end of a turn
CHANGEABLE = ("emotion_detection", "turn_detection", "silence_threshold")
"""Settings of the session itself."""


class Settings(ServiceSettings):
    """``[nextevi]``"""

    SECRETS_ANY: ClassVar[tuple[str, ...]] = ("nextevi_api_key", "nextevi_jwt")

    url: str = Field(default="wss://api.nextevi.com/ws/voice", description="where to connect")
    config_id: str = Field(default="", description="the voice configuration of NextEVI's dashboard (required)")
    project_id: str = Field(default="", description="the project, where the configuration does not tell")
    jwt_in: Literal["header", "query"] = Field(default="header", description="where the credential nextevi_jwt is sent")
    emotion_detection: bool = Field(default=True, description="have emotions detected in what is said")
    turn_detection: bool = Field(default=True, description="have the end of what is said detected")
    silence_threshold: float = Field(default=0.5, gt=0, le=10, description="seconds of silence that end a turn")
    dialect: wire.Dialect = Field(default="both", description="how our messages are written")
    uplink: Literal["binary", "base64"] = Field(default="binary", description="how sound is sent")
    send_interrupt: bool = Field(default=False, description="tell the service of interruptions here (undocumented)")
    text_input: bool = Field(default=False, description="permit written turns (undocumented)")
    keep_alive_s: float = Field(default=30.0, ge=5, le=600, description="seconds without sound until a sign of life")
    allow_plain: bool = Field(default=False, description="permit ws:// to this machine itself")


# --- the adapter ---------------------------------------------------------------------------------------------------


class Service(Adapter):
    """NextEVI's protocol as a state machine without I/O. See services/base.py for what each method promises."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        name="nextevi",
        uplink_rate=wire.RATE,
        uplink_chunk=2_880,  # 120 ms
        user_partials=True,
        assistant_text="streamed",
        emotions=True,
        downlink="WAV or PCM 24 kHz in base64",
        auth="API key in the address, or JWT",
        lead=0.2,  # its checklist: no under-run at 200 ms of jitter
        session_limit=3600.0,
        max_message=2**22,
        rates=(Rate("audio", 1000, 60.0), Rate("text", 100, 60.0), Rate("any", 100, 1.0)),
    )

    def __init__(
        self,
        settings: Settings,
        *,
        new_id: Callable[[], str] = new_uuid,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        """``new_id`` makes a UUID v4, ``clock`` tells Unix seconds."""
        self._settings = settings
        self._new_id = new_id
        self._clock = clock
        self._reader = Reader()
        self._closes = Closes()
        self._changed: dict[str, Any] = {}  # by ``settings``
        self._credential = ""
        self._dialled_at = 0.0  # Unix seconds
        self._refused = ("", 0.0)  # the credential, and when
        if settings.text_input:
            self.capabilities = replace(self.capabilities, text_input=True)  # type: ignore[misc]  # here settings decide
        self._forget()

    @property
    def dropped_bytes(self) -> int:
        """Late sound of dead replies, never handed on."""
        return self._reader.replies.dropped_bytes

    @property
    def malformed(self) -> int:
        """Messages that could not be read."""
        return self._reader.malformed

    @property
    def bad_audio(self) -> int:
        """Pieces of sound that could not be read, and were left out."""
        return self._reader.bad_audio

    @property
    def odd_bytes(self) -> int:
        """Half samples, left out."""
        return self._reader.odd_bytes

    def _forget(self) -> None:
        """A new connection knows nothing of the last."""
        self._streaming = self._flowed = False
        self._chunks = 0  # of sound, sent
        self._reader.forget()

    # connection

    def dial(self, credentials: Mapping[str, str], now: float) -> tuple[Dial, Sequence[SessionWarning]]:
        self._forget()
        settings = self._settings
        if not settings.config_id:
            raise ConfigError("nextevi.config_id is not set: NextEVI's dashboard shows it")
        check_url(settings.url, "nextevi", allow_plain=settings.allow_plain)
        query, headers, warnings = self._sign(credentials, now)
        if self._refused[0] == self._credential and abs(now - self._refused[1]) < ASK_AGAIN:
            raise AuthError("NextEVI refused this credential before: store another nextevi_api_key or nextevi_jwt")
        self._dialled_at = now
        connection_id = self._new_id()
        self._reader.forget(connection_id, (self._credential, quote(self._credential, safe="")))
        query["config_id"] = settings.config_id
        if settings.project_id:
            query["project_id"] = settings.project_id
        base, _, more = settings.url.partition("?")
        asked = "&".join(filter(None, (more, urlencode(query, quote_via=quote, safe=""))))
        return Dial(f"{base.rstrip('/')}/{connection_id}?{asked}", headers), warnings

    def _sign(
        self, credentials: Mapping[str, str], now: float
    ) -> tuple[dict[str, str], dict[str, str], Sequence[SessionWarning]]:
        """(query, headers, warnings)"""
        key, token = (credentials.get(name, "") for name in Settings.SECRETS_ANY)
        _check(key, token)
        self._credential = key or token.removeprefix("Bearer ")
        if key:
            return {"api_key": key}, {}, []
        bearer, warnings = f"Bearer {self._credential}", check_expiry(self._credential, "nextevi_jwt", now)
        if self._settings.jwt_in == "query":
            return {"authorization": bearer}, {}, warnings
        return {}, {"Authorization": bearer}, warnings

    def refused(self, status: int, headers: Mapping[str, str]) -> Verdict:
        if status == 401:
            self._refused = self._credential, self._dialled_at
        return refusal(status, headers, f"connection {self._reader.connection_id}")

    def opened(self) -> Sequence[Effect]:
        settings = self._send(self._session_settings())
        return [settings, Later(READY_AFTER, "ready"), Later(self._settings.keep_alive_s, "keep_alive")]

    def closed(self, code: int, reason: str) -> Verdict:
        if self._reader.announced is not None and code in (1000, 1005, 1006):
            code, reason = self._reader.announced
        if code == 4001:
            self._refused = self._credential, self._dialled_at
        reason = self._reader.clean(reason)
        said = ", ".join(filter(None, (reason, f"connection {self._reader.connection_id}")))
        return self._closes.verdict(code, reason, said)

    def received(self, message: str | bytes) -> Sequence[Effect]:
        effects = self._reader.read(message)
        if any(isinstance(effect, ReplyStarted) for effect in effects):
            self._closes.settled()
        return effects

    def later(self, key: str) -> Sequence[Effect]:
        timers = {"ready": self._reader.be_ready, "keep_alive": self._keep_alive}
        return timers[key]() if key in timers else self._reader.replies.expired(key)

    def goodbye(self) -> Sequence[Effect]:
        """The close itself is all there is."""
        return []

    # uplink

    def audio_start(self) -> Sequence[Effect]:
        self._streaming = True
        self._reader.turn_over = False
        return []

    def audio(self, pcm: bytes) -> Sequence[Effect]:
        if not self._streaming:
            return []
        self._flowed = True
        return [self._sound(pcm[at : at + MAX_CHUNK]) for at in range(0, len(pcm), MAX_CHUNK)]

    def audio_stop(self) -> Sequence[Effect]:
        if not self._streaming:
            return []
        self._streaming = self._flowed = False
        return [*self._silence(), Later(self._settings.keep_alive_s, "keep_alive")]

    def _silence(self) -> Sequence[Effect]:
        """The service waits for silence to end the turn, and none comes from a microphone that was closed."""
        if self._reader.turn_over or not self._chunks:
            return []
        left = round((self._now_set.silence_threshold + TAIL) * wire.RATE)
        whole, rest = divmod(left, self.capabilities.uplink_chunk)
        sizes = [self.capabilities.uplink_chunk] * whole + [rest] * bool(rest)
        return [self._sound(bytes(2 * size)) for size in sizes]

    def _sound(self, pcm: bytes) -> Send:
        self._chunks += 1
        if self._settings.uplink == "binary":
            return Send(pcm, is_audio=True)
        message = wire.AudioInput(audio=base64.b64encode(pcm).decode(), chunk_id=f"chunk-{self._chunks:03}")
        return replace(self._send(message), is_audio=True)

    def text(self, text: str) -> Sequence[Effect]:
        if not self._settings.text_input:
            raise ConfigError(
                "NextEVI takes no written turns (there is an undocumented way: nextevi.text_input = true)"
            )
        return [self._send(wire.TextInput(text=text))]

    def settings(self, values: Mapping[str, Any]) -> Sequence[Effect]:
        """``emotion_detection``, ``turn_detection``, ``silence_threshold``; they stay until the box restarts."""
        unknown = sorted(set(values) - set(CHANGEABLE))
        if unknown:
            raise ConfigError(f"NextEVI's session has no {unknown[0]!r}; it has: {', '.join(CHANGEABLE)}")
        try:
            Settings.model_validate(dict(values))
        except ValidationError as error:
            raise ConfigError(*(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())) from None
        self._changed |= values
        return [self._send(self._session_settings())]

    def cancel(self, reply_id: int) -> Sequence[Effect]:
        del reply_id  # whatever is on its way is of this reply or an older one
        told = [self._send(wire.Interrupt())] if self._settings.send_interrupt else []
        return [*told, *self._reader.replies.cancelled()]

    # messages

    @property
    def _now_set(self) -> Settings:
        return Settings.model_validate(self._settings.model_dump() | self._changed)

    def _session_settings(self) -> wire.SessionSettings:
        wanted = self._now_set
        return wire.SessionSettings(
            emotion_detection=wire.EmotionDetection(enabled=wanted.emotion_detection),
            turn_detection=wire.TurnDetection(
                enabled=wanted.turn_detection, silence_threshold=wanted.silence_threshold
            ),
        )

    def _keep_alive(self) -> Sequence[Effect]:
        """Only where nothing else shows that we are there."""
        quiet, self._flowed = not self._flowed, False
        sign = [self._send(wire.KeepAlive())] if quiet else []
        return [*sign, Later(self._settings.keep_alive_s, "keep_alive")]

    def _send(self, message: Message) -> Send:
        return Send(wire.encode(message, self._settings.dialect, self._new_id(), self._clock()))


def _check(key: str, token: str) -> None:
    """Raise AuthError or ConfigError unless exactly one of the two is there, and can be sent."""
    if not key and not token:
        raise AuthError("no credential for NextEVI: store nextevi_api_key (or nextevi_jwt instead)")
    if key and token:
        raise ConfigError("both nextevi_api_key and nextevi_jwt are stored, NextEVI takes one: delete the other")
    if key and not key.startswith("oak_"):
        raise ConfigError("the credential nextevi_api_key is none of NextEVI's keys: those begin with oak_")
    if not (key + token).isascii() or not (key + token).isprintable():
        name = "nextevi_api_key" if key else "nextevi_jwt"
        raise ConfigError(f"the credential {name} is not one line of plain text: store it anew")
