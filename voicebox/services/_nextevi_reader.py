"""What NextEVI's messages mean."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import ValidationError

from voicebox.core.events import (
    Category,
    EmotionUpdated,
    ReplyAudio,
    ServiceError,
    ServiceStatus,
    SessionReady,
    SessionUpdated,
    SessionWarning,
    Transcript,
    TurnEnded,
    TurnStarted,
    VendorRaw,
)
from voicebox.redact import redact
from voicebox.services._generations import Replies
from voicebox.services._scrub import scrubbed
from voicebox.services.base import Effect, Sound
from voicebox.wire import Message, flatten, parse_object, wav
from voicebox.wire import nextevi as wire

_EXPECTED = {"sample_rate": wire.RATE, "channels": 1, "encoding": "linear16"}
_CATEGORIES = (
    ("RATE", Category.RATE_LIMIT),
    ("LIMIT", Category.RATE_LIMIT),
    ("AUTH", Category.AUTH),
    ("ACCESS", Category.AUTH),
    ("NOT_FOUND", Category.NOT_FOUND),
    ("INVALID_PROJECT", Category.CONFIG),
)
"""By parts of error codes; the vendor names but a few of them."""


class Reader:
    """One instance lives as long as the adapter; ``forget`` begins a new connection."""

    def __init__(self) -> None:
        self.replies = Replies()
        self.malformed = self.bad_audio = self.odd_bytes = 0
        self.forget()

    def forget(self, connection_id: str = "", secrets: Sequence[str] = ()) -> None:
        """``secrets``: what the service may quote back at us."""
        self.connection_id = connection_id
        self.ready = False
        self.turn_over = False  # the user was understood; to be reset when speech begins
        self.announced: tuple[int, str] | None = None  # the close that is to come
        self._secrets = tuple(secrets)
        self._message_id = ""
        self.replies.forget()

    def read(self, message: str | bytes) -> Sequence[Effect]:
        """Never raises, whatever it holds."""
        if isinstance(message, bytes):
            return [VendorRaw("", {"binary": len(message)})]
        parsed = parse_object(message)
        if parsed is None:
            self.malformed += 1
            return [SessionWarning("malformed", f"NextEVI sent {len(message)} characters that are not a JSON object")]
        parsed = scrubbed(parsed, self._without_secrets)
        fields = flatten(parsed)
        kind = fields.pop("type", "")
        model = wire.SERVER_MESSAGES.get(kind) if isinstance(kind, str) else None
        if model is None or model not in self._READERS:
            return [VendorRaw(kind if isinstance(kind, str) else "", parsed)]
        try:
            read = model.model_validate({key: value for key, value in fields.items() if value is not None})
        except ValidationError:
            self.malformed += 1
            return [VendorRaw(model.TYPE, parsed)]
        self._message_id = str(fields.get("message_id", ""))
        effects: Sequence[Effect] = self._READERS[model](self, read)
        return effects

    def be_ready(self) -> Sequence[Effect]:
        """Speech may flow: the service says so, or says nothing at all."""
        if self.ready:
            return []
        self.ready = True
        return [SessionReady(self.connection_id)]

    def clean(self, text: str) -> str:
        """Without secrets, ours or shaped like one."""
        return redact(self._without_secrets(text))

    def _without_secrets(self, text: str) -> str:
        """A service may quote our own key back at us, anywhere."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _which(self) -> str:
        """For whoever looks this up with the vendor."""
        ids = {"message": self._message_id, "connection": self.connection_id}
        return ", ".join(f"{name} {value}" for name, value in ids.items() if value)

    # the session

    def _metadata(self, message: wire.ConnectionMetadata) -> Sequence[Effect]:
        self.connection_id = message.connection_id or self.connection_id
        config = {key: value for key, value in message.config.items() if key in _EXPECTED}
        wrong = {key: value for key, value in config.items() if value != _EXPECTED[key]}
        warnings = [SessionWarning("format", f"NextEVI announces {_words(wrong)}; this box speaks {_words(_EXPECTED)}")]
        return [SessionUpdated(message.fields()), *(warnings if wrong else ())]

    def _status(self, message: wire.Status) -> Sequence[Effect]:
        details = scrubbed(message.details, redact)
        effects: list[Effect] = [ServiceStatus(message.status, details)]
        if isinstance(details.get("session_settings"), Mapping):
            effects.append(SessionUpdated(details["session_settings"]))
        if message.status == "error":
            text = f"NextEVI reports a state of error ({self._which()})"
            effects.append(ServiceError(Category.SERVER, "status", text, details))
        return [*effects, *(self.be_ready() if message.status == "ready" else ())]  # last: speech follows it

    def _error(self, message: wire.ErrorMessage) -> Sequence[Effect]:
        """The session lives, unless the service closes it."""
        code = self.clean(message.error_code)
        category = next((found for part, found in _CATEGORIES if part in code.upper()), Category.SERVER)
        given = message.details if isinstance(message.details, dict | None) else {"details": message.details}
        details = scrubbed(given or {}, redact)
        text = f"{self.clean(message.error_message) or code or 'NextEVI reports an error'} ({self._which()})"
        return [ServiceError(category, code, text, details)]

    def _system(self, message: wire.SystemMessage) -> Sequence[Effect]:
        return [SessionWarning(message.message_type or "system", self.clean(message.content))]

    def _idle(self, message: wire.IdleWarning) -> Sequence[Effect]:
        when = "soon" if message.time_remaining is None else f"in {message.time_remaining:g} s"
        kind = f" ({message.warning_type})" if message.warning_type else ""
        return [SessionWarning("idle", f"NextEVI hangs up {when} if nobody speaks{kind}")]

    def _disconnect(self, message: wire.Disconnect) -> Sequence[Effect]:
        self.announced = message.code, message.reason
        return [SessionWarning("disconnect", f"NextEVI will close with {message.code}: {self.clean(message.reason)}")]

    # the user

    def _transcription(self, message: wire.Transcription) -> Sequence[Effect]:
        if message.ends_turn and message.text.strip():
            self.turn_over = True
            self.replies.turn_over()
        said, final = message.fields(), message.ends_turn
        return [Transcript("user", message.text, timestamp=str(said.get("timestamp", "")), final=final, details=said)]

    def _turn_start(self, message: wire.TurnStart) -> Sequence[Effect]:
        return [TurnStarted(message.turn_id)]

    def _turn_end(self, message: wire.TurnEnd) -> Sequence[Effect]:
        return [TurnEnded(message.turn_id, message.duration, message.is_complete)]

    def _emotions(self, message: wire.EmotionUpdate) -> Sequence[Effect]:
        times = message.processing_time, message.utterance_duration
        return [EmotionUpdated(message.top, message.scores, *times, message.connection_id, message.session_id)]

    # the reply

    def _words(self, message: wire.LlmResponseChunk) -> Sequence[Effect]:
        return self.replies.words(
            message.generation_id, message.content, message.chunk_index, final=bool(message.is_final)
        )

    def _tts(self, message: wire.TtsChunk) -> Sequence[Effect]:
        try:
            effects = self._sound(_decode(message.content)) if message.content else []
        except ValueError as error:  # its length would be a guess: left out whole
            self.bad_audio += 1
            left_out = f"a piece of the reply is left out: {error} ({self.bad_audio} so far; {self._which()})"
            effects = [SessionWarning("audio", left_out)]
        return [*effects, *(self.replies.end() if message.is_last else ())]

    def _sound(self, data: bytes) -> Sequence[Effect]:
        if not wav.is_wav(data):
            self.odd_bytes += len(data) % 2
            return self._pcm(data[: len(data) - len(data) % 2])
        sound = wav.read(data)
        if sound.is_pcm(wire.RATE):
            return self._pcm(sound.data)
        if not sound.data:
            return []
        blob = wav.pack(sound.data, sound.rate, sound.channels, sound.bits, sound.encoding)
        seconds = 8 * len(sound.data) / (sound.rate * sound.channels * sound.bits)
        return self.replies.sound(len(sound.data), seconds, lambda reply: Sound(reply, blob, whole=True))

    def _pcm(self, pcm: bytes) -> Sequence[Effect]:
        if not pcm:
            return []
        return self.replies.sound(len(pcm), len(pcm) / 2 / wire.RATE, lambda reply: ReplyAudio(reply, pcm))

    def _interruption(self, _message: Message) -> Sequence[Effect]:
        return self.replies.interrupted()

    _READERS: ClassVar[dict[type[Message], Any]] = {
        wire.ConnectionMetadata: _metadata,
        wire.Status: _status,
        wire.ErrorMessage: _error,
        wire.SystemMessage: _system,
        wire.IdleWarning: _idle,
        wire.Disconnect: _disconnect,
        wire.Transcription: _transcription,
        wire.TurnStart: _turn_start,
        wire.TurnEnd: _turn_end,
        wire.EmotionUpdate: _emotions,
        wire.LlmResponseChunk: _words,
        wire.TtsChunk: _tts,
        wire.TtsInterruption: _interruption,
        wire.UserInterruption: _interruption,
    }


def _words(values: Mapping[str, Any]) -> str:
    return redact(", ".join(f"{key} {value}" for key, value in values.items()))


def _decode(content: str) -> bytes:
    """Base64, also with the other two letters and across lines. Raises ValueError."""
    text = "".join(content.split()).translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None
