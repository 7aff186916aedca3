"""What the wake word's counts say in words."""

from typing import Any

import pytest

from voicebox.advice import BINS
from voicebox.commands.advise import advise, now

PHRASES = [{"model": "hey_jarvis", "threshold": 0.5, "patience": 1}]


def counted(**peaks: list[float]) -> dict[str, list[int]]:
    counts = {kind: [0] * BINS for kind in peaks}
    for kind, found in peaks.items():
        for peak in found:
            counts[kind][int(peak * BINS)] += 1
    return counts


def advised(counts: dict[str, list[int]]) -> str:
    return "\n".join(advise({"phrases": PHRASES, "days": 7, "counts": {"hey_jarvis": counts}}))


def row(text: str, threshold: float) -> list[str]:
    """What stands behind a threshold: answered, silent, additional."""
    return next(line for line in text.splitlines() if f"{threshold:.2f}  " in line).split(f"{threshold:.2f}")[1].split()


def test_each_threshold_is_told_apart_by_what_came_of_the_wakes() -> None:
    text = advised(counted(answered=[0.55, 0.83, 0.97], silent=[0.52, 0.61], missed=[0.43, 0.31], again=[0.42]))
    assert row(text, 0.30) == ["3", "2", "3"]
    assert row(text, 0.40) == ["3", "2", "2"]
    assert row(text, 0.50) == ["3", "2", "-"]
    assert row(text, 0.60) == ["2", "1", "-"]
    assert row(text, 0.90) == ["1", "0", "-"]
    assert "-> 0.50" in text


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (counted(answered=[0.97] * 9, silent=[0.52, 0.61]), "threshold = 0.65. 2 times fewer"),
        (counted(answered=[0.97] * 9, again=[0.42] * 3, missed=[0.44]), "threshold = 0.40. 3 times a first call"),
        (counted(answered=[0.97] * 9, again=[0.42], missed=[0.44]), "and Once something that may have been no call"),
        (counted(answered=[0.57] * 9, silent=[0.52]), "Nothing of this speaks for another threshold"),
        (counted(answered=[0.55], silent=[0.97] * 9, again=[0.42]), "Nothing of this speaks for another threshold"),
        (counted(answered=[0.97], unclear=[0.9]), "Once more it woke and could not connect"),
        ({}, "Nothing was counted yet"),
    ],
)
def test_the_suggestion(counts: dict[str, list[int]], words: str) -> None:
    assert words.lower() in advised(counts).lower()


def heard(level: float | None, score: float = 0.0, *, muted: bool = False) -> dict[str, Any]:
    levels = None if level is None else {"level": level, "peak": level}
    return {"before": levels, "after": levels, "scores": {"hey_jarvis": score}, "muted": muted}


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        ([heard(-52.0)] * 9 + [heard(-20.0, 0.77)], ["-52.0 dBFS, loudest -20.0", '"hey jarvis" 0.77']),
        ([heard(-30.0)], ["loud; the wake word is hard to hear"]),
        ([heard(-95.0)], ["gain turned down?"]),
        ([heard(None)], ["delivers nothing."]),
        ([heard(None, muted=True)], ["delivers nothing (muted)."]),
    ],
)
def test_what_it_hears_now(readings: list[dict[str, Any]], words: list[str]) -> None:
    text = "\n".join(now(readings, PHRASES))
    assert [word for word in words if word not in text] == []
    assert ("as the service hears it" in text) is False
