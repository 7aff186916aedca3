"""LIKU's messages. Source: the vendor's WebSocket API integration guide.

Three HTTP exchanges stand around the WebSocket: login, init-websocket (its answer is the connection data, as text) and
save-transcript. On the WebSocket the client says one thing, the connection data; all else it sends is sound.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, ValidationError

from voicebox.wire import Message, dump, parse_object

LOGIN_PATH = "/api/liku/authentication/"
INIT_PATH = "/api/init-websocket"
SAVE_PATH = "/api/save-transcript"
SOCKET_PATH = "/chat-stream"

COMPLETED = "completed"
_MARKER = re.compile(r"\[\[(?:[^\[\]]|\](?!\])|\[(?!\[))*\]\]")


class UserTranscript(Message):
    """What the user said; a ``status`` other than "completed" announces more of the same ``message_id``."""

    TYPE: ClassVar[str] = "user_transcript"
    text: str = ""
    message_id: str = ""
    status: str = COMPLETED


class AssistantText(Message):
    """What the assistant says or writes; documented is a ``response_id`` only of what it says."""

    text: str = ""
    message_id: str = ""
    response_id: str | None = None


class AssistantTranscript(AssistantText):
    TYPE: ClassVar[str] = "assistant_transcript"


class AssistantMessage(AssistantText):
    TYPE: ClassVar[str] = "assistant_message"


class Login(Message):
    """Body of the login."""

    email: str = Field(repr=False)
    password: str = Field(repr=False)


class SaveTranscript(Message):
    """Body of save-transcript; ``connection_data`` as it was sent in the first frame."""

    connection_data: Any = Field(repr=False)
    topic_id: str
    conversation_id: str


SERVER_MESSAGES: dict[str, type[UserTranscript | AssistantText]] = {
    m.TYPE: m for m in (UserTranscript, AssistantTranscript, AssistantMessage)
}


def encode(message: Message) -> str:
    """A server message as text."""
    return dump({"type": message.TYPE, **message.fields()})


def first_frame(connection_data: object) -> str:
    return dump({"connection_data": connection_data})


def unwrapped(body: str) -> object | None:
    """What the text of init-websocket holds if it is JSON: a string, or an object's ``connection_data``, or the object.
    None if it is no such JSON: then it is opaque."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, str):
        return value or None
    fields = parse_object(body)
    return None if fields is None else fields.get("connection_data") or fields or None


def read_token(body: str) -> str:
    """The ``token_key`` of an answered login; "" if there is none that could be sent back in a header."""
    token = (parse_object(body) or {}).get("token_key")
    return token if isinstance(token, str) and re.fullmatch(r"[!-~]{1,4096}", token) else ""


def read_detail(body: str) -> str:
    """What an error's body says; "" if it says nothing readable."""
    detail = (parse_object(body) or {}).get("detail", "")
    return detail[:300] if isinstance(detail, str) else ""


def without_markers(text: str) -> str:
    """``text`` without ``[[…]]``: marks for programs that the service puts between the words."""
    bare, found = _MARKER.subn(" ", text)
    return " ".join(bare.split()) if found else text


def read_server_message(fields: Mapping[str, Any], kind: str) -> UserTranscript | AssistantText | None:
    """The message of this type; None if it is unknown or has fields that cannot be read."""
    model = SERVER_MESSAGES.get(kind)
    try:
        return model.model_validate({k: v for k, v in fields.items() if v is not None}) if model else None
    except ValidationError:
        return None
