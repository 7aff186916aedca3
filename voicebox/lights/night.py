"""How bright the lights are by day and by night, by the clock on the wall."""

import time
from collections.abc import Callable
from dataclasses import dataclass

CLOCK_IS_SET = 1_735_689_600.0
"""2025-01-01: a clock that says less has not been set since the box got power, and knows nothing of the night."""

LOOK_AGAIN = 3600.0
"""Seconds after which a border is reckoned anew: somebody may have set the clock."""


@dataclass(frozen=True, slots=True)
class Night:
    """From ``begin`` to ``end``, minutes after midnight in local time, over midnight if need be."""

    begin: int
    end: int
    brightness: float  # 0: dark

    def holds(self, now: float) -> bool:
        """Whether it is night at ``now`` (Unix seconds); never while the clock is not set."""
        if now < CLOCK_IS_SET:
            return False
        local = time.localtime(now)
        return (local.tm_hour * 60 + local.tm_min - self.begin) % 1440 < (self.end - self.begin) % 1440

    def next_border(self, now: float) -> float:
        """Seconds until day or night begins, as far as one can tell; at most LOOK_AGAIN."""
        day = time.localtime(now)[:3]
        # mktime knows the days on which the clocks change
        borders = [
            time.mktime((day[0], day[1], day[2] + later, minute // 60, minute % 60, 0, 0, 0, -1))
            for later in (0, 1)
            for minute in (self.begin, self.end)
        ]
        return min(LOOK_AGAIN, *(border - now for border in borders if border > now))


@dataclass(frozen=True, slots=True)
class Dimmer:
    """``brightness`` by day, the night's by night."""

    brightness: float = 1.0
    night: Night | None = None
    clock: Callable[[], float] = time.time

    def level(self) -> float:
        return self.night.brightness if self.night and self.night.holds(self.clock()) else self.brightness

    def next_change(self) -> float:
        """In how many seconds to look again; ``inf``: never."""
        return self.night.next_border(self.clock()) if self.night else float("inf")
