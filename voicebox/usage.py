"""How long sessions were open today, and how much of what the owner allows a day is left."""

import json
import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from voicebox import statefile
from voicebox.errors import QuotaError

SAVE_EVERY = 60.0
"""Seconds of use that a power cut may forget."""


class Usage:
    """Counts seconds by the monotonic ``clock``; days are those of the local calendar, told by ``today``. Kept in
    ``path`` through restarts. ``limit`` in seconds a day, None: no limit."""

    def __init__(
        self,
        path: Path,
        limit: float | None,
        clock: Callable[[], float],
        today: Callable[[], str] = lambda: datetime.now().astimezone().date().isoformat(),
    ) -> None:
        self._path = path
        self._limit = limit
        self._clock = clock
        self._today = today
        self._day = today()
        self._seconds = self._load()
        self._since: float | None = None  # clock when the open session was last counted
        self._saved = self._seconds

    def opened(self) -> None:
        """A session is open."""
        self._count()
        self._since = self._clock()

    def closed(self) -> None:
        """No session is open. Safe to call twice."""
        self._count()
        self._since = None
        self._save()

    @property
    def used(self) -> float:
        """Seconds used today."""
        self._count()
        return self._seconds

    @property
    def left(self) -> float:
        """Seconds left today; infinite without a limit."""
        return math.inf if self._limit is None else max(0.0, self._limit - self.used)

    def permit(self) -> None:
        """Raise QuotaError if nothing is left."""
        if self.left <= 0 and self._limit is not None:
            raise QuotaError(
                f"the {self._limit / 60:.0f} minutes allowed a day (session.daily_minutes) are used up;"
                " the box talks again tomorrow"
            )

    def _count(self) -> None:
        now, day = self._clock(), self._today()
        if day != self._day:
            self._day, self._seconds, self._saved = day, 0.0, 0.0
            self._since = None if self._since is None else now
        if self._since is not None:
            self._seconds += now - self._since
            self._since = now
        if self._seconds - self._saved >= SAVE_EVERY:
            self._save()

    def _save(self) -> None:
        if self._seconds != self._saved:
            self._saved = self._seconds
            statefile.write(self._path, json.dumps({"day": self._day, "seconds": round(self._seconds, 1)}))

    def _load(self) -> float:
        try:
            kept = json.loads(statefile.read(self._path) or "{}")
            seconds = float(kept["seconds"]) if kept.get("day") == self._day else 0.0
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return 0.0
        return seconds if math.isfinite(seconds) and seconds >= 0 else 0.0
