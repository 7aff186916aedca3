"""``voicebox config`` and ``voicebox secret``, as their owner types them."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, environment, voicebox
from tests.test_architecture import ROOT

TOKEN = "toy-credential-0815"  # noqa: S105  # opens nothing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "voicebox.toml"
    file.write_text((ROOT / "config" / "voicebox.toml").read_text())
    return file


def run(file: Path, *arguments: str, given: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "voicebox", *arguments, "--config", str(file)]
    more = {"STATE_DIRECTORY": str(file.parent), "VOICEBOX_CONTROL": str(file.parent / "control.sock"), **environ}
    return subprocess.run(
        command, env=environment(more), input=given, capture_output=True, text=True, timeout=30, check=False
    )


def test_set_changes_one_line_and_says_from_when_it_counts(file: Path) -> None:
    before = file.read_text()
    done = run(file, "config", "set", "wake.preroll_ms", "1200")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{file}: wake.preroll_ms = 1200\nno box is running; it counts from the next start\n"
    assert file.read_text() == before.replace("#preroll_ms = 1500", "preroll_ms = 1200")
    assert sorted(path.name for path in file.parent.iterdir()) == ["voicebox.toml"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("wake.prerol_ms", "1", "wake.prerol_ms is unknown; did you mean wake.preroll_ms?"),
        ("wake.preroll_ms", "soon", "voicebox.toml:"),
        ("service", "lyra", '"lira"'),
        ("lira.token", "x", "lira.token is unknown"),
    ],
)
def test_set_refuses_what_would_be_wrong_and_changes_nothing(file: Path, key: str, value: str, words: str) -> None:
    before = file.read_bytes()
    done = run(file, "config", "set", key, value)
    assert (done.returncode, done.stdout) == (78, "")
    assert words in done.stderr
    assert file.read_bytes() == before


def test_set_says_when_something_else_goes_before_it(file: Path) -> None:
    (file.parent / "conf.d").mkdir()
    (file.parent / "conf.d" / "50.toml").write_text("[wake]\npreroll_ms = 800\n")
    done = run(file, "config", "set", "wake.preroll_ms", "1200")
    assert "this changes nothing yet: " in done.stdout
    assert "conf.d/50.toml:2 sets it too" in done.stdout


def editor(file: Path, script: str) -> str:
    """A program for $EDITOR: a shell script that gets the draft as $1."""
    program = file.parent / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return str(program)


def test_edit_puts_in_place_what_is_right(file: Path) -> None:
    done = run(file, "config", "edit", EDITOR=editor(file, """sed -i 's/^#service = .*/service = "lira"/' "$1" """))
    assert (done.returncode, done.stderr) == (0, "")
    assert 'service = "lira"' in file.read_text()


def test_edit_leaves_what_is_wrong_and_keeps_no_draft(file: Path) -> None:
    before = file.read_bytes()
    done = run(file, "config", "edit", VISUAL=editor(file, 'echo "[wake" >> "$1"'))
    assert f"{file}:" in done.stdout
    assert f"{file} is as it was" in done.stdout
    assert file.read_bytes() == before
    assert not [path for path in file.parent.iterdir() if "draft" in path.name]


def test_edit_asks_at_a_terminal_and_lets_one_mend_it(file: Path) -> None:
    """First the editor breaks it, then, being asked to edit again, mends it."""
    script = 'if grep -q "^.wake$" "$1"; then sed -i "\\$d" "$1"; echo "#mended" >> "$1"; else echo "[wake" >> "$1"; fi'
    script = script.replace("^.wake$", "^\\[wake$")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "voicebox", "config", "edit", "--config", str(file)]
    env = environment({"EDITOR": editor(file, script), "VOICEBOX_CONTROL": str(file.parent / "control.sock")})
    os.write(ours, b"e\n")
    done = subprocess.run(command, env=env, stdin=theirs, capture_output=True, text=True, timeout=30, check=False)
    os.close(ours)
    os.close(theirs)
    assert "What now? (e)dit again" in done.stdout
    assert done.returncode == 0
    assert file.read_text().endswith("#mended\n")


@pytest.mark.parametrize("command", [("set", "wake.preroll_ms", "900"), ("edit",)])
def test_what_cannot_be_written_is_said_of_the_file_itself(command: tuple[str, ...], file: Path) -> None:
    """As on a disk that is full; there is a directory where the copy belongs."""
    for name in ("draft", "trial"):
        (file.parent / f".voicebox.{name}.toml").mkdir()
    done = run(file, "config", *command, EDITOR="true")
    assert (done.returncode, done.stderr) == (1, f"voicebox: {file} was not changed: Is a directory\n")


def test_while_somebody_edits_nobody_else_changes_the_file(file: Path) -> None:
    """The editor itself tries to."""
    other = f'"{sys.executable}" -m voicebox config set wake.preroll_ms 900 --config "{file}" 2> "{file.parent}/said"'
    done = run(file, "config", "edit", EDITOR=editor(file, f'{other}; echo "#mine" >> "$1"'))
    assert done.returncode == 0, done.stderr
    assert "is being changed in another terminal" in (file.parent / "said").read_text()
    assert file.read_text().endswith("#mine\n")
    assert "preroll_ms = 900" not in file.read_text()


def test_an_editor_that_fails_changes_nothing(file: Path) -> None:
    before = file.read_bytes()
    done = run(file, "config", "edit", EDITOR="false")
    assert (done.returncode, done.stderr) == (1, "voicebox: the editor false ended with 1; nothing was changed\n")
    assert file.read_bytes() == before


def test_a_secret_is_stored_listed_by_name_and_age_and_removed(file: Path) -> None:
    stored = run(file, "secret", "set", "lira_token", given=TOKEN + "\n")
    assert (stored.returncode, stored.stdout) == (0, "lira_token is stored, readable by root only\n")
    assert (file.parent / "credentials" / "lira_token").stat().st_mode & 0o777 == 0o600
    listed = run(file, "secret", "list")
    assert listed.stdout == "lira_token               just now\n"
    shown = run(file, "config", "show")
    assert "# lira_token: set (from " in shown.stdout
    removed = run(file, "secret", "rm", "lira_token")
    assert removed.stdout == "lira_token is removed\n"
    assert run(file, "secret", "rm", "lira_token").returncode == 1
    said = [done.stdout + done.stderr for done in (stored, listed, shown, removed)]
    assert TOKEN not in "".join(said)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("lira_tokn", TOKEN, "did you mean lira_token?"),
        ("lira_token", "\n", "nothing was given"),
        ("lira_token", f"{TOKEN}\n{TOKEN}\n", "several lines"),
        ("lira_token", "x" * 20_000, "far too long"),
    ],
)
def test_what_is_no_secret_is_not_stored(file: Path, name: str, given: str, words: str) -> None:
    done = run(file, "secret", "set", name, given=given)
    assert done.returncode != 0
    assert words in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert not (file.parent / "credentials").exists() or not list((file.parent / "credentials").iterdir())


def test_a_secret_that_others_can_read_is_named_with_its_mend(file: Path) -> None:
    run(file, "secret", "set", "lira_token", given=TOKEN)
    path = file.parent / "credentials" / "lira_token"
    path.chmod(0o644)
    done = run(file, "secret", "list")
    assert done.returncode == 78
    assert f"sudo chmod 600 {path}" in done.stdout


def test_what_the_running_box_refuses_can_be_taken_back_and_then_nothing_is_wrong_any_more(tmp_path: Path) -> None:
    """Its environment names a pin that the file then names, too."""
    config = '[audio]\nbackend = "wav"\n[wake]\nenabled = false\n'
    with Daemon(tmp_path, config, environ={"VOICEBOX_MUTE_SWITCH__PIN": "5"}) as box:
        box.ready()
        ours, theirs = pty.openpty()
        os.write(ours, b"y\n")
        wanted = ("buttons", "[{ pin = 5 }]")
        command = [sys.executable, "-m", "voicebox", "config", "set", *wanted, "--config", str(box.config)]
        env = environment({"VOICEBOX_CONTROL": str(tmp_path / "runtime" / "control.sock")})
        done = subprocess.run(command, env=env, stdin=theirs, capture_output=True, text=True, timeout=30, check=False)
        os.close(ours)
        os.close(theirs)
        assert (done.returncode, "refuses it" in done.stderr) == (78, True)
        assert box.config.read_text() == config
        box.systemd.wait_for("STATUS=waiting for the button (the settings are wrong")
        status = voicebox("status", environ={"VOICEBOX_CONTROL": env["VOICEBOX_CONTROL"]}, cwd=tmp_path)
        assert "settings are wrong" not in status.stdout


def test_the_running_box_takes_both_at_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, '[audio]\nbackend = "wav"\n[wake]\nenabled = false\n', environ={}) as box:
        box.ready()
        here = {"VOICEBOX_CONTROL": str(tmp_path / "runtime" / "control.sock")}
        stored = run(box.config, "secret", "set", "lira_token", given=TOKEN, **here)
        assert "the running box knows it" in stored.stdout
        done = run(box.config, "config", "set", "conversation.listen_timeout_s", "4.5", **here)
        assert done.stdout.endswith("changed: conversation; in effect now\n")
        box.expect("settings: changed: conversation; in effect now")
        assert not box.said(TOKEN)
        assert voicebox("status", environ=here, cwd=tmp_path).returncode == 0


def test_check_takes_a_sealed_secret_for_one(tmp_path: Path) -> None:
    """Only the unit is given what is inside: the README's "voicebox check && systemctl reload" must get that far."""
    config = tmp_path / "voicebox.toml"
    config.write_text('service = "lira"\n[audio]\nbackend = "wav"\n[lira]\nmeeting_id = "kitchen"\n')
    before = run(config, "check")
    assert (before.returncode, "lira_token is missing" in before.stdout + before.stderr) == (78, True)
    sealed = tmp_path / "credentials.sealed" / "lira_token"
    sealed.parent.mkdir()
    sealed.write_bytes(b"nobody knows")
    after = run(config, "check")
    assert after.returncode == 0, after.stdout
