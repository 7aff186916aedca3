"""What the tests of the LIKU adapter share: an account, what LIKU answers by HTTP, its messages."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from voicebox.core.events import ReplyAudio, ReplyText, SessionEnded
from voicebox.services.base import Dial, Effect, HttpAnswer, HttpRequest, Later, Send, Step, Verdict
from voicebox.services.liku import Service, Settings

NOW = 1_700_000_000.0
PCM = b"\1\0" * 240
OTHER = b"\2\0" * 240
EMAIL = "canary-email@liku.example"
PASSWORD = "canary-password-0123"  # noqa: S105  # made up, to be looked for where it must not be
TOKEN = "c0ffee" * 6 + "abcd"
"""Of 40 hexadecimal digits, as in the vendor's example."""
DATA = "canary-connection-data=="
LOGIN = "https://torooc-liku-api.med2lab.com/api/liku/authentication/"
CHAT = "https://voice-liku-chat.med2lab.com"
ACCOUNT = {"liku_email": EMAIL, "liku_password": PASSWORD}
KEPT = {"liku_token": TOKEN}
CANARIES = (EMAIL, PASSWORD, TOKEN, DATA)

T = TypeVar("T")


def service(**changes: Any) -> Service:
    return Service(Settings(**({"topic_id": "55"} | changes)))


def begin(adapter: Service, kept: Mapping[str, str] | None = None, now: float = NOW) -> tuple[Step, Sequence[Effect]]:
    """Dial with the account and what was kept."""
    return adapter.dial(ACCOUNT | dict(kept or {}), now)


def request(step: Step) -> HttpRequest:
    assert isinstance(step, HttpRequest)
    return step


def logged_in(token: str = TOKEN) -> HttpAnswer:
    return HttpAnswer(200, json.dumps({"token_key": token}))


def says_no(status: int, detail: str = "") -> HttpAnswer:
    return HttpAnswer(status, json.dumps({"detail": detail}) if detail else "<html>sorry</html>")


def arrive(adapter: Service, data: str = DATA, kept: Mapping[str, str] | None = None) -> Dial:
    """All the way to where the WebSocket is dialled, with this connection data."""
    step, _ = begin(adapter, kept)
    if "init" not in request(step).purpose:
        step, _ = adapter.answered(request(step), logged_in())
    step, _ = adapter.answered(request(step), HttpAnswer(200, data))
    assert isinstance(step, Dial)
    return step


def first_frame(adapter: Service, data: str = DATA) -> object:
    """Dialled with this connection data, and opened: what the first frame holds."""
    arrive(adapter, data)
    (frame,) = sent(adapter.opened())
    assert frame.keys() == {"connection_data"}
    value: object = frame["connection_data"]
    return value


def connected(**changes: Any) -> Service:
    """Ready and listening."""
    adapter = service(**changes)
    arrive(adapter)
    adapter.opened()
    adapter.later("grace")
    adapter.audio_start()
    return adapter


def says(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind} | fields)


def understood(text: str = "hello", message_id: str = "u1", status: str = "completed") -> str:
    return says("user_transcript", text=text, message_id=message_id, status=status)


def spoken(text: str = "well", message_id: str = "a1", response_id: str = "r1") -> str:
    return says("assistant_transcript", text=text, message_id=message_id, response_id=response_id)


def written(text: str = "well", message_id: str = "a1") -> str:
    return says("assistant_message", text=text, message_id=message_id)


def feed(adapter: Service, *messages: str | bytes) -> list[Effect]:
    return [effect for message in messages for effect in adapter.received(message)]


def only(kind: type[T], effects: Iterable[object]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sent(effects: Iterable[Effect]) -> list[Any]:
    """Text frames as objects, binary frames as bytes."""
    messages = [effect.message for effect in only(Send, effects)]
    return [json.loads(m) if isinstance(m, str) else m for m in messages]


def heard(effects: Iterable[Effect]) -> list[tuple[int, bytes]]:
    return [(effect.reply_id, effect.pcm) for effect in only(ReplyAudio, effects)]


def waits(effects: Iterable[Effect]) -> dict[str, float]:
    return {effect.key: effect.seconds for effect in only(Later, effects)}


def seconds(count: float) -> bytes:
    """So much uplink sound."""
    return b"\3\0" * round(16_000 * count)


def ended(step: Step) -> SessionEnded:
    """Over for good, and why."""
    assert isinstance(step, Verdict)
    assert not step.retry
    (event,) = step.effects
    assert isinstance(event, SessionEnded)
    return event


def query(step: Step) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request(step).url).query, strict_parsing=True))


def texts(effects: list[Effect]) -> list[tuple[int, str]]:
    return [(e.reply_id, e.text) for e in only(ReplyText, effects)]
