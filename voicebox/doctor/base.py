"""What a check gets, and what it says."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from voicebox.settings import Settings
from voicebox.support.machine import Machine


class Mark(StrEnum):
    WELL = "ok"
    NOTE = "note"  # works, but could be better
    WRONG = "WRONG"
    LEFT_OUT = "left out"  # could not be looked at, and why


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``fix``: what to type or do; ``settings``: lines for the settings file by key
    ("audio.input"), ready to paste."""

    mark: Mark
    text: str
    fix: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)


def well(text: str) -> Finding:
    return Finding(Mark.WELL, text)


def note(text: str, fix: str = "", **more: Any) -> Finding:  # handed on
    return Finding(Mark.NOTE, text, fix, **more)


def wrong(text: str, fix: str, **more: Any) -> Finding:  # handed on
    return Finding(Mark.WRONG, text, fix, **more)


def left_out(text: str, fix: str = "") -> Finding:
    return Finding(Mark.LEFT_OUT, text, fix)


class Owner(Protocol):
    """Whoever stands before the box. Nobody may: then questions have no answer."""

    @property
    def present(self) -> bool: ...

    async def asked(self, question: str) -> bool | None:
        """Yes or no; None if nobody answers (there is a limit)."""

    def told(self, text: str) -> None:
        """What they should do now. Nothing is said to nobody."""

    def meter(self, text: str) -> None:
        """A line that replaces the last one given here; "" ends it."""


@dataclass(frozen=True, slots=True)
class Case:
    """The box that is looked at. ``settings`` None: they are wrong, and that is a finding of its own. ``ask`` asks the
    running box; None where none answers."""

    settings: Settings | None
    owner: Owner
    config: Path | None = None
    machine: Machine = field(default_factory=Machine)
    ask: Callable[[Mapping[str, Any]], dict[str, Any] | None] = lambda _: None
    state: Path = Path("/nonexistent")
    """Where the daemon keeps what it must not forget."""
    status: Mapping[str, Any] | None = None
    """What the running box says of itself; None: none is running."""
    stopped: bool = False
    """None is running because it was stopped for this."""


Check = Callable[[Case], AsyncIterator[Finding]]
