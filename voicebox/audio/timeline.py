"""Which sample of which reply is heard when, told from what the card took and the time it said."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Span:
    """Sound handed over: which part of which reply is heard when."""

    heard_at: float
    until: float
    reply_id: int
    start: int  # samples of the reply before it


class Timeline:
    """What has been handed to a card that plays ``rate`` samples a second. Times are seconds of one clock, ``now`` by
    the same clock never goes back."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.handed = (0, 0)
        """The reply handed over last, and how many samples of it so far."""
        self.until = 0.0
        """When the last sample handed over has been heard."""
        self._spans: deque[_Span] = deque()

    def note(self, reply_id: int, count: int, heard_at: float, now: float) -> float:
        """The card got the reply's next ``count`` samples, the first is heard at ``heard_at``; returns when all are."""
        start = self.handed[1] if self.handed[0] == reply_id else 0
        self.until = heard_at + count / self.rate
        self._spans.append(_Span(heard_at, self.until, reply_id, start))
        self.handed = (reply_id, start + count)
        self._forget(now)
        return self.until

    def heard(self, now: float) -> tuple[int, int]:
        """(reply being heard, samples of it heard so far); (0, 0) in silence."""
        self._forget(now)
        if not self._spans:
            return 0, 0
        span = self._spans[0]
        if now < span.heard_at and not span.start:
            return 0, 0
        return span.reply_id, span.start + round(max(0.0, now - span.heard_at) * self.rate)

    def retune(self, rate: int) -> None:
        """Another card, of this rate: what the last one still held is not heard any more."""
        reply_id, count = self.handed
        self.handed = (reply_id, round(count * rate / self.rate))
        self.rate = rate
        self._spans.clear()

    def _forget(self, now: float) -> None:
        while self._spans and self._spans[0].until <= now:
            self._spans.popleft()
