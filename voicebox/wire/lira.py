"""Lira's messages. Source: the vendor's WebSocket API page; aliases are what its published clients were seen to use."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field, field_validator

from voicebox.wire import Message, dump

Dialect = Literal["documented", "lira-web", "both"]
"""How client messages are written: ``{"type", …fields}`` as documented, ``{"action", "session_id", "payload"}`` as the
vendor's web client does, or one message that carries both."""

Envelope = Literal["data", "flat", "payload"]
"""Where the fields of server messages are put: under ``data`` as in the documented examples, beside ``type``, or under
``payload`` as the vendor's web client expects them."""


class Join(Message):
    TYPE: ClassVar[str] = "join"
    meeting_id: str = Field(
        "", alias="meetingId", validation_alias=AliasChoices("meetingId", "meeting_id", "session_id")
    )


class Text(Message):
    TYPE: ClassVar[str] = "text"
    text: str = ""


class AudioStart(Message):
    TYPE: ClassVar[str] = "audio_start"


class AudioStop(Message):
    TYPE: ClassVar[str] = "audio_stop"


class UpdateSettings(Message):
    """Its fields are the settings themselves: an open set."""

    TYPE: ClassVar[str] = "settings"


class Leave(Message):
    TYPE: ClassVar[str] = "leave"


class Joined(Message):
    TYPE: ClassVar[str] = "joined"
    session_id: str = Field(default="", alias="sessionId", validation_alias=AliasChoices("sessionId", "session_id"))
    participants: list[Any] = Field(default_factory=list)

    @field_validator("session_id", mode="before")
    @classmethod
    def _any_id(cls, value: object) -> str:
        """We are in; no oddity of an optional field is a reason to stay out."""
        return str(value) if isinstance(value, str | int | float) else ""

    @field_validator("participants", mode="before")
    @classmethod
    def _any_participants(cls, value: object) -> list[Any]:
        return value if isinstance(value, list) else [value]


class ParticipantEvent(Message):
    TYPE: ClassVar[str] = "participant_event"
    participant: Any = None
    action: str = ""


class TranscriptMessage(Message):
    TYPE: ClassVar[str] = "transcript"
    text: str = ""
    speaker: str = ""
    timestamp: str = ""
    role: str = ""
    is_ai: bool | None = None

    @property
    def by_assistant(self) -> bool:
        return self.role.lower() in {"assistant", "ai", "bot"} or self.is_ai is True


class AiResponse(Message):
    TYPE: ClassVar[str] = "ai_response"
    text: str = ""
    timestamp: str = ""


class AiResponseEnd(Message):
    TYPE: ClassVar[str] = "ai_response_end"


class AudioReady(Message):
    """Information only: playback never waits for it."""

    TYPE: ClassVar[str] = "audio_ready"
    duration: float | None = None


class SettingsUpdated(Message):
    TYPE: ClassVar[str] = "settings_updated"
    settings: dict[str, Any] = Field(default_factory=dict)


class Interruption(Message):
    TYPE: ClassVar[str] = "interruption"


class TaskMessage(Message):
    TYPE: ClassVar[str] = "task_created"
    task: Any = None


class ErrorMessage(Message):
    TYPE: ClassVar[str] = "error"
    code: str = ""
    message: str = ""


CLIENT_MESSAGES: dict[str, type[Message]] = {
    m.TYPE: m for m in (Join, Text, AudioStart, AudioStop, UpdateSettings, Leave)
}
SERVER_MESSAGES: dict[str, type[Message]] = {
    m.TYPE: m
    for m in (
        Joined,
        ParticipantEvent,
        TranscriptMessage,
        AiResponse,
        AiResponseEnd,
        AudioReady,
        SettingsUpdated,
        Interruption,
        TaskMessage,
        ErrorMessage,
    )
}


def encode(message: Message, dialect: Dialect, session_id: str = "") -> str:
    """A client message as text, in the form the dialect asks for."""
    fields = message.fields()
    flat = {"type": message.TYPE} | fields | {"type": message.TYPE}  # whatever a setting is called
    field_form: dict[str, Any] = {"action": message.TYPE, "payload": fields}
    if session_id:
        field_form["session_id"] = session_id
    forms: dict[Dialect, dict[str, Any]] = {
        "documented": flat,
        "lira-web": field_form,
        "both": {**field_form, **flat},
    }
    return dump(forms[dialect])


def read_client_message(message: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(type, fields) of a client message in any dialect; the type is empty if there is none."""
    kind = message.get("type", message.get("action"))
    fields = message.get("payload", message.get("data"))
    if not isinstance(fields, Mapping):
        envelope = {"type", "action", "payload", "data"} | ({"session_id"} if "action" in message else set())
        fields = {key: value for key, value in message.items() if key not in envelope}
    return kind if isinstance(kind, str) else "", dict(fields)


def encode_server_message(message: Message, envelope: Envelope) -> str:
    """A server message as text, in the envelope asked for."""
    fields = message.model_dump(by_alias=envelope != "payload", exclude_none=True)  # that form spells them its own way
    if envelope == "flat" or not fields:
        return dump({"type": message.TYPE, **fields})
    return dump({"type": message.TYPE, envelope: fields})
