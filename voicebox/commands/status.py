"""``voicebox status``: is it well, what is it doing, what happened last."""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from voicebox.commands import running
from voicebox.redact import redact


def show(options: argparse.Namespace) -> None:
    answer = running.must({"do": "status"})
    del answer["ok"]
    if options.json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    print(redact("\n".join(screen(answer))))


def screen(status: Mapping[str, Any]) -> Iterator[str]:
    """Of the answer to the request "status"; fits into 80 by 24 characters."""
    yield f"voicebox {status['version']}, service {status['service']}, running for {ago(status['up_s'])}"
    yield ""
    trouble = "; ".join(status["trouble"])
    verdict = "NO" if status["fault"] else "not quite"  # a microphone may be silent because it cleans its sound
    yield from _row("well", f"{verdict}: {trouble}  (voicebox doctor looks for the cause)" if trouble else "yes")
    yield from _row("doing", status["status"])
    yield from _row("service", _link(status))
    yield from _row("sound", _sound(status))
    yield from _row("echo", _echo(status["echo"]))
    yield from _row("delays", _delays(status["latency_ms"]))
    yield from _row("today", _minutes(status))
    yield ""
    recent = [f"{ago(happened['ago_s']):>12} ago  {happened['what']}" for happened in reversed(status["recent"])]
    yield from _row("last", recent[0] if recent else "nothing has happened yet")
    for line in recent[1:]:
        yield from _row("", line)


def _row(name: str, text: str) -> Iterator[str]:
    yield f"{name:9}{text}".rstrip()


_UNITS = {"days": 86_400, "h": 3_600, "min": 60, "s": 1}


def ago(seconds: float) -> str:
    """``3 min``; the two largest units of longer times: ``2 days 4 h``."""
    left, told = int(seconds), list[str]()
    for name, length in _UNITS.items():
        number, left = divmod(left, length)
        if told:
            return " ".join([*told, *([f"{number} {name}"] if number and seconds >= 600 else [])])
        if number:
            told.append("1 day" if (number, name) == (1, "days") else f"{number} {name}")
    return told[0] if told else "0 s"


def _link(status: Mapping[str, Any]) -> str:
    link = {
        "up": "connected",
        "down": "no connection (opened when needed)",
        "backoff": "no connection, will dial again",
    }
    words = "connection kept warm" if status["connected"] and status["link"] == "down" else link[status["link"]]
    told = [words]
    if status["connect_ms"]:
        told.append(f"last opened within {status['connect_ms']:.0f} ms")
    if status["rtt_ms"] is not None:
        told.append(f"{status['rtt_ms']:.0f} ms there and back")
    return ", ".join(told)


def _sound(status: Mapping[str, Any]) -> str:
    muted = ", microphone MUTED" if status["muted"] else ""
    times = status["underruns"]
    return f"volume {status['volume']}, ran dry {times} time{'s' * (times != 1)}{muted}"


def _echo(echo: Mapping[str, Any] | None) -> str:
    if echo is None:
        return "not cancelled (audio.echo_cancellation)"
    if echo["delay_ms"] is None:
        return "nothing has come back yet"
    taken = f"{echo['attenuation_db']:.0f} dB taken out" if echo["cancelled"] else "not yet taken out"
    own = echo["own_wake_words"]
    return taken + (f"; {own} times it knew its own voice" if own else "")


_DELAYS = {
    "wake_to_uplink": "wake word to service",
    "speech_to_sound": "speech to answer",
    "interrupt_to_silence": "cut to silence",
}


def _delays(marks: Mapping[str, float]) -> str:
    told = [f"{words} {marks[name]:.0f} ms" for name, words in _DELAYS.items() if marks.get(name) is not None]
    return ", ".join(told) or "none measured yet"


def _minutes(status: Mapping[str, Any]) -> str:
    left = status["minutes_left"]
    return f"{status['minutes_today']:g} minutes of sessions" + (f", {left:g} are left" if left is not None else "")
