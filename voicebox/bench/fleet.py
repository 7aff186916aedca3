"""How ten thousand boxes come back to a service that was down: the shipped back-off, in virtual time."""

import random
from collections import Counter
from dataclasses import dataclass
from heapq import heappop, heappush

from voicebox.bench._figures import Figure, Options, at_most
from voicebox.redial import backoff

BOXES = 10_000
OUTAGES = (0, 30, 300, 3600)
"""Seconds for which the service is down."""
MOST_AT_ONCE = 3.5
"""Percent of all boxes that may dial within one second."""


@dataclass(frozen=True, slots=True)
class Return:
    """Seconds since the service went, sorted: every attempt of every box, and of each the one that succeeded."""

    attempts: list[float]
    back: list[float]

    def peak(self) -> float:
        """The largest part of all boxes (percent) that came within one second."""
        return max(Counter(int(at) for at in self.attempts).values()) / len(self.back) * 100

    def all_but(self, percent: float) -> float:
        """When all but so many percent were back."""
        return self.back[max(0, round(len(self.back) * (1 - percent / 100)) - 1)]


def fall_and_return(boxes: int, outage: float, seed: int = 1) -> Return:
    """The service closes all sessions (1012) at 0, refuses every connection for ``outage`` seconds, then takes all."""
    dice = random.Random(seed).random  # noqa: S311  # no secret
    waiting: list[tuple[float, int, int]] = []
    for box in range(boxes):
        heappush(waiting, (backoff(0, server_side=True, retry_after=0, dice=dice()), box, 1))
    attempts, back = [], []
    while waiting:
        at, box, attempt = heappop(waiting)
        attempts.append(at)
        if at >= outage:
            back.append(at)
        else:  # refused: see websocket.py, CannotConnect
            heappush(waiting, (at + backoff(attempt, server_side=True, retry_after=0, dice=dice()), box, attempt + 1))
    return Return(attempts, back)


def run(options: Options) -> list[Figure]:
    boxes, figures = options.times(BOXES), list[Figure]()
    for outage in OUTAGES:
        seen, what = fall_and_return(boxes, outage), f"{boxes} boxes, service down for {outage} s"
        figures.append(at_most(f"{what}: most that dial within one second", seen.peak(), "%", MOST_AT_ONCE))
        figures.append(at_most(f"{what}: 99 % are back after it within", seen.all_but(1) - outage, "s", 130))
    return figures
