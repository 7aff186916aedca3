"""What a section is given, and what it gives back."""

import sys
from dataclasses import dataclass
from math import isfinite
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One result beside its target. ``name`` says what was measured on what, and how often; ``target`` is for people:
    "<= 20", or "-" where a figure is only stated."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool


def at_most(name: str, value: float, unit: str, limit: float) -> Figure:
    return Figure(name, _rounded(value), unit, f"<= {limit:g}", bool(value <= limit))


def at_least(name: str, value: float, unit: str, limit: float) -> Figure:
    return Figure(name, _rounded(value), unit, f">= {limit:g}", bool(value >= limit))


def stated(name: str, value: float, unit: str) -> Figure:
    """A figure without a target."""
    return Figure(name, _rounded(value), unit, "-", ok=True)


def _rounded(value: float) -> float:
    return float(f"{float(value):.4g}") if abs(value) < 1000 or not isfinite(value) else float(round(value))


@dataclass(frozen=True, slots=True)
class Options:
    """``scale``: how much is measured, 1.0 being what the documentation's figures rest on. ``card``: this box's own
    microphone and speaker, as the settings in ``config`` (None: the usual file) name them, are to be measured too."""

    scale: float = 1.0
    card: bool = False
    config: Path | None = None

    def times(self, number: int) -> int:
        """How many repetitions (or seconds) to measure where ``number`` are due at full scale; at least one."""
        return max(1, round(number * self.scale))

    def left_out(self, what: str, why: str) -> None:
        """Tell the owner what could not be measured here."""
        print(f"left out: {what}: {why}", file=sys.stderr)
