"""The demo's summary: figures computed from the recordings, as lines for people and as JSON."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.wavfile import FlushMark, WavBackend
from voicebox.demo.figures import (
    Samples,
    Span,
    Uplink,
    altered,
    altered_beyond_compression,
    compare_uplink,
    expected_spans,
    first_sound,
    stale,
)
from voicebox.demo.stage import Stage
from voicebox.simulator.recording import Memory

SILENT_WITHIN = 0.020
"""Seconds of sound that may be heard after a flush, its fade included."""

_UTTERANCE = 10_000  # bytes; only a whole utterance makes so long a message to a service that takes them whole


@dataclass(frozen=True, slots=True)
class Reply:
    first_audio_ms: float  # from the end of what was said to the first audible sample
    played_ms: float
    altered: int  # samples not heard as they were sent, up to the flush

    def as_dict(self) -> dict[str, float]:
        return {"first_audio_ms": round(self.first_audio_ms, 1), "played_ms": round(self.played_ms, 1)}


@dataclass(frozen=True, slots=True)
class Interruption:
    source: str
    heard_after_ms: float  # sound of the dead reply after the flush
    stale_samples: int  # samples of it after it should have been silent

    def as_dict(self) -> dict[str, Any]:
        rounded = round(self.heard_after_ms, 1)
        return {"source": self.source, "heard_after_ms": rounded, "stale_samples": self.stale_samples}


@dataclass(frozen=True, slots=True)
class EarlyStart:
    """How soon an answer sounds whose sound comes compressed, counted from the moment the service had the question."""

    first_sound_ms: float
    last_chunk_ms: float  # until which one would wait who decodes it when it is complete

    def as_dict(self) -> dict[str, float]:
        return {"first_sound_ms": round(self.first_sound_ms, 1), "last_chunk_ms": round(self.last_chunk_ms, 1)}


@dataclass
class Report:
    stage: Stage
    backend: WavBackend
    connections: list[Memory]
    said: list[Span] = field(default_factory=list)
    failure: str = ""
    files: list[str] = field(default_factory=list)
    uplink: Uplink = field(init=False)
    replies: list[Reply] = field(init=False)
    interruptions: list[Interruption] = field(init=False)

    def __post_init__(self) -> None:
        self.service = self.stage.app.adapter.capabilities
        self.uplink = self._compare_uplink()
        self.replies = [self._reply(number) for number in range(len(self.stage.replies))]
        flushes = [mark for mark in self.backend.flushes if mark.reply_id]
        pairs = zip(self.stage.interruptions, flushes, strict=False)
        self.interruptions = [self._interruption(source, mark) for source, mark in pairs]
        self.early_start = self._early_start()

    def _compare_uplink(self) -> Uplink:
        received = np.frombuffer(b"".join(bytes(c.received_pcm) for c in self.connections), "<i2")
        mic = self.backend.mic
        allowed = [
            (stretch.start, len(mic) if stretch.end is None else stretch.end) for stretch in self.stage.stretches
        ]
        return compare_uplink(mic, received, allowed, expected_spans(allowed, self.said), self.service.uplink_rate)

    @property
    def ok(self) -> bool:
        return not self.problems()

    def problems(self) -> list[str]:
        """What was to be shown and was not."""
        up = self.uplink
        last_word = self.said[-1][1] if self.said else 0
        by_voice = "server" if self.service.server_interrupts else "wake_word"
        checks = {
            self.failure: bool(self.failure),
            "the wake word was not heard": not self.stage.wakes,
            "no session was opened": not self.stage.connects,
            "no audio reached the service": up.samples == 0,
            f"{up.lost} samples were lost on the way to the service": up.lost > 0,
            f"{up.duplicated} samples were sent twice": up.duplicated > 0,
            f"{up.unasked} samples reached the service that it was not to hear": up.unasked > 0,
            f"{up.foreign} samples reached the service that nobody had said": up.foreign > 0,
            "the end of what was said did not reach the service": up.end < last_word,
            "there were not two replies": len(self.replies) != 2,
            "a reply was not heard as it was sent": any(r.altered for r in self.replies),
            "there was no interruption by voice and by button": self.stage.interruptions != [by_voice, "button"],
            "a dead reply was heard after its interruption": any(i.stale_samples for i in self.interruptions),
            "an interruption took longer than 20 ms": any(i.heard_after_ms > 20 for i in self.interruptions),
            "an answer that comes in pieces was kept until its last": self._waited,
        }
        return [text for text, wrong in checks.items() if wrong]

    def _spans(self, reply_id: int) -> list[tuple[int, int]]:
        return [(first, end) for reply, first, end in self.backend.speaker.spoken if reply == reply_id]

    def _reply(self, number: int) -> Reply:
        """Figures of the nth reply, which answers the nth thing said."""
        spans = self._spans(self.stage.replies[number])
        if not spans or number >= len(self.said):
            return Reply(0.0, 0.0, 0)
        begin, end = spans[0][0], spans[-1][1]
        speaker = self.backend.spk
        flush = next((m.index for m in self.backend.flushes if begin <= m.index < end + PLAYBACK_RATE), end)
        sound = first_sound(speaker, begin, end) or begin
        asked = self.said[number][1] / CAPTURE_RATE
        wrong = self._altered(speaker, begin, self._sent(number), min(flush, end) - begin)
        return Reply((sound / PLAYBACK_RATE - asked) * 1000, (min(flush, end) - begin) / PLAYBACK_RATE * 1000, wrong)

    @property
    def _altered(self) -> Callable[[Samples, int, Samples, int], int]:
        return altered_beyond_compression if "MP3" in self.service.downlink else altered

    @property
    def _waited(self) -> bool:
        early = self.early_start
        return early is not None and early.first_sound_ms >= early.last_chunk_ms

    def _early_start(self) -> EarlyStart | None:
        """Of the first reply; None where the service does not take whole utterances, or answered none."""
        messages = [message for connection in self.connections for message in connection.messages]
        asked = [m.at for m in messages if m.direction == "received" and m.size > _UTTERANCE]
        first = next(iter(self.stage.replies), 0)
        spans = self._spans(first)
        if self.service.streams or not asked or not spans or first not in self.stage.complete:
            return None
        heard = first_sound(self.backend.spk, spans[0][0], spans[-1][1]) or spans[-1][1]
        sound = self.backend.started + heard / PLAYBACK_RATE
        return EarlyStart((sound - asked[0]) * 1000, (self.stage.complete[first] - asked[0]) * 1000)

    def _sent(self, number: int) -> Samples:
        sent = [pcm for connection in self.connections for _, pcm in sorted(connection.sent_pcm.items())]
        return np.frombuffer(bytes(sent[number]) if number < len(sent) else b"", "<i2")

    def _interruption(self, source: str, mark: FlushMark) -> Interruption:
        following = [first for reply, first, _ in self.backend.speaker.spoken if reply > mark.floor]
        silent_from = mark.index + round(SILENT_WITHIN * PLAYBACK_RATE)
        until = min([first for first in following if first > mark.index], default=len(self.backend.spk))
        after = self.backend.heard_after(mark) / PLAYBACK_RATE * 1000
        return Interruption(source, after, stale(self.backend.spk, silent_from, until))

    # for people and programs

    def lines(self) -> list[str]:
        """The summary."""
        rows = [("wake word", f"{wake.model}, score {wake.score:.3f}") for wake in self.stage.wakes]
        rows += [("connect", f"{seconds * 1000:.0f} ms from dialling to ready") for seconds in self.stage.connects]
        up = self.uplink
        rows.append(("uplink", f"{up.samples} samples, {up.lost} lost, {up.duplicated} sent twice"))
        rows.append(("pre-roll", f"{self.preroll_ms:.0f} ms from before the wake word was recognised"))
        for number, reply in enumerate(self.replies, 1):
            text = f"first sound {reply.first_audio_ms:.0f} ms after the question, {reply.played_ms:.0f} ms heard"
            rows.append((f"reply {number}", f"{text}, {reply.altered} samples altered"))
        for cut in self.interruptions:
            text = f"{cut.heard_after_ms:.1f} ms heard after it, {cut.stale_samples} stale samples"
            rows.append((f"cut by {cut.source.replace('_', ' ')}", text))
        if self.early_start is not None:
            early, late = self.early_start.first_sound_ms, self.early_start.last_chunk_ms
            text = f"first sound {early:.0f} ms after the question was there; waiting for the last piece: {late:.0f} ms"
            rows.append(("early start", text))
        rows += [("saved", name) for name in self.files]
        summary = [f"  {name:16} {text}" for name, text in rows]
        return [
            "",
            *summary,
            "",
            *(f"FAILED: {problem}" for problem in self.problems()),
            *(["all of it happened"] * self.ok),
        ]

    @property
    def preroll_ms(self) -> float:
        if not self.stage.wakes or self.uplink.start < 0:
            return 0.0
        return (self.stage.wakes[0].at - self.uplink.start) / CAPTURE_RATE * 1000

    def as_dict(self) -> dict[str, Any]:
        up = self.uplink
        return {
            "service": self.service.name,
            "wake": [{"model": wake.model, "score": round(wake.score, 4)} for wake in self.stage.wakes],
            "sessions": [{"service": self.service.name, "connect_ms": round(s * 1000, 1)} for s in self.stage.connects],
            "uplink": {
                "samples": up.samples,
                "lost": up.lost,
                "duplicated": up.duplicated,
                "unasked": up.unasked,
                "foreign": up.foreign,
                "preroll_ms": round(self.preroll_ms, 1),
            },
            "replies": [reply.as_dict() for reply in self.replies],
            "interruptions": [cut.as_dict() for cut in self.interruptions],
            **({"early_start": self.early_start.as_dict()} if self.early_start else {}),
            "problems": self.problems(),
            "ok": self.ok,
        }
