"""Where the user's turns begin and end, by the energy of the sound alone.

Everything is counted in samples: a backlog that arrives in one burst gives the same turns as the same sound live.
"""

from collections import deque
from dataclasses import dataclass, field

from voicebox.audio.base import BLOCK, CAPTURE_RATE
from voicebox.audio.pcm import Change, SpeechGate, from_bytes

MIN_SPEECH_MS = 200
HANGOVER_MS = 700

_LEAD = 25  # blocks (0.5 s) before the gate opens that belong to the turn: 200 ms made it open, some led up to it
_LONGEST = 1_500  # blocks (30 s)
_BYTES = 2 * BLOCK


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody has been speaking for MIN_SPEECH_MS."""


@dataclass(frozen=True, slots=True)
class Turn:
    """All that was said in one turn, with about 200 ms of quiet at either end: s16le mono 16 kHz."""

    pcm: bytes = field(repr=False)

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / CAPTURE_RATE


class Turns:
    """Cuts a stream into turns. A turn ends after HANGOVER_MS of quiet, after 30 s, or with the stream."""

    def __init__(self) -> None:
        self._gate = SpeechGate(hangover_ms=HANGOVER_MS, min_speech_ms=MIN_SPEECH_MS)
        self._partial = bytearray()  # less than a block
        self._recent: deque[bytes] = deque(maxlen=_LEAD)
        self._turn: list[bytes] = []  # blocks, while somebody speaks

    def feed(self, pcm: bytes) -> list[SpeechStarted | Turn]:
        """The next stretch of the stream, s16le mono 16 kHz, of any length in whole samples."""
        self._partial += pcm
        whole = len(self._partial) - len(self._partial) % _BYTES
        blocks = [bytes(self._partial[at : at + _BYTES]) for at in range(0, whole, _BYTES)]
        del self._partial[:whole]
        events = (self._block(block) for block in blocks)
        return [event for event in events if event is not None]

    def finish(self) -> list[Turn]:
        """The stream ends here, and with it a turn that was going on. Another stream may follow."""
        turn = self._cut([*self._turn, bytes(self._partial)]) if self._turn else None
        self._partial.clear()
        self._recent.clear()
        return [turn] if turn else []

    def _block(self, block: bytes) -> SpeechStarted | Turn | None:
        change = self._gate.feed(from_bytes(block))
        (self._turn or self._recent).append(block)
        if change is Change.STARTED:
            self._turn = list(self._recent)
            self._recent.clear()
            return SpeechStarted()
        if change is Change.STOPPED:
            self._recent.extend(self._turn[-_LEAD:])  # may lead up to the next turn
            return self._cut(self._turn[:-_LEAD])
        return self._cut(self._turn) if len(self._turn) >= _LONGEST else None

    def _cut(self, blocks: list[bytes]) -> Turn:
        self._turn = []
        if self._gate.speaking:
            self._gate.reset()
        return Turn(b"".join(blocks))
