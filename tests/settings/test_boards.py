"""Board presets: each is valid, each pin has its source, and whatever the owner sets goes before them."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.settings.conftest import Box
from tests.test_architecture import ROOT
from voicebox.settings import boards

BOARDS = sorted((ROOT / "config" / "boards").glob("*.toml"))


@pytest.mark.parametrize("name", boards.names())
def test_a_preset_alone_is_a_valid_configuration(box: Box, name: str) -> None:
    box.write(f'board = "{name}"')
    loaded = box.load()
    preset = boards.layer(name)
    assert preset is not None
    assert loaded.board == name
    for section, values in preset.values.items():
        if section == "buttons":
            assert [extra.pin for extra in loaded.buttons] == [extra["pin"] for extra in values]
            continue
        for key, value in values.items():
            found = getattr(getattr(loaded, section), key)
            expected = None if value is False else value
            assert (found.model_dump(exclude_unset=True) if isinstance(value, dict) else found) == expected


@pytest.mark.parametrize("file", BOARDS, ids=[file.stem for file in BOARDS])
def test_each_pin_of_a_preset_names_its_source(file: Path) -> None:
    text = file.read_text()
    assert tomllib.loads(text)
    pins = [line for line in text.splitlines() if re.match(r"(pin|led|rgb|backend = .apa102.)", line)]
    assert pins
    assert [line for line in pins if "#" not in line] == []


def test_what_the_owner_sets_goes_before_the_board(box: Box) -> None:
    box.write('board = "aiy-voice-hat"\n[button]\npin = 5\n')
    loaded = box.load()
    assert (loaded.button.pin, loaded.lights.led, loaded.audio.input) == (5, 25, "sndrpigooglevoi")
    origin = type(loaded).layers.origin
    assert origin(("lights", "led")) == "board aiy-voice-hat"
    assert str(origin(("button", "pin"))).endswith("voicebox.toml:3")


def test_the_board_may_come_from_the_environment_and_be_none(box: Box) -> None:
    box.environ = {"VOICEBOX_BOARD": "usb"}
    assert box.load().board == "usb"
    box.environ = {"VOICEBOX_BOARD": "false"}
    assert box.load().board is None


def test_an_unknown_board_is_refused_with_the_nearest_and_all_names(box: Box) -> None:
    box.write('board = "respeaker-2mics"')
    (problem,) = box.problems()
    assert problem.startswith('voicebox.toml:1: board = "respeaker-2mics" is not allowed; it takes false or "adafruit-')
    assert problem.endswith("; did you mean respeaker-2mic?")


def test_a_pin_that_the_board_has_already_is_refused(box: Box) -> None:
    box.write('board = "waveshare-wm8960"\nbuttons = [{ pin = 17, tap = "stop" }]\n')
    (problem,) = box.problems()
    assert problem.startswith("voicebox.toml:2: buttons")
    assert "uses pin 17, which button.pin uses already" in problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[button]\nlong_hold = "mute"', "voicebox.toml:2: button.long_hold cannot be told from a long push-to-talk"),
        ('buttons = [{ pin = 5, long_hold = "stop", hold_ms = 1000, long_hold_s = 1.0 }]', "is no longer than a hold"),
        ('buttons = [{ pin = 5, long_hold = "stop", long_hold_s = 5.0, max_hold_s = 4.0 }]', "counts as stuck before"),
        ('buttons = [{ pin = 5, tap = "louder" }]', 'voicebox.toml:1: buttons[1].tap = "louder" is not allowed'),
        ('buttons = [{ tap = "stop" }]', "voicebox.toml:1: buttons[1].pin is missing"),
        ("[mute_switch]\npin = 17", "uses pin 17, which button.pin uses already"),
    ],
)
def test_presses_that_cannot_be_told_apart_are_refused(box: Box, text: str, words: str) -> None:
    box.write(text)
    (problem,) = box.problems()
    assert words in problem
