"""What each scene looks like: one row each, readable across a room. Pure data and arithmetic.

A pattern is a colour and a brightness that moves through steps and starts again, or is over (``once``). Colours have
their brightest part at 1.0, so that the brightest part of what is shown is the brightness a single-colour LED shows.
Brightness is as the eye sees it, 0 to 1; turning it into a duty cycle is the business of the light.
"""

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from voicebox.core.scenes import Scene

FRAME = 0.04
"""Seconds between two pictures while the brightness moves: 25 a second look smooth."""

Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 1."""

BLACK: Colour = (0.0, 0.0, 0.0)
WHITE: Colour = (1.0, 1.0, 1.0)
BLUE: Colour = (0.1, 0.4, 1.0)
CYAN: Colour = (0.1, 1.0, 0.9)
GREEN: Colour = (0.3, 1.0, 0.4)
AMBER: Colour = (1.0, 0.6, 0.0)
RED: Colour = (1.0, 0.0, 0.0)
MAGENTA: Colour = (1.0, 0.0, 0.8)
"""Of the privacy lamp alone: no scene has it."""


class Step(NamedTuple):
    """For ``seconds`` the brightness goes evenly from ``start`` to ``end``."""

    seconds: float
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Pattern:
    colour: Colour
    steps: tuple[Step, ...]
    once: bool = False  # over when its steps are; the others begin again

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


def _solid(level: float) -> tuple[Step, ...]:
    return (Step(inf, level, level),)


def _breathe(seconds: float, low: float) -> tuple[Step, ...]:
    """Never quite dark or full: those are no pulses on a pin, and each change between the two ways shows."""
    return Step(seconds / 2, low, 0.95), Step(seconds / 2, 0.95, low)


LONG = 5
"""A long flash of a code counts as so many short ones."""


def _code(number: int) -> tuple[Step, ...]:
    """Quick flashes, to be counted, then a pause: long ones first."""
    long, short = divmod(number, LONG)
    flashes = (Step(0.9, 1.0, 1.0), Step(0.3, 0.0, 0.0)) * long + (Step(0.2, 1.0, 1.0), Step(0.3, 0.0, 0.0)) * short
    return (*flashes, Step(1.2, 0.0, 0.0))


CODES: dict[Scene, int] = {
    Scene.TROUBLE: 1,
    Scene.NO_MICROPHONE: 2,
    Scene.NO_SPEAKER: 3,
    Scene.REFUSED: 4,
    Scene.OFFLINE: 5,
    Scene.CLOCK_NOT_SET: 6,
    Scene.USED_UP: 7,
    Scene.UPDATE_NEEDED: 8,
    Scene.LAST_GOOD_CONFIG: 9,
}
"""The faults by number. The card in docs/lights.md shows them; a test holds it to this table."""

PATTERNS: dict[Scene, Pattern] = {
    Scene.STARTING: Pattern(WHITE, _breathe(4.0, low=0.15)),
    Scene.IDLE: Pattern(WHITE, _solid(0.0)),
    Scene.WAKE: Pattern(WHITE, (Step(0.15, 1.0, 1.0), Step(0.1, 0.0, 0.0)), once=True),
    Scene.CONNECTING: Pattern(BLUE, _breathe(0.4, low=0.1)),
    Scene.LISTENING: Pattern(BLUE, _solid(1.0)),
    Scene.FOLLOW_UP: Pattern(BLUE, _breathe(3.0, low=0.5)),
    Scene.THINKING: Pattern(CYAN, _breathe(1.0, low=0.3)),
    Scene.SPEAKING: Pattern(GREEN, _breathe(2.4, low=0.3)),
    Scene.HEARD_NOTHING: Pattern(BLUE, (Step(0.6, 0.05, 0.6), Step(1.0, 0.6, 0.05)), once=True),
    Scene.MUTED: Pattern(RED, _solid(0.3)),
    Scene.UPDATING: Pattern(WHITE, (Step(1.5, 0.05, 0.95),)),
    Scene.TROUBLE: Pattern(AMBER, _code(CODES[Scene.TROUBLE])),
    Scene.NO_MICROPHONE: Pattern(RED, _code(CODES[Scene.NO_MICROPHONE])),
    Scene.NO_SPEAKER: Pattern(RED, _code(CODES[Scene.NO_SPEAKER])),
    Scene.REFUSED: Pattern(RED, _code(CODES[Scene.REFUSED])),
    Scene.OFFLINE: Pattern(AMBER, _code(CODES[Scene.OFFLINE])),
    Scene.CLOCK_NOT_SET: Pattern(AMBER, _code(CODES[Scene.CLOCK_NOT_SET])),
    Scene.USED_UP: Pattern(AMBER, _code(CODES[Scene.USED_UP])),
    Scene.UPDATE_NEEDED: Pattern(RED, _code(CODES[Scene.UPDATE_NEEDED])),
    Scene.LAST_GOOD_CONFIG: Pattern(AMBER, _code(CODES[Scene.LAST_GOOD_CONFIG])),
}


def _locate(pattern: Pattern, seconds: float) -> tuple[Step, float]:
    """The step shown ``seconds`` after the pattern began, and how far into it that is."""
    into = seconds % pattern.seconds
    for step in pattern.steps:
        if into < step.seconds:
            return step, into
        into -= step.seconds
    last = pattern.steps[-1]  # only rounding leads here
    return last, last.seconds


def colour_at(pattern: Pattern, seconds: float) -> Colour:
    """The colour shown ``seconds`` after the pattern began, its brightness included."""
    step, into = _locate(pattern, seconds)
    return dimmed(pattern.colour, step.start + (step.end - step.start) * (into / step.seconds))


def dimmed(colour: Colour, level: float) -> Colour:
    red, green, blue = colour
    return red * level, green * level, blue * level


def next_change(pattern: Pattern, seconds: float, frame: float = FRAME) -> float:
    """In how many seconds the picture changes, seen from ``seconds`` after its beginning; ``inf``: never. ``frame``:
    seconds between two pictures while the brightness moves."""
    step, into = _locate(pattern, seconds)
    remaining = step.seconds - into
    return remaining if step.start == step.end else min(frame, remaining)
