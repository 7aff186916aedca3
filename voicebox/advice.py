"""What another threshold of the wake word would mean: counts how high its score rose, and what came of it. Scores only,
no sound, and of a week only."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from voicebox import statefile
from voicebox.core.events import ButtonTapped, Event, HangUp, WakeDetected
from voicebox.core.scenes import Scene, flash
from voicebox.core.state import Phase, State

FLOOR = 0.2
"""Scores below are no near miss: they come up in any talk."""
BINS = 20
"""Peaks are counted in steps of 0.05, from 0 to 1."""
DAYS = 7
ENDS = 12
"""Hops (1 s) below FLOOR after which somebody has said it, and not twice."""
AGAIN = 8.0
"""Seconds after a near miss within which a wake says that the near miss was a call in vain."""
SAVE_AFTER = 600.0
"""Seconds of counting that a power cut may forget; what is not counted is not written."""
IN_THE_WAY = 10.0
"""Seconds after which it is tried again where somebody is talking to the box."""
MOST_PHRASES = 16

Counts = dict[str, dict[str, list[int]]]
"""phrase -> kind -> how many peaks in each step."""


class Kind(StrEnum):
    """What came of it when the score rose."""

    ANSWERED = "answered"  # it woke the box, somebody spoke, and the service answered
    SILENT = "silent"  # it woke the box, and nobody spoke, or somebody ended it at once
    UNCLEAR = "unclear"  # it woke the box, but no conversation came about: no network, a service in trouble
    MISSED = "missed"  # it did not wake the box
    AGAIN = "again"  # it did not, but a moment later the wake word did


class _Rise:
    """One time that a score rose above FLOOR."""

    def __init__(self, phrase: str, *, counts: bool) -> None:
        self.phrase = phrase
        self.counts = counts  # as a near miss, if nothing is detected
        self.peak = 0.0
        self.quiet = 0  # hops since it was last above
        self.over = False
        self.woke = False
        self.kind: Kind | None = None


class Advice:
    """All methods run on the event loop. ``heard`` is told every hop, ``follow`` every step of the conversation."""

    def __init__(
        self,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
    ) -> None:
        self._path = path
        self._loop = loop
        self._now = now
        self._days = _loaded(path)
        self._rises: dict[str, _Rise] = {}
        self._woken: list[_Rise] = []  # whose outcome is open
        self._miss: tuple[float, _Rise] | None = None  # the last near miss, and when it was over
        self._waiting = True  # the box is idle, and would be woken
        self._save: asyncio.TimerHandle | None = None

    def heard(self, scores: Mapping[str, float], *, playing: bool) -> None:
        """The newest scores. ``playing``: the box may be hearing itself, and what it misses then is none of ours."""
        for phrase, score in scores.items():
            if score >= FLOOR:
                rise = self._rises.get(phrase) or self._rises.setdefault(phrase, _Rise(phrase, counts=self._waiting))
                rise.peak, rise.quiet = max(rise.peak, score), 0
                rise.counts = rise.counts and not playing
            elif (risen := self._rises.get(phrase)) is not None:
                risen.quiet += 1
                if risen.quiet >= ENDS:
                    self._end(self._rises.pop(phrase))

    def follow(self, before: State, event: Event, after: State) -> None:
        """One step of the conversation."""
        self._waiting = after.phase is Phase.IDLE and not after.muted
        if isinstance(event, WakeDetected):
            self._wake(event, woke=before.phase is not after.phase)
        if before.phase is not after.phase and (kind := _outcome(before, event, after)) is not None:
            woken, self._woken = self._woken, []
            for rise in woken:
                rise.kind = kind
                self._settle(rise)

    def _wake(self, event: WakeDetected, *, woke: bool) -> None:
        rise = self._rises.get(event.model)
        if rise is None:  # a threshold below FLOOR
            rise = self._rises[event.model] = _Rise(event.model, counts=False)
        rise.peak = max(rise.peak, event.score)
        rise.counts = False
        if woke and not rise.woke:
            rise.woke = True
            self._woken.append(rise)
            self._was_called_before(event.model)

    def _was_called_before(self, phrase: str) -> None:
        if self._miss is not None and self._miss[1].phrase == phrase and self._loop.time() - self._miss[0] <= AGAIN:
            self._count(self._miss[1], Kind.MISSED, -1)
            self._count(self._miss[1], Kind.AGAIN)
        self._miss = None

    def _end(self, rise: _Rise) -> None:
        rise.over = True
        if rise.counts and self._waiting:
            self._miss = self._loop.time(), rise
            self._count(rise, Kind.MISSED)
        self._settle(rise)

    def _settle(self, rise: _Rise) -> None:
        """Count a wake once both are known: how high it rose, and what came of it."""
        if rise.over and rise.kind is not None:
            self._count(rise, rise.kind)

    def _count(self, rise: _Rise, kind: Kind, number: int = 1) -> None:
        today = self._days.setdefault(self._now().date().isoformat(), {})
        if rise.phrase not in today and len(today) >= MOST_PHRASES:
            return
        steps = today.setdefault(rise.phrase, {}).setdefault(kind, [0] * BINS)
        step = min(BINS - 1, int(rise.peak * BINS))
        steps[step] = max(0, steps[step] + number)
        if self._save is None:
            self._save = self._loop.call_later(SAVE_AFTER, self._write_when_idle)

    # what is kept

    def totals(self) -> Counts:
        """Of the last days, today included."""
        self._forget()
        total: Counts = {}
        for day in self._days.values():
            for phrase, kinds in day.items():
                for kind, steps in kinds.items():
                    known = total.setdefault(phrase, {}).setdefault(kind, [0] * BINS)
                    known[:] = [one + other for one, other in zip(known, steps, strict=True)]
        return total

    def close(self) -> None:
        """Keep what was counted. Safe to call twice."""
        if self._save is not None:
            self._write()

    def _write_when_idle(self) -> None:
        """A slow disk must not hold up a conversation."""
        if self._waiting:
            self._write()
        else:
            self._save = self._loop.call_later(IN_THE_WAY, self._write_when_idle)

    def _write(self) -> None:
        if self._save is not None:
            self._save.cancel()
            self._save = None
        self._forget()
        statefile.write(self._path, json.dumps(self._days))

    def _forget(self) -> None:
        """Days to come are kept: a clock that is not yet set is no reason to lose a week. But never more than DAYS."""
        oldest = (self._now().date() - timedelta(days=DAYS - 1)).isoformat()
        kept = sorted(day for day in self._days if day >= oldest)[-DAYS:]
        self._days = {day: self._days[day] for day in kept}


def _outcome(before: State, event: Event, after: State) -> Kind | None:
    """What this step says about the wake before it; None: nothing yet."""
    if after.phase in (Phase.THINKING, Phase.SPEAKING):
        return Kind.ANSWERED
    if after.phase is not Phase.IDLE:
        return None
    ended = isinstance(event, HangUp | ButtonTapped)
    return Kind.SILENT if ended or flash(before, event, after) is Scene.HEARD_NOTHING else Kind.UNCLEAR


def _loaded(path: Path) -> dict[str, Counts]:
    """What was kept, as far as it makes sense."""
    try:
        kept = json.loads(statefile.read(path) or "{}")
        return {date.fromisoformat(day).isoformat(): _counts(found) for day, found in kept.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _counts(found: Counts) -> Counts:
    """Raises ValueError, TypeError or AttributeError if it is something else after all."""
    for kinds in found.values():
        for kind, steps in kinds.items():
            if kind not in list(Kind) or len(steps) != BINS or not all(type(n) is int and n >= 0 for n in steps):
                raise ValueError("not what we write")
    return dict(found)
