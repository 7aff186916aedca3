"""What an owner can get wrong: one clear message with the mend, no traceback, the documented exit code."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, voicebox
from tests.support.pulse import PulseServer

TOKEN = "canary-3Hf7wQp2Xs"  # noqa: S105  # of nobody
NO_PINS = {"VOICEBOX_LIGHTS__BACKEND": "none", "VOICEBOX_BUTTON__PIN": "false"}
CONFIG_IS_WRONG, NO_CREDENTIALS, NO_DEVICE, WRONG_COMMAND_LINE = 78, 77, 69, 2
LIRA = 'service = "lira"\nlira.meeting_id = "mtg_1"\nlira.url = "ws://127.0.0.1:9/"\nlira.allow_plain = true\n'


@dataclass(frozen=True)
class Mistake:
    config: str
    code: int
    told: tuple[str, ...]


MISTAKES = {
    "unknown key": Mistake(
        'service = "simulator"\naudio.imput = "x"\n',
        CONFIG_IS_WRONG,
        ("voicebox.toml:2", "audio.imput", "input?", "duplex"),
    ),
    "wrong type": Mistake(
        '[wake]\npreroll_ms = "long"\n', CONFIG_IS_WRONG, ("voicebox.toml:2", "wake.preroll_ms", "whole number", "5000")
    ),
    "several at once": Mistake(
        "button.pim = 3\nlights.led = 99\n",
        CONFIG_IS_WRONG,
        ("voicebox.toml:1", "pin?", "voicebox.toml:2", "lights.led"),
    ),
    "no TOML": Mistake('[audio]\ninput = "mic\n', CONFIG_IS_WRONG, ("voicebox.toml:2", "double quote")),
    "token in the file": Mistake(
        f'{LIRA}lira.lira_token = "{TOKEN}"\n', CONFIG_IS_WRONG, ("voicebox.toml:5", "credentials")
    ),
    "missing token": Mistake(
        LIRA, NO_CREDENTIALS, ("lira_token is missing", "voicebox secret set lira_token", "credentials/lira_token")
    ),
    "missing meeting": Mistake('service = "lira"\n', CONFIG_IS_WRONG, ("lira.meeting_id",)),
    "unencrypted": Mistake(
        'service = "lira"\nlira.meeting_id = "m"\nlira.url = "ws://box.example/"\n',
        CONFIG_IS_WRONG,
        ("lira.url", "wss://"),
    ),
    "impossible device": Mistake('audio.input = "hw:1,0"\n', CONFIG_IS_WRONG, ("audio.input", "voicebox devices")),
    "no such wake word": Mistake(
        'wake.phrases = [{ model = "hey_nobody" }]\n', CONFIG_IS_WRONG, ("hey_nobody", "hey_jarvis")
    ),
}


def complaint(folder: Path, *, environ: dict[str, str], code: int, command: str = "run") -> str:
    """What the owner reads; checked for what must never be in it."""
    ended = voicebox(command, "--config", str(folder / "voicebox.toml"), environ={**NO_PINS, **environ}, cwd=folder)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert TOKEN not in ended.stderr + ended.stdout
    return ended.stderr if command == "run" else ended.stdout


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_its_mend(name: str, pulse: PulseServer, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    (tmp_path / "voicebox.toml").write_text(mistake.config, encoding="utf-8")
    environ = dict(pulse.env)
    if name != "missing token":
        environ["VOICEBOX_LIRA_TOKEN"] = TOKEN
    text = complaint(tmp_path, environ=environ, code=mistake.code)
    assert "voicebox: " in text
    assert [part for part in mistake.told if part not in text] == [], text


def test_check_tells_everything_at_once(pulse: PulseServer, tmp_path: Path) -> None:
    (tmp_path / "voicebox.toml").write_text('service = "lira"\nlights.led = 99\n', encoding="utf-8")
    text = complaint(tmp_path, environ=pulse.env, code=CONFIG_IS_WRONG, command="check")
    assert [part for part in ("lights.led", "lira_token", "lira.meeting_id") if part not in text] == [], text


def test_a_file_that_cannot_be_read(pulse: PulseServer, tmp_path: Path) -> None:
    (tmp_path / "voicebox.toml").mkdir()
    assert "voicebox.toml: cannot be read" in complaint(tmp_path, environ=pulse.env, code=CONFIG_IS_WRONG)


def test_a_token_that_others_can_read(pulse: PulseServer, tmp_path: Path) -> None:
    (tmp_path / "voicebox.toml").write_text(LIRA, encoding="utf-8")
    (tmp_path / "credentials").mkdir()
    secret = tmp_path / "credentials" / "lira_token"
    secret.write_text(TOKEN, encoding="utf-8")
    secret.chmod(0o644)
    assert f"chmod 600 {secret}" in complaint(tmp_path, environ=pulse.env, code=NO_CREDENTIALS)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken(pulse: PulseServer, tmp_path: Path, taken: int) -> None:
    (tmp_path / "voicebox.toml").write_text(f"simulator.port = {taken}\n", encoding="utf-8")
    text = complaint(tmp_path, environ=pulse.env, code=NO_DEVICE)
    assert f"port {taken}" in text
    assert "another port" in text
    simulate = voicebox("simulate", "--port", str(taken), environ=pulse.env, cwd=tmp_path)
    assert simulate.returncode == NO_DEVICE
    assert f"port {taken}" in simulate.stderr


def test_a_command_there_is_not(tmp_path: Path) -> None:
    ended = voicebox("listen", environ={}, cwd=tmp_path)
    assert ended.returncode == WRONG_COMMAND_LINE
    assert "simulate" in ended.stderr  # what there is


def test_a_terminal_that_knows_only_ascii(tmp_path: Path) -> None:
    (tmp_path / "voicebox.toml").write_text('lira.user_name = "Küche"\n', encoding="utf-8")
    shown = voicebox("config", "show", "--config", "voicebox.toml", environ={"PYTHONIOENCODING": "ascii"}, cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert 'user_name = "K\\xfcche"' in shown.stdout


def test_a_microphone_that_is_not_there_is_awaited_and_the_others_listed(pulse: PulseServer, tmp_path: Path) -> None:
    """It may be plugged in later; meanwhile the box is ready for everything else, and systemd shows what is missing."""
    with Daemon(tmp_path, 'audio.input = "Nobody\'s Mic"\n', environ=pulse.env, watchdog=1.0) as box:
        told = box.expect('no microphone: audio.input = "Nobody\'s Mic"')
        assert "waiting for it" in told.text
        assert '"box_mic"' in told.text
        box.systemd.wait_for("READY=1")
        box.systemd.wait_for("STATUS=no microphone")
        box.systemd.wait_for("WATCHDOG=1", since=told.moment)
        box.terminate()
        assert box.wait(2) == 0
        assert not box.said("Traceback")
