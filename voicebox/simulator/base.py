"""What a simulated service is, and what it is given.

A service is one module beside this one that exposes ``Service``; ``discover`` finds it by that. It speaks one vendor's
protocol to one client; turns, answers, pacing, interruptions, faults and recording are the same for all and live
elsewhere in this package.
"""

import asyncio
import importlib
import pkgutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from voicebox.audio.base import PLAYBACK_RATE
from voicebox.errors import ConfigError
from voicebox.simulator.brains import Brain
from voicebox.simulator.faults import Faults
from voicebox.simulator.pacing import Pace
from voicebox.wire.lira import Envelope


@dataclass(frozen=True, slots=True)
class Setup:
    """What all connections of one simulator share."""

    token: str = field(repr=False)
    meeting_id: str
    envelope: Envelope
    faults: Faults
    brain: Brain
    pace: Pace
    clock: Callable[[], str]  # the time of day, ISO 8601 with milliseconds
    shared: dict[str, Any] = field(default_factory=dict)  # what a service remembers from one connection to the next


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; a GET is as a rule for the WebSocket."""

    path: str
    query: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What is answered instead of opening a WebSocket."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Reply:
    """One answer of the service. ``sent`` counts the bytes of ``pcm`` (s16le mono 24 kHz) sent so far."""

    number: int  # rises from 1 in each connection
    text: str
    pcm: bytes = field(repr=False)
    sent: int = 0

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / PLAYBACK_RATE


class Gone(Exception):  # noqa: N818  # not an error: clients come and go
    """The client is no longer there."""


class Link(Protocol):
    """The connection to one client."""

    @property
    def request(self) -> Request:
        """What opened it."""

    async def send(self, message: str | bytes) -> None:
        """Send a text or a binary message. Raises Gone."""

    async def close(self, code: int, reason: str = "") -> None:
        """Say goodbye with this close code; returns when the connection is gone, which takes half a second at most."""

    def reset(self) -> None:
        """Break the connection without a word (TCP RST)."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run this as long as the connection lasts. Gone ends it quietly; other exceptions end the connection."""

    def note_reply_audio(self, reply: int, pcm: bytes, *, late: bool) -> None:
        """For the record: this much of a reply (s16le mono 24 kHz) is being sent."""

    def note_heard(self, pcm: bytes) -> None:
        """For the record: this audio (s16le mono 16 kHz) was received."""


class Voice(Protocol):
    """How a protocol puts into messages what happens in a conversation. Every method may raise Gone."""

    async def heard(self, text: str) -> None:
        """The user's turn has ended; this is what was said."""

    async def reply_begins(self, reply: Reply) -> None:
        """The answer to it is known; its sound follows."""

    async def reply_audio(self, pcm: bytes) -> None:
        """The next stretch of its sound: s16le mono 24 kHz."""

    async def reply_ends(self, reply: Reply) -> None:
        """All of its sound was sent."""

    async def interrupted(self) -> None:
        """Somebody spoke while the reply was still to be heard: it ends here."""


class Service(Voice, Protocol):
    """One vendor's protocol towards one client."""

    PATH: ClassVar[str]

    def __init__(self, setup: Setup, link: Link) -> None: ...

    @staticmethod
    def answer_http(request: Request, setup: Setup) -> HttpAnswer | None:
        """The answer to a request; None opens the WebSocket, if it is a GET."""

    @staticmethod
    def access(url: str, setup: Setup) -> tuple[dict[str, Any], dict[str, str]]:
        """What a box needs to reach this simulator at ``url``: its section of the settings, and its secrets by name."""

    async def opened(self) -> None:
        """The WebSocket is up. Raises nothing but Gone."""

    async def received(self, message: str | bytes) -> None:
        """A message came. Raises nothing but Gone, whatever the message holds."""


def discover() -> dict[str, type[Service]]:
    """Every simulated service beside this module, by name."""
    import voicebox.simulator as package  # noqa: PLC0415  # importing it at the top would be circular

    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name != "base")
    found = {name: getattr(importlib.import_module(f"{package.__name__}.{name}"), "Service", None) for name in names}
    return {name: kind for name, kind in found.items() if kind is not None and kind.__module__.endswith(f".{name}")}


def find_service(name: str) -> type[Service]:
    """The named service. Raises ConfigError, listing those there are."""
    services = discover()
    if name not in services:
        raise ConfigError(f"the simulator does not speak {name!r}; it speaks: {', '.join(services)}")
    return services[name]
