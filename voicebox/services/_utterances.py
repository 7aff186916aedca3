"""Utterances for services that take them whole: recorded, limited, and kept waiting while another is in flight."""

from collections import deque

from voicebox.core.events import SessionWarning

RATE = 16_000
SHORTEST = 300 * RATE // 1000 * 2  # bytes; what is shorter is a click or a cough
LONGEST = 20 * RATE * 2  # bytes
WAITING = 2  # utterances that may wait for the one in flight


class Utterances:
    """All sound is s16le mono at 16 kHz."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What was said to another connection is stale."""
        self._recording: bytearray | None = None
        self._too_long = False
        self._waiting: deque[bytes] = deque()

    @property
    def recording(self) -> bool:
        return self._recording is not None

    def start(self) -> None:
        if self._recording is None:
            self._recording, self._too_long = bytearray(), False

    def add(self, pcm: bytes) -> None:
        if self._recording is not None:
            room = LONGEST - len(self._recording)
            self._recording += pcm[:room]
            self._too_long |= len(pcm) > room

    def stop(self) -> list[SessionWarning]:
        """The recording is complete, and waits to be sent; unless it is too short or there was none."""
        pcm, self._recording = self._recording, None
        if pcm is None:
            return []
        if len(pcm) < SHORTEST:
            text = f"{len(pcm) // 2 * 1000 // RATE} ms are too short to be understood: not sent"
            return [SessionWarning("too_short", text)]
        self._waiting.append(bytes(pcm))
        if self._too_long:
            return [SessionWarning("too_long", f"only the first {LONGEST // 2 // RATE} s of what was said are sent")]
        return []

    def limit(self) -> list[SessionWarning]:
        """Those that still wait when the next may be sent are limited in number: the oldest go."""
        if len(self._waiting) <= WAITING:
            return []
        self._waiting.popleft()
        return [SessionWarning("dropped", "the service is too slow: the oldest of what was said is not sent")]

    def take(self) -> bytes | None:
        """The next to be sent."""
        return self._waiting.popleft() if self._waiting else None

    def drop_waiting(self) -> None:
        self._waiting.clear()
