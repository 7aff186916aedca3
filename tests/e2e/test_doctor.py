"""``voicebox doctor`` as its owner runs it, on real ALSA devices: what it measures is what was set."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import voicebox
from tests.support.pulse import PulseServer

CONFIG = 'lights.backend = "none"\nbutton.pin = false\n'
DELAY, GAIN = 0.15, -10.0  # of the room: seconds, dB
LATER = (-0.03, 0.25)
"""How much less the loop's own delay may be, and how much cards and sound server may add: seconds."""


ATTEMPTS = 4
"""A machine so busy that sound was interrupted proves nothing: then it is tried again, so often."""


def examined(pulse: PulseServer, folder: Path, code: int) -> dict[str, Any]:
    (folder / "voicebox.toml").write_text(CONFIG, encoding="utf-8")
    for _ in range(ATTEMPTS):
        done = voicebox("doctor", "--json", "--config", "voicebox.toml", environ=pulse.env, cwd=folder)
        if "sound was interrupted" not in done.stdout:
            break
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def of(found: dict[str, Any], check: str) -> str:
    return "\n".join(f"{row['mark']} {row['text']}" for row in found["findings"] if row["check"] == check)


def test_loop_delay_and_echo_level_are_those_of_the_room(pulse: PulseServer, tmp_path: Path) -> None:
    with pulse.acoustic_loop(DELAY, GAIN):
        found = examined(pulse, tmp_path, 0)
    sound = of(found, "sound")
    told = re.search(r"came back after (\d+) ms at (-\d+) dBFS", sound)
    assert told, sound
    assert LATER[0] <= int(told[1]) / 1000 - DELAY <= LATER[1]
    assert int(told[2]) == pytest.approx(-23.1 + GAIN, abs=1.5)
    cards = of(found, "cards")
    assert cards.count("ok microphone: ") == 2
    assert "24, 44.1, 48 kHz" in cards
    assert found["ok"]


def test_without_cards_the_first_thing_told_is_that(pulse: PulseServer, tmp_path: Path) -> None:
    pulse.stop()
    try:
        found = examined(pulse, tmp_path, 1)
    finally:
        pulse.start()
    assert "WRONG microphone" in of(found, "cards") or "WRONG no microphone" in of(found, "cards")
    assert "WRONG the microphone and speaker did not open" in of(found, "sound")
