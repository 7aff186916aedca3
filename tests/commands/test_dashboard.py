"""What the monitor shows, as lines of text."""

from typing import Any

import pytest

from voicebox.commands.dashboard import LEAST, STYLES, Dashboard

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "service": "lira",
    "connected": True,
    "connect_ms": 480.2,
    "rtt_ms": 31.4,
    "minutes_today": 12.5,
    "minutes_left": None,
    "latency_ms": {"wake_to_uplink": 12.0, "interrupt_to_silence": 24.0},
    "uplink": {"sent": 16_000 * 133, "dropped": 0},
    "volume": 70,
    "underruns": 0,
    "echo": {"cancelled": True, "attenuation_db": 31.2},
}
PHRASE = {"model": "hey_jarvis", "threshold": 0.5, "patience": 1}


def meters(level: float = -40.0, score: float = 0.02, **more: Any) -> dict[str, Any]:
    rest = {"phase": "idle", "fault": None, "muted": False, "scene": "idle", "sending": False, "queued_s": 0.0}
    heard = {"before": {"level": level, "peak": level + 10}, "after": {"level": level - 8, "peak": level}}
    return {"event": "Meters", **heard, "scores": {"hey_jarvis": score}, **rest, **more}


def shown(*events: dict[str, Any], columns: int = 80, rows: int = 24, plain: bool = False) -> list[str]:
    board = Dashboard(plain=plain)
    board.status(STATUS, [PHRASE])
    for event in events:
        board.event(event, "12:03:11")
    return text(board, columns, rows)


def text(board: Dashboard, columns: int = 80, rows: int = 24) -> list[str]:
    lines = board.lines(columns, rows)
    assert {style for line in lines for style, _ in line} <= set(STYLES)
    return ["".join(span for _, span in line).rstrip() for line in lines]


def line(lines: list[str], name: str) -> str:
    return next(each for each in lines if each.startswith(f" {name}"))


def test_at_80_by_24_all_of_it_is_there() -> None:
    lines = shown(
        meters(-40.0, 0.02, phase="speaking", scene="speaking", sending=True, queued_s=1.25),
        {"event": "Transcript", "role": "user", "text": "what time is it", "phase": "thinking"},
        {"event": "ReplyText", "reply_id": 1, "text": "It is ", "phase": "thinking"},
        {"event": "ReplyText", "reply_id": 1, "text": "nine.", "phase": "speaking"},
        {"event": "WakeDetected", "model": "hey_jarvis", "score": 0.987, "at": 5, "phase": "connecting"},
    )
    assert " ".join(lines[0].split()) == "voicebox 0.1.0 lira t hides what is said q quits"
    assert lines[2].split() == [
        "●",
        "speaking",
        "light:",
        "speaking",
        "the",
        "microphone",
        "goes",
        "to",
        "the",
        "service",
    ]
    assert line(lines, "microphone").startswith(" microphone    -40 dB ██████")
    assert line(lines, "microphone").endswith("peak  -30")
    assert line(lines, "to service").startswith(" to service    -48 dB ██████")
    assert line(lines, "hey jarvis").startswith(" hey jarvis     0.02  ▉")
    assert line(lines, "session").endswith("open, ready in 480 ms, 31 ms there and back; 12.5 min today")
    assert line(lines, "sent").endswith("2 min 13 s since the start, nothing lost")
    assert line(lines, "speaker").endswith("volume 70, 0 under-runs, 1.2 s still to be heard")
    assert line(lines, "echo").endswith("taken out, 31 dB")
    assert line(lines, "latency").endswith("wake to sending 12 ms, cut to silence 24 ms")
    assert line(lines, "you").endswith("what time is it")
    assert line(lines, "service").endswith("It is nine.")
    assert line(lines, "12:03:11").endswith("connecting  wake detected (hey jarvis, score 0.99)")
    assert len(lines) <= 24


@pytest.mark.parametrize("rows", [8, 12, 24, 50])
@pytest.mark.parametrize("columns", [40, 80, 140])
@pytest.mark.parametrize("plain", [False, True])
def test_it_never_grows_beyond_the_terminal(columns: int, rows: int, plain: bool) -> None:
    events = [meters(level / 10, level % 100 / 100) for level in range(-1000, 0)]
    events += [{"event": "HangUp", "phase": "idle"}] * 300
    events += [{"event": "Transcript", "role": "user", "text": "word " * 300}]
    lines = shown(*events, columns=columns, rows=rows, plain=plain)
    assert len(lines) <= rows
    if columns >= 80:
        assert max(map(len, lines)) <= columns
    assert "".join(lines).isascii() or not plain


@pytest.mark.parametrize(("columns", "rows"), [(LEAST[0] - 1, 50), (140, LEAST[1] - 1), (1, 1), (5, 0)])
def test_a_terminal_that_is_too_small_is_told(columns: int, rows: int) -> None:
    lines = shown(meters(), columns=columns, rows=rows)
    assert lines == ["too small: 40x8 at least"][:rows]


def test_what_is_said_can_be_hidden_and_is_in_no_other_line() -> None:
    board = Dashboard()
    for who, words in (("user", "my secret diary"), ("assistant", "your secret diary")):
        board.event({"event": "Transcript", "role": who, "text": words, "phase": "thinking"}, "12:00:00")
        board.event({"event": "TextAsked", "text": words, "phase": "thinking"}, "12:00:00")
    board.event({"event": "ServiceError", "code": "500", "message": "diary", "phase": "idle"}, "12:00:00")
    assert "my secret diary" in "".join(text(board))
    board.speech = False
    assert "diary" not in "".join(text(board))


@pytest.mark.parametrize("evil", ["\x1b]0;owned\x07", "\x1b[2J", "a\nb", "\x9b31m", "a\rb"])
def test_what_others_wrote_does_not_steer_the_terminal(evil: str) -> None:
    lines = shown(
        meters(),
        {"event": "Transcript", "role": "user", "text": evil, "phase": "idle"},
        {"event": "SessionLost", "message": evil, "phase": "idle"},
        {"event": evil, "phase": evil},
    )
    assert "".join(lines).isprintable()


def test_the_end_of_what_is_said_is_seen() -> None:
    said = {"event": "Transcript", "role": "user", "text": "a long story " * 20 + "and its end", "phase": "idle"}
    assert line(shown(meters(), said), "you").endswith("and its end")


def test_the_newest_events_are_seen() -> None:
    lines = shown(meters(), *[{"event": "ServiceError", "code": str(n), "phase": "idle"} for n in range(99)])
    assert lines[-1].endswith("(98)")
    assert len(lines) == 24


def test_trouble_is_in_the_first_line() -> None:
    assert "service cannot be reached" in shown(meters(fault="service cannot be reached"))[2]
    assert "muted: the microphone is closed" in shown(meters(muted=True, before=None, after=None))[2]
    assert line(shown(meters(before=None)), "microphone").endswith("no sound")


def test_a_box_that_does_not_answer_is_all_there_is() -> None:
    board = Dashboard()
    board.event(meters(), "12:00:00")
    board.away = "no voicebox answers on /run/voicebox/control.sock: is it running? (systemctl status voicebox)"
    lines = text(board)
    assert " ".join(each.strip() for each in lines[2:4]) == board.away
    assert len(lines) == 5


def test_the_scores_of_the_last_minute_keep_their_peak() -> None:
    lines = shown(*[meters(score=0.01)] * 100, meters(score=0.93), *[meters(score=0.01)] * 200)
    assert line(lines, "last 60 s").count("▇") == 1
    assert line(lines, "hey jarvis").endswith("best 0.93")
