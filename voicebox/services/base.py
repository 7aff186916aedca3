"""What every service adapter promises. Adapters are pure: messages in, effects out; no I/O, clock or random.

A service is one module beside this one. It exposes ``Settings`` (a subclass of ServiceSettings: its section of the
configuration file), ``Service`` (the adapter class), and nothing has to be registered: ``discover`` finds it by name.
"""

import base64
import importlib
import ipaddress
import json
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from voicebox.core.events import Category, Event, SessionWarning
from voicebox.errors import AuthError, ConfigError, ProtocolError
from voicebox.redact import redact


class ServiceSettings(BaseModel):
    """Base of a service's section of the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    SECRETS: ClassVar[tuple[str, ...]] = ()
    """Names of the credentials this service needs, e.g. ``("lira_token",)``."""
    SECRETS_ANY: ClassVar[tuple[str, ...]] = ()
    """Names of credentials that stand for each other: at least one of them is needed."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How services differ, as data."""

    name: str
    uplink_rate: int = 16_000  # Hz, s16le mono
    uplink_chunk: int = 1_600  # samples in one message
    streams: bool = True  # false: takes whole utterances, so the device finds where each begins and ends
    server_interrupts: bool = True  # the service tells us when it was interrupted
    text_input: bool = False
    user_partials: bool = False
    assistant_text: Literal["none", "whole", "streamed"] = "whole"
    emotions: bool = False
    tasks: bool = False
    participants: bool = False
    resumes: bool = False  # a conversation goes on after a reconnection
    downlink: str = "PCM 24 kHz"  # in words, for docs/services.md
    auth: str = ""  # in words
    ping_interval: float = 5.0  # seconds between WebSocket pings
    lead: float = 0.12  # seconds of a reply to gather before it sounds: the pauses between what it sends
    ready_timeout: float = 10.0  # seconds from dialling to SessionReady
    session_limit: float | None = None  # seconds until the service hangs up; we redial before, in a quiet moment
    max_message: int = 2**20  # bytes
    rates: tuple["Rate", ...] = ()  # what may be sent how often


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``messages`` of a kind within ``seconds``; the session waits before it would send more."""

    kind: Literal["audio", "text", "any"]
    messages: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Send:
    """A WebSocket message to send: str for a text frame, bytes for a binary one."""

    message: str | bytes = field(repr=False)
    is_audio: bool = False  # counted as audio, whatever its form


@dataclass(frozen=True, slots=True)
class Sound:
    """Sound of a reply that is not plain PCM at 24 kHz: the next piece of an encoded stream (MP3, WAV, Ogg, FLAC, told
    apart by their first bytes). ``whole``: the piece is a file of its own. ``last``: nothing of this reply follows.
    The session turns it into ReplyAudio; what cannot be decoded is counted and left out."""

    reply_id: int
    data: bytes = field(repr=False)
    whole: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Remember:
    """A secret of the service's making, to be kept for the next ``dial`` (None: to be forgotten). It then is among the
    credentials under this name."""

    name: str
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Later:
    """Call ``adapter.later(key)`` after this many seconds; asking again with the same key starts anew."""

    seconds: float
    key: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connection: for good, the adapter has said why by a SessionEnded event; or with ``retry`` to redial
    after the usual back-off."""

    reason: str
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Dial:
    """Where to connect. The URL may carry credentials, so it does not show itself."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return redact(self.url)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """An HTTP exchange for the session to make. ``purpose`` names it for logs and for ``answered``; neither URL nor
    headers nor body show themselves. Redirects to other hosts are not followed."""

    purpose: str
    method: Literal["GET", "POST"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back. ``status`` 0: nothing; ``text`` says why, ``category`` what kind of trouble it is."""

    status: int
    text: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    category: Category = Category.NETWORK


Effect = Event | Send | Sound | Remember | Later | Hangup


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the end of a connection means."""

    retry: bool
    server_side: bool = False  # the service ended it: spread the redials widely
    effects: tuple[Event, ...] = ()
    retry_after: float = 0.0  # at least this many seconds
    category: Category | None = None  # what kind of trouble; None: to be told from the rest


Step = Dial | HttpRequest | Verdict
"""On the way to a connection: dial, or an HTTP exchange first; or it is over before it began."""


class Adapter(Protocol):
    """One service's protocol. One instance lives as long as the daemon; ``dial`` begins a new connection. Adapters
    inherit from this class: what has a body here needs none there."""

    capabilities: ClassVar[Capabilities]

    def dial(self, credentials: Mapping[str, str], now: float) -> tuple["Step", Sequence[Effect]]:
        """The first step of a new connection, with freshly read credentials. ``now`` is the wall clock (Unix seconds),
        for tokens that expire. Forgets the last connection; reply ids go on rising. Raises AuthError or ConfigError."""

    def answered(self, request: HttpRequest, answer: HttpAnswer) -> tuple["Step", Sequence[Effect]]:
        """A step that was an HttpRequest has been made: what is next. Raises AuthError or ConfigError."""
        raise ProtocolError(f"{request.purpose}: nobody asked for this answer (HTTP {answer.status})")

    def afterwards(self) -> Sequence[HttpRequest]:
        """The session is over: what is still to be sent by HTTP, each at most twice; failure does no harm."""
        return ()

    def refused(self, status: int, headers: Mapping[str, str]) -> Verdict:
        """The upgrade was answered with this HTTP status instead of 101."""

    def opened(self) -> Sequence[Effect]:
        """The WebSocket is up: the first messages."""

    def received(self, message: str | bytes) -> Sequence[Effect]:
        """A message came. Never raises, whatever it holds."""

    def closed(self, code: int, reason: str) -> Verdict:
        """The WebSocket was closed, and not by us. ``code`` 1006: without a close frame."""

    def later(self, key: str) -> Sequence[Effect]:
        """The time asked for by Later(key) has come."""

    def audio_start(self) -> Sequence[Effect]:
        """A stretch of uplink audio begins."""

    def audio(self, pcm: bytes) -> Sequence[Effect]:
        """Uplink audio at ``capabilities.uplink_rate``, at most ``uplink_chunk`` samples."""

    def audio_stop(self) -> Sequence[Effect]:
        """The stretch has ended."""

    def cancel(self, reply_id: int) -> Sequence[Effect]:
        """The reply was cut here: tell the service if it can be told, and drop what is still on its way."""

    def text(self, text: str) -> Sequence[Effect]:
        """Say this as the user. Raises ConfigError where ``capabilities.text_input`` is false."""

    def settings(self, values: Mapping[str, Any]) -> Sequence[Effect]:
        """Change the running session."""

    def new_conversation(self) -> Sequence[Effect]:
        """Begin a new conversation with the next turn. Raises ConfigError where each session is one."""
        raise ConfigError(f"unsupported: with {self.capabilities.name} this cannot be asked for")

    def goodbye(self) -> Sequence[Effect]:
        """We are about to close: last messages."""


def discover() -> dict[str, ModuleType]:
    """Every service module beside this one, by name; what several of them share begins with an underscore."""
    import voicebox.services as package  # noqa: PLC0415  # importing it at the top would be circular

    names = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "base" and m.name[0] != "_")
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


# --- what several services need ------------------------------------------------------------------------------------

_EXPIRES_SOON = 60.0
_LONGEST_WAIT = 3600.0


def check_url(url: str, service: str, *, allow_plain: bool, setting: str = "url", scheme: str = "wss") -> None:
    """Raise ConfigError unless ``url`` is wss://, or ws:// to this machine itself and that is permitted; with the
    ``scheme`` "https": https:// or http://."""
    plain, kind = {"wss": ("ws", "WebSocket"), "https": ("http", "web")}[scheme]
    found, host = _scheme_and_host(url)
    if found == scheme and host:
        return
    if found != plain or not host:
        raise ConfigError(f"{service}.{setting} is no {kind} address: it must begin with {scheme}:// and name a host")
    if not (allow_plain and _is_loopback(host)):
        raise ConfigError(
            f"{service}.{setting} is unencrypted: use {scheme}://"
            f" ({plain}:// is for this machine only, with {service}.allow_plain = true)"
        )


def _scheme_and_host(url: str) -> tuple[str, str]:
    """Both empty where ``url`` is no address at all."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no port
    except ValueError:
        return "", ""
    return parts.scheme, parts.hostname or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_expiry(token: str) -> float | None:
    """The ``exp`` (Unix seconds) of a JSON web token; None where there is none to be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def check_expiry(token: str, credential: str, now: float) -> list[SessionWarning]:
    """Raise AuthError if the token has expired at ``now`` (Unix seconds); warn if it will within a minute."""
    expiry = token_expiry(token)
    if expiry is None or expiry - now > _EXPIRES_SOON:
        return []
    try:
        when = datetime.fromtimestamp(expiry, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return []
    if expiry <= now:
        raise AuthError(f"the token in {credential} expired on {when}: store a new one (or check this box's clock)")
    return [SessionWarning("expiring_token", f"the token in {credential} expires on {when}")]


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait by the Retry-After header, between 0 and an hour; 0 if there is none or it makes no sense."""
    named = {key.lower(): key for key in headers}
    value = headers[named["retry-after"]] if "retry-after" in named else ""
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, headers[named["date"]]) if "date" in named else 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT) if seconds == seconds else 0.0  # noqa: PLR0124  # NaN differs from itself


def _seconds_until(when: str, date: str) -> float:
    """Between two HTTP dates: the service's own clock, so that it does not matter what ours says."""
    try:
        return (parsedate_to_datetime(when) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
