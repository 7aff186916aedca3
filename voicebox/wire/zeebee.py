"""ZeebeeAI's messages. Source: the vendor's WebSocket API page; aliases are what its published client uses."""

from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field, field_validator

from voicebox.wire import Message, dump

Dialect = Literal["documented", "python-sdk"]
"""How client messages are written: as documented, or as the vendor's Python client does, which names itself and its
user in every message, leaves out the options of speech recognition and counts time in seconds."""

LANGUAGES = ("en-US", "en-GB", "es-ES", "fr-FR", "de-DE", "it-IT", "pt-BR", "ja-JP", "ko-KR", "zh-CN")

INVALID_KEY = "Invalid API key. Please check your credentials."
NO_CREDENTIALS = "Authentication required. Provide a valid user ID or API key."
UNKNOWN_USER = "You need to be logged in to use voice chat. Please login or register first."
NO_AUDIO = "No audio data received. Please try recording again."
BAD_AUDIO = "Invalid audio data format. Please try again."
NOT_UNDERSTOOD = "Could not transcribe audio. Please try again."
NOT_SPOKEN = "Text-to-speech conversion failed with provider {}."


def default_voice(tts_provider: str) -> str:
    return "Rachel" if tts_provider.lower() == "elevenlabs" else "alloy"


# --- from the client -----------------------------------------------------------------------------------------------


class Init(Message):
    TYPE: ClassVar[str] = "init"
    api_key: str | None = Field(default=None, repr=False)
    user_id: str | None = Field(default=None, repr=False)
    conversation_id: str | None = None
    model: str | None = None
    client_info: dict[str, Any] | None = None


class Audio(Message):
    """One utterance: a whole file in base64."""

    TYPE: ClassVar[str] = "audio"
    audio_data: str = Field(default="", repr=False)
    conversation_id: str | None = None
    user_id: str | None = Field(default=None, repr=False)
    model: str | None = None
    stt_provider: str | None = None
    stt_options: dict[str, Any] | None = None
    tts_provider: str | None = None
    tts_voice: str | None = None
    tts_options: dict[str, Any] | None = None
    language_code: str | None = None


class Ping(Message):
    """From either side; ``timestamp`` is the client's, Unix milliseconds (in seconds in the client's own dialect)."""

    TYPE: ClassVar[str] = "ping"
    ping_id: Any = None
    timestamp: int | float | None = None
    client_id: str | None = None


class Pong(Message):
    TYPE: ClassVar[str] = "pong"
    ping_id: Any = None
    timestamp: int | float | None = None


# --- from the server -----------------------------------------------------------------------------------------------


class Established(Message):
    TYPE: ClassVar[str] = "connection_established"


class InitAck(Message):
    TYPE: ClassVar[str] = "init_ack"
    status: str = ""
    user_id: str = Field(default="", repr=False)


class Transcription(Message):
    TYPE: ClassVar[str] = "transcript"
    text: str = ""


class Response(Message):
    TYPE: ClassVar[str] = "response"
    text: str = ""
    conversation_id: str = ""


class Status(Message):
    """Not specified: whatever word it holds is taken for the status."""

    TYPE: ClassVar[str] = "status"
    status: str = Field(default="", validation_alias=AliasChoices("status", "message", "state", "text"))


class StreamStart(Message):
    TYPE: ClassVar[str] = "audio_stream_start"
    total_chunks: int | None = None


class Chunk(Message):
    TYPE: ClassVar[str] = "audio_chunk"
    data: str = Field(default="", repr=False)
    chunk_index: int | None = None
    total_chunks: int | None = None


class StreamEnd(Message):
    TYPE: ClassVar[str] = "audio_stream_end"


class TtsError(Message):
    TYPE: ClassVar[str] = "tts_error"
    message: str = ""


class Error(Message):
    TYPE: ClassVar[str] = "error"
    message: str = ""


class ConnectionWarning(Message):
    TYPE: ClassVar[str] = "connection_warning"
    level: str = ""
    message: str = ""
    time_remaining: float = 30.0  # seconds
    reconnect_required: bool = False
    ping_requested: bool = False

    @field_validator("time_remaining")
    @classmethod
    def _sensible(cls, seconds: float) -> float:
        return min(max(seconds, 0.0), 3600.0)


CLIENT_MESSAGES: dict[str, type[Message]] = {m.TYPE: m for m in (Init, Audio, Ping, Pong)}
SERVER_MESSAGES: dict[str, type[Message]] = {
    m.TYPE: m
    for m in (
        Established,
        InitAck,
        Transcription,
        Response,
        Status,
        StreamStart,
        Chunk,
        StreamEnd,
        TtsError,
        Error,
        ConnectionWarning,
        Ping,
        Pong,
    )
}
ALIASES: dict[str, type[Message]] = {"transcription": Transcription, "ai_response": Response}


def encode(message: Message) -> str:
    """As text; what is unset is left out."""
    return dump({"type": message.TYPE, **message.fields()})
