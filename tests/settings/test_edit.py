"""Changing the settings file: values change, comments and order stay."""

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from tests.test_architecture import ROOT
from voicebox import settings
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.settings import edit
from voicebox.settings.schema import schema

SAMPLE = (ROOT / "config" / "voicebox.toml").read_text()
OURS = '# mine\n[audio] # cards\ninput = "USB"   # the good one\n\n[wake]\n#preroll_ms = 1500\nenabled = true\n'


def test_a_value_is_replaced_where_it_stands() -> None:
    after = edit.set_value(OURS, ("audio", "input"), "Snowball")
    assert after == OURS.replace('"USB"', '"Snowball"')


def test_a_commented_default_is_uncommented_in_its_own_section() -> None:
    after = edit.set_value("[button]\n#preroll_ms = 1\n" + OURS, ("wake", "preroll_ms"), 900)
    assert after == "[button]\n#preroll_ms = 1\n" + OURS.replace("#preroll_ms = 1500", "preroll_ms = 900")


def test_a_key_that_stands_nowhere_goes_to_the_end_of_its_section() -> None:
    after = edit.set_value(OURS, ("wake", "refractory_s"), 1.5)
    assert after.startswith(OURS.rstrip("\n"))
    assert tomllib.loads(after)["wake"] == {"enabled": True, "refractory_s": 1.5}


def test_a_section_that_stands_nowhere_is_added() -> None:
    after = edit.set_value(OURS, ("lights", "led"), 5)
    assert after.startswith(OURS)
    assert tomllib.loads(after)["lights"] == {"led": 5}


def test_what_is_added_at_the_end_ends_its_line_and_a_new_section_stands_apart() -> None:
    assert edit.set_value("# mine", ("wake", "enabled"), True) == "# mine\n\n[wake]\nenabled = true\n"
    assert edit.set_value('board = "usb"', ("service",), "lira") == 'board = "usb"\nservice = "lira"\n'


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        ('audio = { input = "x" }\n', 'audio = { input = "x", output = "y"}\n'),
        ('audio.input = "x"\n[wake]\n', 'audio.input = "x"\naudio.output = "y"\n[wake]\n'),
        ("[audio.more]\n[wake]\n[audio]\n", None),
    ],
)
def test_a_section_may_be_written_as_it_pleases(content: str, changed: str | None) -> None:
    after = edit.set_value(content, ("audio", "output"), "y")
    assert tomllib.loads(after)["audio"]["output"] == "y"
    assert changed is None or after == changed


def test_a_value_where_a_section_belongs_is_named() -> None:
    with pytest.raises(ConfigError, match="wake is a section"):
        edit.set_value("wake = 3\n", ("wake", "enabled"), True)


def test_two_may_not_change_the_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "voicebox.toml"
    with edit.alone(file), pytest.raises(VoiceboxError, match="another terminal"), edit.alone(file):
        pass
    with edit.alone(file):
        file.touch()


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(VoiceboxError, match="No such file"), edit.alone(tmp_path / "nowhere" / "voicebox.toml"):
        pass


def test_what_looks_like_a_comment_inside_a_text_is_left_alone() -> None:
    text = '[wake]\nnote = """\n#enabled = true\n"""\n'
    after = edit.set_value(text, ("wake", "enabled"), value=False)
    assert tomllib.loads(after)["wake"] == {"note": "#enabled = true\n", "enabled": False}


def test_a_broken_file_is_not_touched_and_its_line_is_named() -> None:
    with pytest.raises(ConfigError, match=r"line 2: .*double quotes"):
        edit.set_value("[audio]\ninput = USB\n", ("audio", "output"), "x")


KEYS = sorted(path for path, _ in settings._variables(schema(settings._sections(None))).values())


@effort(max_examples=60, deadline=None)
@given(st.sampled_from(KEYS), st.one_of(st.booleans(), st.integers(-9, 99), st.text(max_size=9), st.floats(0, 9)))
def test_each_key_of_the_sample_can_be_set_and_only_its_line_changes(path: tuple[str, ...], value: object) -> None:
    after = edit.set_value(SAMPLE, path, value)
    found: object = tomllib.loads(after)
    for part in path:
        assert isinstance(found, dict)
        found = found[part]
    assert found == value
    before, now = SAMPLE.splitlines(), after.splitlines()
    assert len([line for line in before if line not in now]) <= 1
    assert edit.set_value(after, path, value) == after


# --- the file ------------------------------------------------------------------------------------------------------


def test_the_file_keeps_its_mode_and_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "voicebox.toml"
    real.write_text("old")
    real.chmod(0o604)
    link.symlink_to(real)
    edit.write(link, "new")
    assert (real.read_text(), real.stat().st_mode & 0o777, link.is_symlink()) == ("new", 0o604, True)
    assert sorted(tmp_path.iterdir()) == [real, link]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "voicebox.toml"
    file.write_text("old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VoiceboxError, match="was not changed: No space left"):
        edit.write(file, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["voicebox.toml"]
    assert file.read_text() == "old"
