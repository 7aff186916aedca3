"""What passed over a connection: kept in memory, or written to a directory, or neither."""

import json
import wave
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol

from voicebox.audio.base import CAPTURE_RATE

Direction = Literal["received", "sent"]


@dataclass(frozen=True, slots=True)
class Noted:
    """One message. ``at`` is loop time in seconds. Text is kept whole, of binary messages the number of bytes."""

    at: float
    direction: Direction
    text: str | None
    size: int


class Recorder(Protocol):
    def message(self, noted: Noted) -> None: ...

    def heard(self, pcm: bytes) -> None:
        """Uplink audio: s16le mono 16 kHz."""

    def said(self, reply: int, pcm: bytes, *, late: bool) -> None:
        """Audio of a reply, ``late`` if the reply was dead already: s16le mono 24 kHz."""

    def close(self) -> None: ...


@dataclass(slots=True)
class Memory:
    """Keeps everything, so it is not for boxes that run for a year."""

    messages: list[Noted] = field(default_factory=list)
    received_pcm: bytearray = field(default_factory=bytearray, repr=False)
    sent_pcm: dict[int, bytearray] = field(default_factory=dict, repr=False)
    late_pcm: dict[int, bytearray] = field(default_factory=dict, repr=False)

    def message(self, noted: Noted) -> None:
        self.messages.append(noted)

    def heard(self, pcm: bytes) -> None:
        self.received_pcm += pcm

    def said(self, reply: int, pcm: bytes, *, late: bool) -> None:
        (self.late_pcm if late else self.sent_pcm).setdefault(reply, bytearray()).extend(pcm)

    def close(self) -> None:
        """What was kept stays."""


class Disk:
    """``connection-NNN.wav`` (uplink audio) and ``.jsonl`` (messages) in a directory; overwrites nothing."""

    def __init__(self, directory: Path) -> None:
        stems = (directory / f"connection-{number:03}" for number in count(1))
        stem = next(stem for stem in stems if not stem.with_suffix(".jsonl").exists())
        self._log = stem.with_suffix(".jsonl").open("x", buffering=1, encoding="utf-8")
        self._wav = wave.open(str(stem.with_suffix(".wav")), "wb")  # noqa: SIM115  # closed by close()
        self._wav.setnchannels(1)
        self._wav.setsampwidth(2)
        self._wav.setframerate(CAPTURE_RATE)

    def message(self, noted: Noted) -> None:
        line: dict[str, Any] = {"at": round(noted.at, 4), "direction": noted.direction}
        line |= {"bytes": noted.size} if noted.text is None else {"text": noted.text}
        self._log.write(json.dumps(line, ensure_ascii=False) + "\n")

    def heard(self, pcm: bytes) -> None:
        self._wav.writeframes(pcm)

    def said(self, reply: int, pcm: bytes, *, late: bool) -> None:
        """The messages tell enough."""

    def close(self) -> None:
        self._wav.close()
        self._log.close()
