"""What the box hears, in figures, for whoever looks. While nobody does, nothing is computed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from voicebox.audio.pcm import from_bytes, level, peak
from voicebox.wake.base import Scored

Read = Callable[[], dict[str, Any]]


class Heard(Protocol):
    """Told of every block while somebody looks."""

    def before(self, pcm: bytes) -> None:
        """As the microphone delivers it."""

    def after(self, pcm: bytes) -> None:
        """As the service would hear it."""


class Source(Protocol):
    """Whoever has the blocks."""

    meter: Heard | None


class Meters:
    """All methods run on the event loop. ``scored``: whoever scores hops tells those who are in this list."""

    def __init__(self, source: Source, scored: list[Scored], look: Callable[[], Mapping[str, Any]]) -> None:
        """``look``: what else is to be told, taken at the moment of reading."""
        self._source = source
        self._scored = scored
        self._look = look
        self._readings: list[_Reading] = []

    @contextmanager
    def reading(self) -> Iterator[Read]:
        """For one who looks; each call tells of the time since the last one."""
        reading = _Reading()
        self._readings.append(reading)
        self._scored.append(reading.scored)
        self._source.meter = self
        try:
            yield lambda: {"event": "Meters", **reading.take(), **self._look()}
        finally:
            self._readings.remove(reading)
            self._scored.remove(reading.scored)
            if not self._readings:
                self._source.meter = None

    def before(self, pcm: bytes) -> None:
        found = _measured(pcm)
        for reading in self._readings:
            reading.before.add(found)

    def after(self, pcm: bytes) -> None:
        found = _measured(pcm)
        for reading in self._readings:
            reading.after.add(found)


def _measured(pcm: bytes) -> tuple[float, float]:
    """Level (RMS) and peak in dBFS."""
    samples = from_bytes(pcm)
    return level(samples), peak(samples)


class _Loudest:
    """Of the blocks since the last look, the loudest; and the highest peak."""

    def __init__(self) -> None:
        self._found: tuple[float, float] | None = None

    def add(self, found: tuple[float, float]) -> None:
        seen = self._found
        self._found = found if seen is None else (max(seen[0], found[0]), max(seen[1], found[1]))

    def take(self) -> dict[str, float] | None:
        """None: there was no block."""
        found, self._found = self._found, None
        return None if found is None else {"level": round(found[0], 1), "peak": round(found[1], 1)}


class _Reading:
    """What came since its reader last looked."""

    def __init__(self) -> None:
        self.before, self.after = _Loudest(), _Loudest()
        self._scores: dict[str, float] = {}

    def scored(self, scores: Mapping[str, float], *, playing: bool) -> None:
        del playing
        for phrase, score in scores.items():
            self._scores[phrase] = max(score, self._scores.get(phrase, 0.0))

    def take(self) -> dict[str, Any]:
        scores, self._scores = self._scores, {}
        rounded = {phrase: round(score, 3) for phrase, score in scores.items()}
        return {"before": self.before.take(), "after": self.after.take(), "scores": rounded}
