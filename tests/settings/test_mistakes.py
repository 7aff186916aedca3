"""Every mistake at once, in plain words: file, line, key, what is allowed, what was probably meant."""

import re
from pathlib import Path

import pytest

from tests.settings.conftest import SERVICES, TOKEN, Box
from voicebox import settings

# What the file holds, and how the one problem begins behind "voicebox.toml:".
WRONG = [
    ('servce = "toy"', "1: servce is unknown; did you mean service? (there are: audio, board, button, "),
    (
        'service = "toi"',
        '1: service = "toi" is not allowed; it takes "simulator" or "choosy" or "toy"; did you mean toy?',
    ),
    ("\n[audio]\nimput = 3", "3: audio.imput is unknown; did you mean input? ([audio] knows: backend, "),
    (
        'audio.backend = "alas"',
        '1: audio.backend = "alas" is not allowed; it takes "alsa" or "wav"; did you mean alsa?',
    ),
    ("audio = 3", "1: audio = 3 is not allowed; it takes a table"),
    ('audio.input = ""', '1: audio.input = "" is not allowed; it takes text in double quotes, not empty'),
    ("[wake]\npreroll_ms = 9000", "2: wake.preroll_ms = 9000 is not allowed; it takes a whole number from 0 to 5000"),
    ('[wake]\npreroll_ms = "9"', '2: wake.preroll_ms = "9" is not allowed; it takes a whole number from 0 to 5000'),
    ("[wake]\nenabled = 1", "2: wake.enabled = 1 is not allowed; it takes true or false"),
    (
        "[[wake.phrases]]\nmodel = 'a'\n[[wake.phrases]]\nmodel = 'b'\ntreshold = 1",
        "5: wake.phrases[2].treshold is unknown; did you mean threshold? (",
    ),
    (
        "[wake]\nphrases = [\n  {model = 'a'},\n  {model = 'b', threshold = 5}]",
        "4: wake.phrases[2].threshold = 5 is not allowed; it takes a number above 0 to 1",
    ),
    ("lights.led = true", "1: lights.led = true is not allowed; it takes false or a whole number from 0 to 27"),
    ("lights.led = 28", "1: lights.led = 28 is not allowed; it takes false or a whole number from 0 to 27"),
    (
        "lights.rgb = [1, 2]",
        "1: lights.rgb = [1, 2] is not allowed; it takes false or a list of 3, each a whole number from 0 to 27",
    ),
    ("lights.rgb = [1, 2, 99]", "1: lights.rgb[3] = 99 is not allowed; it takes false or a list of 3, each a whole"),
    ("lights.brightness = nan", "1: lights.brightness = nan is not allowed; it takes a number from 0 to 1"),
    ('lights = {backend = "rgb", rgb = [5, 5, 6]}', "1: lights.rgb uses pin 5, which lights.rgb uses already"),
    ('lights = {backend = "rgb", rgb = [5, 17, 6]}', "1: lights.rgb uses pin 17, which button.pin uses already"),
    ("lights.privacy = 17", "1: lights.privacy uses pin 17, which button.pin uses already"),
    ('lights = {backend = "apa102", privacy = 10}', "1: lights.privacy uses pin 10, which lights.apa102 uses already"),
    (
        'lights = {backend = "apa102", apa102 = {power = 17}}',
        "1: lights.apa102.power uses pin 17, which button.pin uses already",
    ),
    (
        'lights = {backend = "apa102", apa102 = {data = 5, clock = 5}}',
        "1: lights.apa102.clock uses pin 5, which lights.apa102.data uses already",
    ),
    ('lights = {backend = "rgb"}', "1: lights.rgb must name the pins of red, green and blue"),
    ("lights.rgb = [5, 6, 13]", '1: lights.rgb is shown with lights.backend = "rgb"'),
    ("lights.apa102.data = 5", "1: lights.apa102 needs data and clock, or neither"),
    ("lights.privacy = 28", "1: lights.privacy = 28 is not allowed; it takes false or true or a whole number from 0"),
    ("lights.privacy = true", "1: lights.privacy = true is for lights with colours (apa102, rgb, terminal)"),
    ("lights.privacy_required = true", "1: lights.privacy_required = true needs a lamp"),
    ('lights.night = {start = "7:00"}', '1: lights.night.start = "7:00": a time of day is written from 00:00 to 23'),
    ('lights.night = {start = "07:00"}', "1: lights.night begins when it ends"),
    ("toy.metting_id = 'x'", "1: toy.metting_id is unknown; did you mean meeting_id?"),
    ("toy.url = 3", "1: toy.url = 3 is not allowed; it takes text in double quotes"),
    (
        'interruption.by = ["sever"]',
        '1: interruption.by[1] = "sever" is not allowed; it takes a list of any length, each',
    ),
    ("conversation.follow_up_s = -1", "1: conversation.follow_up_s = -1 is not allowed; it takes a number from 0 to 6"),
    (
        "[button]\nhold_ms = 500\nmax_hold_s = 0.3",
        "3: button.max_hold_s = 0.3 is over before a press counts as a hold (button.hold_ms = 500); make it longer",
    ),
    (
        "button.max_hold_s = 0.4",
        "1: button.max_hold_s = 0.4 is over before a press counts as a hold (button.hold_ms = 400); make it longer",
    ),
    # syntax
    ("[audio]\nbackend = alsa", "2:11: this is no TOML value (text stands in double quotes"),
    ("[audio]\nbackend 3", "2:9: a key is followed by = and its value"),
    ('[audio]\ninput = "hw\n', "2:12: text must end in a double quote on the same line"),
    ("[audio]\n[audio]", "2:7: this section stands here twice"),
    ("a = 1\na = 2", "2:6: this key is set twice"),
    ("[audio\n", "1:7: a section heading is not closed"),
    ("a = [1, 2", "1:10: a list is not closed: ] is missing"),
    ("service = simulator x", "1:11: this is no TOML value"),
    ('a = "x" y', "1:9: only one key = value belongs on a line"),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_a_mistake_is_told_with_place_and_mend(box: Box, text: str, problem: str) -> None:
    box.write(text)
    (found,) = box.problems()
    assert found.startswith(f"voicebox.toml:{problem}")


def test_a_pin_may_be_taken_by_a_default(box: Box) -> None:
    box.write("button.pin = 25")
    assert box.problems() == [
        "default: lights.led uses pin 25, which button.pin uses already; choose another, or set one to false"
    ]


def test_all_problems_are_told_at_once(box: Box) -> None:
    box.write('servce = 1\n[audio]\nbackend = "alas"\n[lights]\nled = 17\n')
    box.write("[wake\n", "conf.d/a.toml")
    box.environ = {"VOICEBOX_BUTTON__HOLD_MS": "3", "VOICEBOX_AUDIO__IMPUT": "x"}
    starts = [re.split(r" is | = | uses ", problem)[0] for problem in box.problems()]
    assert starts == [
        "conf.d/a.toml:1:6: a section heading",
        "environment: VOICEBOX_AUDIO__IMPUT",
        "voicebox.toml:3: audio.backend",
        "VOICEBOX_BUTTON__HOLD_MS: button.hold_ms",
        "voicebox.toml:1: servce",
        "voicebox.toml:5: lights.led",
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("VOICEBOX_AUDIO__IMPUT", "VOICEBOX_AUDIO__INPUT"),
        ("VOICEBOX_TOY__TOKEN", "VOICEBOX_TOY_TOKEN"),
        ("VOICEBOX_SERVCE", "VOICEBOX_SERVICE"),
    ],
)
def test_a_misspelt_variable_is_refused(box: Box, name: str, meant: str) -> None:
    box.environ = {name: TOKEN}
    assert box.problems() == [f"environment: {name} is unknown; did you mean {meant}?"]


def test_a_file_we_may_not_read_is_named_with_the_mend(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.write("")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root, who may run the tests, can read everything
    (problem,) = box.problems()
    assert re.fullmatch(
        r"voicebox\.toml: user \w+ may not read it; type: sudo chgrp \w+ \S+toml && sudo chmod g\+r \S+toml", problem
    )


def test_a_file_that_is_no_text_and_one_that_is_a_directory_are_told(box: Box) -> None:
    box.file.write_bytes(b"# fine\n\xff\xfe")
    (box.file.parent / "conf.d").mkdir()
    (box.file.parent / "conf.d" / "x.toml").mkdir()
    assert box.problems() == [
        "voicebox.toml:2: this is no UTF-8 text; save the file as UTF-8",
        "conf.d/x.toml: cannot be read (Is a directory)",
    ]


def test_windows_line_ends_are_fine(box: Box) -> None:
    box.file.write_bytes(b"[button]\r\npin = 5\r\n")
    assert box.load().button.pin == 5


def test_pins_of_lights_that_are_not_used_are_free(box: Box) -> None:
    box.write('button.pin = 25\nlights.backend = "terminal"')
    assert box.load().button.pin == 25


def test_all_pins_in_use_are_known_with_the_place_that_names_them(box: Box) -> None:
    box.write('[button]\npin = 19\n[lights]\nbackend = "apa102"\napa102 = {power = 5}\nprivacy = 6')
    apa102 = f"{box.file}:5: lights.apa102"
    assert sorted(settings.pins(box.load())) == [
        (5, f"{apa102}.power"),
        (6, f"{box.file}:6: lights.privacy"),
        (8, apa102),
        (9, apa102),
        (10, apa102),
        (11, apa102),
        (19, f"{box.file}:2: button.pin"),
    ]


def test_speech_that_may_be_the_boxs_own_is_warned_of(box: Box) -> None:
    box.write('interruption.by = ["server", "speech"]\naudio.echo_cancellation = false')
    (warning,) = settings.warnings(box.load())
    assert warning.startswith(f'{box.file}:1: interruption.by has "speech": the box may take its own answers')
    for free_of_echo in ('audio.duplex = "full"\naudio.echo_cancellation = false', "audio.echo_cancellation = true"):
        box.write(f'interruption.by = ["server", "speech"]\n{free_of_echo}')
        assert settings.warnings(box.load()) == []


def test_a_hold_that_is_wrong_by_itself_is_told_once(box: Box) -> None:
    box.write('button.max_hold_s = "long"')
    (problem,) = box.problems()
    assert "is not allowed" in problem


def test_check_tells_problems_secrets_and_what_hooks_find(box: Box) -> None:
    box.write('service = "toy"\nbutton.pin = 99')
    hooks = [lambda loaded: [f"no such model: {phrase.model}" for phrase in loaded.wake.phrases]]
    wrong, secret, model = settings.problems(box.file, {}, hooks, SERVICES)
    assert "button.pin = 99" in wrong
    assert secret.startswith("toy_token is missing")
    assert model == "no such model: hey_jarvis"


def test_check_has_nothing_to_say_when_all_is_well(box: Box) -> None:
    box.write('service = "toy"')
    box.secret(TOKEN)
    assert settings.problems(box.file, {}, (), SERVICES) == []
