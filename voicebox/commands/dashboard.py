"""What ``voicebox monitor`` shows: the news of a box in, lines of styled text out. Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from voicebox.commands.plot import bar, column

Span = tuple[str, str]
"""Style, text."""
Line = list[Span]

STYLES = ("title", "dim", "good", "warn", "bad", "strong", "text")
LEAST = (40, 8)
"""Columns and rows below which nothing sensible can be shown."""
FAINTEST = -80.0
"""dBFS at the left end of a level meter."""
LOUD, CLIPPING = -12.0, -1.0
"""dBFS from which a peak is yellow, and red."""
NAME = 13
"""Columns for what a line is about."""
KEPT = 200
"""Events remembered."""
SECONDS = 60
"""For how long the scores are remembered, at ten a second."""

PHASES = {"idle": "dim", "connecting": "warn", "listening": "good", "thinking": "warn", "speaking": "good"}
TOO_MUCH = {"VendorRaw", "ParticipantChanged", "SessionUpdated"}
"""Events that say little about the box."""
LATENCIES = (
    ("wake_to_uplink", "wake to sending"),
    ("speech_to_sound", "question to sound"),
    ("interrupt_to_silence", "cut to silence"),
)


class Dashboard:
    """Everything that is known of the box. ``plain``: ASCII only."""

    def __init__(self, *, plain: bool = False) -> None:
        self.plain = plain
        self.speech = True
        """What is said is shown."""
        self.away = ""
        """Why the box does not answer; "" while it does."""
        self._meters: Mapping[str, Any] = {}
        self._status: Mapping[str, Any] = {}
        self._thresholds: dict[str, float] = {}
        self._scores: deque[float] = deque(maxlen=SECONDS * 10)
        self._said: dict[str, str] = {}
        self._reply: tuple[object, str] = None, ""
        self._events: deque[tuple[str, str]] = deque(maxlen=KEPT)

    # what is told

    def status(self, answer: Mapping[str, Any], phrases: Sequence[Mapping[str, Any]] = ()) -> None:
        self._status = answer
        self._thresholds = {phrase["model"]: phrase["threshold"] for phrase in phrases} or self._thresholds

    def event(self, event: Mapping[str, Any], clock: str) -> None:
        """One object of ``watch``; ``clock``: what time it is."""
        name = event.get("event")
        if name == "Meters":
            self._meters = event
            self._scores.append(max(event["scores"].values(), default=0.0))
        elif name == "Transcript":
            self._said["service" if event.get("role") != "user" else "you"] = str(event.get("text", ""))
        elif name == "ReplyText":
            self._answer(event)
        elif name not in TOO_MUCH:
            self._events.append((clock, _summary(event)))

    def _answer(self, event: Mapping[str, Any]) -> None:
        """Replies are told piece by piece."""
        number, before = self._reply
        text = str(event.get("text", ""))
        self._reply = event.get("reply_id"), before + text if number == event.get("reply_id") else text
        self._said["service"] = self._reply[1]

    # what is shown

    def lines(self, columns: int, rows: int) -> list[Line]:
        """At most ``rows`` lines, meant for ``columns`` columns."""
        if columns < LEAST[0] or rows < LEAST[1]:
            return [[("warn", f"too small: {LEAST[0]}x{LEAST[1]} at least")]][:rows]
        shown = [self._title(columns), [("dim", ("-" if self.plain else "─") * columns)]]
        if self.away:
            shown += [[("bad", f" {part}")] for part in wrap(self.away, columns - 2)]
            return [*shown, [("dim", " It is shown again as soon as it answers; q quits.")]][:rows]
        shown += [self._doing(), [], *self._levels(columns), self._wake(columns), self._past(columns), []]
        shown += self._details(columns)
        shown += [[], *self._speech(columns)]
        return self._with_events(shown, columns, rows)[:rows]

    def _title(self, columns: int) -> Line:
        name = f" voicebox {self._status.get('version', '')}  {self._status.get('service', '')}"
        keys = ("t hides" if self.speech else "t shows") + " what is said  q quits "
        return [("title", name.ljust(columns - len(keys))[: columns - len(keys)] + keys)]

    def _doing(self) -> Line:
        reading = self._meters
        phase = str(reading.get("phase", "idle"))
        line: Line = [(PHASES.get(phase, "strong"), f" {'*' if self.plain else '●'} {phase:12}")]
        line.append(("text", f" light: {_words(reading.get('scene')) or '-'}  "))
        if reading.get("sending"):
            line.append(("warn", " the microphone goes to the service"))
        if reading.get("muted"):
            line.append(("warn", " muted: the microphone is closed"))
        if fault := reading.get("fault"):
            line.append(("bad", f" {fault}"))
        return line

    def _levels(self, columns: int) -> list[Line]:
        return [
            self._level("microphone", self._meters.get("before"), columns),
            self._level("to service", self._meters.get("after"), columns),
        ]

    def _level(self, name: str, found: Mapping[str, float] | None, columns: int) -> Line:
        width = columns - NAME - 24
        if found is None:
            return [("dim", f" {name:{NAME - 1}}"), ("dim", "  no sound")]
        level, peak = found["level"], found["peak"]
        style = "bad" if peak >= CLIPPING else "warn" if peak >= LOUD else "good"
        drawn = bar(1 - level / FAINTEST, width, 1 - peak / FAINTEST, ascii_only=self.plain)
        return [
            ("dim", f" {name:{NAME - 1}}"),
            ("text", f"{level:5.0f} dB "),
            (style, drawn),
            ("dim", f" peak {peak:4.0f}"),
        ]

    def _wake(self, columns: int) -> Line:
        scores = self._meters.get("scores") or {}
        phrase, score = max(scores.items(), key=lambda item: item[1], default=("", 0.0))
        threshold = self._thresholds.get(phrase, 0.5)
        style = "good" if score >= threshold else "text"
        drawn = bar(score, columns - NAME - 24, threshold, ascii_only=self.plain)
        name = (_spoken(phrase) or "wake word")[: NAME - 2]
        best = max(self._scores, default=0.0)
        return [
            ("dim", f" {name:{NAME - 1}}"),
            ("text", f"{score:7.2f} "),
            (style, f" {drawn}"),
            ("dim", f" best {best:4.2f}"),
        ]

    def _past(self, columns: int) -> Line:
        """The scores of the last seconds, the newest on the right."""
        width = columns - NAME - 24
        each = max(1, -(-SECONDS * 10 // width))
        scores = list(self._scores)
        groups = [max(scores[max(0, end - each) : end]) for end in range(len(scores), 0, -each)][:width]
        drawn = "".join(column(max(score, 1 / 8), ascii_only=self.plain) for score in reversed(groups))
        return [("dim", f" {f'last {SECONDS} s':{NAME - 1}}" + " " * 9), ("text", drawn.rjust(width))]

    def _details(self, columns: int) -> list[Line]:
        status, reading = self._status, self._meters
        rtt, left = status.get("rtt_ms"), status.get("minutes_left")
        session = "open" if status.get("connected") else "none"
        session += f", ready in {status['connect_ms']:.0f} ms" if status.get("connect_ms") else ""
        session += f", {rtt:.0f} ms there and back" if rtt is not None else ""
        if status.get("link") == "backoff":
            session = "waits to dial again"
        uplink = status.get("uplink") or {}
        sent, lost = (uplink.get(key, 0) / 16_000 for key in ("sent", "dropped"))
        today = f"{status.get('minutes_today', 0)} min today" + (f", {left} left" if left is not None else "")
        latency = status.get("latency_ms") or {}
        marks = [f"{words} {latency[key]:.0f} ms" for key, words in LATENCIES if key in latency]
        queued = f", {reading['queued_s']:.1f} s still to be heard" if reading.get("queued_s") else ""
        found = [
            ("session", f"{session}; {today}"),
            ("sent", f"{_time(sent)} since the start" + (f", {_time(lost)} lost" if lost else ", nothing lost")),
            ("speaker", f"volume {status.get('volume', '-')}, {status.get('underruns', 0)} under-runs{queued}"),
            ("echo", _echo(status.get("echo"))),
            ("latency", ", ".join(marks) or "-"),
        ]
        return [[("dim", f" {name:{NAME - 1}}"), ("text", text[: columns - NAME])] for name, text in found]

    def _speech(self, columns: int) -> list[Line]:
        if not self.speech:
            return [[("dim", " what is said is not shown")], []]
        found: list[Line] = []
        for who in ("you", "service"):
            text = _printable(self._said.get(who, "-"))
            room = columns - NAME
            text = text if len(text) <= room else "…"[: not self.plain] + text[-room + 1 :]
            found.append([("dim", f" {who:{NAME - 1}}"), ("strong", text)])
        return found

    def _with_events(self, shown: list[Line], columns: int, rows: int) -> list[Line]:
        room = rows - len(shown) - 1
        if room < 1 or not self._events:
            return shown
        latest = list(self._events)[-room:]
        return [*shown, [], *([("dim", f" {clock} "), ("text", text[: columns - 10])] for clock, text in latest)]


def _summary(event: Mapping[str, Any]) -> str:
    """One event in a line, without what somebody said."""
    name = _words_of(str(event.get("event", "")))
    told = {
        "WakeDetected": lambda: f"{_spoken(event['model'])}, score {event['score']:.2f}",
        "SessionLost": lambda: str(event["message"]),
        "SessionEnded": lambda: str(event["message"]),
        "ServiceError": lambda: str(event["code"]),
        "DeviceLost": lambda: f"{event['device']}: {event['message']}",
        "DeviceReady": lambda: str(event["device"]),
        "TimerExpired": lambda: str(event["timer"]),
    }.get(str(event.get("event")))
    detail = told() if told else ""
    return _printable(f"{event.get('phase', ''):10}  {name}" + (f" ({detail})" if detail else ""))


def _words_of(name: str) -> str:
    """``WakeDetected``: wake detected."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _words(scene: object) -> str:
    return "" if scene is None else str(scene).replace("_", " ")


def _spoken(phrase: str) -> str:
    return Path(phrase).stem.replace("_", " ")


def _echo(echo: Mapping[str, Any] | None) -> str:
    if echo is None:
        return "not cancelled"
    if not echo.get("cancelled"):
        return "not yet learnt"
    return f"taken out, {echo.get('attenuation_db', 0):.0f} dB"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _printable(text: str) -> str:
    """What somebody else wrote must not steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
