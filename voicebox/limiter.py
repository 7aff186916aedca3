"""Keeps to a service's limits: how long a message must wait so that never too many fall into any stretch of time.

Pure: the caller brings the time, in seconds that never go back.
"""

from collections import deque
from collections.abc import Iterable

from voicebox.services.base import Rate

MARGIN = 0.02
"""Messages sent evenly do not arrive evenly."""


class Limiter:
    """Keeps to ``Capabilities.rates``, over all connections: services count by account and address, not by connection.
    A limit of the kind "any" counts all messages. The service counts by its own clock what arrives, so each stretch is
    taken a little longer than it is (``margin``, a fraction)."""

    def __init__(self, rates: Iterable[Rate], *, margin: float = MARGIN) -> None:
        self._limits = [(rate.kind, rate.seconds * (1 + margin), deque[float](maxlen=rate.messages)) for rate in rates]

    def delay(self, kind: str, now: float) -> float:
        """Seconds until a message of this kind may be sent: "audio" or "text"."""
        waits = [sent[0] + stretch - now for of, stretch, sent in self._of(kind) if len(sent) == sent.maxlen]
        return max(0.0, *waits) if waits else 0.0

    def sent(self, kind: str, now: float) -> None:
        """One was sent."""
        for _, _, sent in self._of(kind):
            sent.append(now)

    def _of(self, kind: str) -> list[tuple[str, float, deque[float]]]:
        return [limit for limit in self._limits if limit[0] in (kind, "any")]
