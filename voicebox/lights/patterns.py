"""What each scene looks like: one row each, readable across a room. Pure data and arithmetic.

A pattern is a colour and a brightness that moves through steps and starts again. Colours have their brightest part
at 1.0, so that the brightest part of what is shown is the brightness a single-colour LED shows. Brightness is as the
eye sees it, 0 to 1; turning it into a duty cycle is the business of the light.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from voicebox.core.scenes import Scene

FRAME = 0.04
"""Seconds between two pictures while the brightness moves: 25 a second look smooth."""

Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 1."""

WHITE: Colour = (1.0, 1.0, 1.0)
BLUE: Colour = (0.1, 0.4, 1.0)
CYAN: Colour = (0.1, 1.0, 0.9)
GREEN: Colour = (0.3, 1.0, 0.4)
AMBER: Colour = (1.0, 0.6, 0.0)
RED: Colour = (1.0, 0.0, 0.0)


class Step(NamedTuple):
    """For ``seconds`` the brightness goes evenly from ``start`` to ``end``."""

    seconds: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Pattern:
    colour: Colour
    steps: tuple[Step, ...]


def _solid(level: float) -> tuple[Step, ...]:
    return (Step(inf, level, level),)


def _breathe(seconds: float, low: float) -> tuple[Step, ...]:
    """Never quite dark or full: those are no pulses on a pin, and each change between the two ways shows."""
    return Step(seconds / 2, low, 0.95), Step(seconds / 2, 0.95, low)


def _blink(times: int) -> tuple[Step, ...]:
    """``times`` quick flashes, to be counted, then a pause."""
    return (Step(0.2, 1.0, 1.0), Step(0.3, 0.0, 0.0)) * times + (Step(1.2, 0.0, 0.0),)


PATTERNS: dict[Scene, Pattern] = {
    Scene.STARTING: Pattern(WHITE, _breathe(4.0, low=0.15)),
    Scene.IDLE: Pattern(WHITE, _solid(0.0)),
    Scene.CONNECTING: Pattern(BLUE, _breathe(0.4, low=0.1)),
    Scene.LISTENING: Pattern(BLUE, _solid(1.0)),
    Scene.THINKING: Pattern(CYAN, _breathe(1.0, low=0.3)),
    Scene.SPEAKING: Pattern(GREEN, _breathe(2.4, low=0.3)),
    Scene.MUTED: Pattern(RED, _solid(0.3)),
    Scene.TROUBLE: Pattern(AMBER, _blink(1)),
    Scene.NO_MICROPHONE: Pattern(RED, _blink(2)),
    Scene.NO_SPEAKER: Pattern(RED, _blink(3)),
    Scene.REFUSED: Pattern(RED, _blink(4)),
}


def _locate(pattern: Pattern, seconds: float) -> tuple[Step, float]:
    """The step shown ``seconds`` after the pattern began, and how far into it that is."""
    into = seconds % sum(step.seconds for step in pattern.steps)
    for step in pattern.steps:
        if into < step.seconds:
            return step, into
        into -= step.seconds
    last = pattern.steps[-1]  # only rounding leads here
    return last, last.seconds


def colour_at(pattern: Pattern, seconds: float) -> Colour:
    """The colour shown ``seconds`` after the pattern began, its brightness included."""
    step, into = _locate(pattern, seconds)
    level = step.start + (step.end - step.start) * (into / step.seconds)
    red, green, blue = pattern.colour
    return red * level, green * level, blue * level


def next_change(pattern: Pattern, seconds: float) -> float:
    """In how many seconds the picture changes, seen from ``seconds`` after its beginning; ``inf``: never."""
    step, into = _locate(pattern, seconds)
    remaining = step.seconds - into
    return remaining if step.start == step.end else min(FRAME, remaining)
