"""NextEVI's messages. Source: the vendor's WebSocket API reference; what its two published clients were seen to send
and to read beside is marked "field"."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from voicebox.wire import Message, dump

RATE = 24_000
"""Hz, both ways: s16le mono."""

Dialect = Literal["both", "documented", "sdk"]
"""How client messages are written: in the documented envelope; flat and without ids as the vendor's own clients do; or
documented, with the sound's format at the top of ``session_settings`` as well, where those clients put it."""

Envelope = Literal["data", "flat"]
"""Where the fields of server messages are: under ``data`` as documented, or beside ``type`` as the vendor's own clients
read them. ``payload`` is not NextEVI's."""


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else ""


def _unit(value: object) -> float | None:
    """A score from 0 to 1, or in per cent; None if it is neither."""
    number = _number(value)
    if number is None or number > 100:
        return None
    return number if number <= 1 else number / 100


def _number(value: object) -> float | None:
    """A number from 0 on; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _object(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [dict(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


# A field that says something beside is no reason to lose its message: what makes no sense there is as if it were not.
Text = Annotated[str, BeforeValidator(_text)]
Unit = Annotated[float | None, BeforeValidator(_unit)]
Number = Annotated[float | None, BeforeValidator(_number)]
Flag = Annotated[bool | None, BeforeValidator(_flag)]
Object = Annotated[dict[str, Any], BeforeValidator(_object)]


class Part(BaseModel):
    """An object within a message."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)


class TopLevel(Message):
    """Its fields stand beside ``type`` in every envelope."""


# --- client messages -----------------------------------------------------------------------------------------------


class Audio(Part):
    sample_rate: int = RATE
    channels: int = 1
    encoding: str = "linear16"


class EmotionDetection(Part):
    enabled: bool


class TurnDetection(Part):
    enabled: bool
    silence_threshold: float  # seconds


class SessionSettings(Message):
    TYPE: ClassVar[str] = "session_settings"
    emotion_detection: EmotionDetection | None = None
    turn_detection: TurnDetection | None = None
    audio: Audio = Audio()


class AudioInput(Message):
    TYPE: ClassVar[str] = "audio_input"
    audio: str = ""  # base64
    chunk_id: str | None = None


class KeepAlive(Message):
    TYPE: ClassVar[str] = "keep_alive"


class TextInput(TopLevel):
    """Field."""

    TYPE: ClassVar[str] = "text_input"
    text: str = ""


class Interrupt(TopLevel):
    """Field."""

    TYPE: ClassVar[str] = "interrupt"


# --- server messages -----------------------------------------------------------------------------------------------


class ConnectionMetadata(Message):
    TYPE: ClassVar[str] = "connection_metadata"
    connection_id: Text = ""
    status: Text = ""
    config: Object = Field(default_factory=dict)
    project_id: Text = ""
    config_id: Text = ""


class Transcription(Message):
    TYPE: ClassVar[str] = "transcription"
    transcript: str = ""
    confidence: Unit = None
    is_final: Flag = None
    is_speech_final: Flag = None
    session_id: Text = ""
    words: Annotated[list[dict[str, Any]], BeforeValidator(_objects)] = Field(default_factory=list)
    accumulated_transcript: Text = ""
    is_turn_incomplete: Flag = None
    original_fragment: Text = ""

    @property
    def text(self) -> str:
        """Of the whole turn, as far as it is known."""
        return self.accumulated_transcript or self.transcript

    @property
    def ends_turn(self) -> bool:
        if self.is_turn_incomplete:
            return False
        return bool(self.is_final if self.is_speech_final is None else self.is_speech_final)


class LlmResponseChunk(Message):
    TYPE: ClassVar[str] = "llm_response_chunk"
    content: str = ""
    is_final: Flag = None
    generation_id: Text = ""
    chunk_index: Annotated[int | None, BeforeValidator(lambda value: value if type(value) is int else None)] = None


class TtsChunk(TopLevel):
    TYPE: ClassVar[str] = "tts_chunk"
    content: str = Field(default="", repr=False)  # base64
    is_last: Flag = None  # field


class Emotion(Part):
    """Field: ``emotion`` and ``confidence`` or ``percentage`` (0 to 100) instead."""

    name: Text = Field(default="", validation_alias=AliasChoices("name", "emotion"))
    score: Unit = Field(default=None, validation_alias=AliasChoices("score", "confidence"))
    percentage: Number = None

    @property
    def strength(self) -> float | None:
        """0 to 1"""
        if self.score is None and self.percentage is not None and self.percentage <= 100:
            return self.percentage / 100
        return self.score


class EmotionUpdate(Message):
    TYPE: ClassVar[str] = "emotion_update"
    top_emotions: Annotated[list[Emotion], BeforeValidator(_objects)] = Field(default_factory=list)
    all_emotions: Any = None
    processing_time: Number = None  # seconds
    utterance_duration: Number = None  # seconds
    connection_id: Text = ""
    session_id: Text = ""

    @property
    def top(self) -> tuple[tuple[str, float], ...]:
        found = [(emotion.name, emotion.strength) for emotion in self.top_emotions if emotion.name]
        return tuple((name, strength) for name, strength in found if strength is not None)

    @property
    def scores(self) -> dict[str, float]:
        """All of them; field: a list like ``top_emotions``, or percentages."""
        if isinstance(self.all_emotions, list):
            return dict(EmotionUpdate(top_emotions=self.all_emotions).top)
        scores = {name: _unit(score) for name, score in _object(self.all_emotions).items()}
        return {name: score for name, score in scores.items() if score is not None}


class TurnStart(Message):
    TYPE: ClassVar[str] = "turn_start"
    turn_id: Text = ""


class TurnEnd(Message):
    TYPE: ClassVar[str] = "turn_end"
    turn_id: Text = ""
    duration: Number = None  # seconds
    is_complete: Flag = None


class TtsInterruption(TopLevel):
    TYPE: ClassVar[str] = "tts_interruption"
    content: Text = ""


class UserInterruption(TopLevel):
    """Field."""

    TYPE: ClassVar[str] = "user_interruption"


class Status(Message):
    TYPE: ClassVar[str] = "status"
    status: str = ""
    details: Object = Field(default_factory=dict)


class ErrorMessage(Message):
    TYPE: ClassVar[str] = "error"
    error_code: Text = ""
    error_message: Text = ""
    details: Any = None


class SystemMessage(Message):
    """Field. ``message_type``: initial, warning or hangup."""

    TYPE: ClassVar[str] = "system_message"
    content: Text = ""
    message_type: Text = ""


class IdleWarning(Message):
    """Field."""

    TYPE: ClassVar[str] = "idle_warning"
    time_remaining: Number = None  # seconds
    warning_type: Text = ""


class Disconnect(Message):
    """Field: the close code, before the close."""

    TYPE: ClassVar[str] = "websocket.disconnect"
    code: int = 1005
    reason: Text = ""


class TurnComplete(Message):
    """Field. ``turn_result``: is_complete, confidence, reasons, processing_time."""

    TYPE: ClassVar[str] = "turn_complete"
    turn_result: Any = None
    transcript: Text = ""


CLIENT_MESSAGES: dict[str, type[Message]] = {
    m.TYPE: m for m in (SessionSettings, AudioInput, KeepAlive, TextInput, Interrupt)
}
SERVER_MESSAGES: dict[str, type[Message]] = {
    m.TYPE: m
    for m in (
        ConnectionMetadata,
        Transcription,
        LlmResponseChunk,
        TtsChunk,
        EmotionUpdate,
        TurnStart,
        TurnEnd,
        TtsInterruption,
        UserInterruption,
        Status,
        ErrorMessage,
        SystemMessage,
        IdleWarning,
        Disconnect,
        TurnComplete,
    )
}


# --- writing -------------------------------------------------------------------------------------------------------


def encode(message: Message, dialect: Dialect, message_id: str, timestamp: float) -> str:
    """A client message as text, in the form the dialect asks for. ``timestamp``: Unix seconds."""
    settings = isinstance(message, SessionSettings)
    mirror = message.audio.model_dump() if isinstance(message, SessionSettings) else {}
    if dialect == "sdk":
        return dump({"type": message.TYPE} | (mirror if settings else message.fields()))
    envelope = {"type": message.TYPE, "timestamp": round(timestamp, 3), "message_id": message_id}
    if isinstance(message, TopLevel):
        return dump(envelope | message.fields())
    data = {"data": message.fields()} if message.fields() else {}
    return dump(envelope | data | (mirror if dialect == "both" else {}))


def encode_server_message(message: Message, envelope: Envelope, message_id: str, timestamp: float) -> str:
    """A server message as text, in the envelope asked for."""
    head = {"type": message.TYPE, "timestamp": round(timestamp, 3), "message_id": message_id}
    fields = message.fields()
    nested = envelope == "data" and not isinstance(message, TopLevel)
    return dump(head | ({"data": fields} if nested else fields))
