"""Every command in the documents: ours are run against a box of straw, or it says here why not and what runs them."""

import asyncio
import io
import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from voicebox import cli
from voicebox.control import Control

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
INSTALLED = "/opt/voicebox/current/tree/"
"""Where a box keeps the scripts it was installed with."""

FOREIGN = {
    *(
        "systemctl",
        "journalctl",
        "timedatectl",
        "apt",
        "apt-get",
        "adduser",
        "git",
        "tar",
        "chown",
        "mkdir",
        "mv",
        "cp",
    ),
    *("echo", "nc", "arecord", "aplay", "amixer", "ssh-copy-id", "ansible-playbook", "ansible-vault", "pipx", "dpkg"),
    *("mosquitto_sub", "cd", "rm"),
}
"""Programs that are not ours: whoever reads the page has them."""

PLACEHOLDERS = {
    "NAME": "lira_token",
    "KEY=VALUE": "personality=calm",
    "SCENE": "updating",
    "N": "2",
    "[N|+N|-N]": "+5",
    "[--json]": "--json",
}
"""What stands for something of the reader's: a word for it. Three dots stand for nothing."""

NOT_RUN = {
    "voicebox watch": "it runs until Ctrl-C: test_cli.py",
    "voicebox light test": "it takes a minute: test_light_command.py",
    "voicebox bench": "it takes minutes: test_bench.py",
    "voicebox doctor": "it listens and plays: test_doctor.py",
    "voicebox monitor": "it draws until it is ended: test_monitor.py",
    "voicebox wake": "it asks for what it has counted, or listens: test_advise.py, test_wake.py",
    "voicebox button": "it waits half a minute for presses",
    "voicebox simulate": "it runs until Ctrl-C: test_demo.py",
    "scripts/test": "it runs this",
    "scripts/check": "it runs scripts/test",
    "scripts/demo": "test_demo.py runs what it runs",
    "scripts/bench": "it takes half an hour; test_bench.py runs what it runs",
    "scripts/install": "it changes the system: test_install.py, scripts/install-check",
    "scripts/install-check": "it makes whole systems, and is a test",
    "scripts/build-wheels": "it takes minutes: scripts/install-check",
    "scripts/lock": "it asks the package index: test_lock.py",
    "scripts/arm64-check": "it downloads 50 MB, and is a test",
    "scripts/arm64-guest": "it makes a virtual machine, and is a test",
    "scripts/build-deb": "it takes minutes: scripts/deb-check",
    "scripts/deb-check": "it makes whole systems, and is a test",
    "scripts/fleet-check": "it makes whole systems, and is a test",
    "scripts/vm-check": "it makes a virtual machine, and is a test",
}
"""Of these only sub-commands and options are looked up."""

NEED_AN_ANSWER = {"voicebox support-bundle": 1}
"""The status of those that ask, where nobody answers."""


@dataclass(frozen=True)
class Command:
    """``words`` without sudo and with the placeholders filled in. ``is_whole``: it is to be typed as it stands."""

    page: str
    words: tuple[str, ...]
    is_whole: bool

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"

    def is_among(self, names: Mapping[str, Any]) -> bool:
        return any(" ".join(self.words).startswith(name) for name in names)


def commands(page: Path) -> Iterator[Command]:
    text = page.read_text()
    blocks = r"^```(?:sh)?\n(.*?)^```"
    for block in re.findall(blocks, text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            yield from (Command(page.name, words, True) for words in split(line))
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)):
        if re.match(r"(?:sudo )?(?:voicebox [a-z]|scripts/[a-z])", code):
            yield from (Command(page.name, words, False) for words in split(code))


def split(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of a line; none where it is no command but something that is printed."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    for part in re.split(r"\0(?:&&|\||;)\0", "\0".join(words)):
        found = re.sub(r"\0<\0.*", "", part).split("\0")
        while found and (found[0] == "sudo" or re.fullmatch(r"[A-Z_]+=.*", found[0])):
            del found[0]
        name = found[0].removeprefix(INSTALLED) if found else ""
        is_screen = len(found) > 1 and found[1][0].isdigit()  # "voicebox 0.1.0 …": what monitor draws
        if name in FOREIGN or (name == "voicebox" and not is_screen) or name.startswith("scripts/"):
            yield name, *(PLACEHOLDERS.get(word, word) for word in found[1:] if word != "…")


ALL = list(dict.fromkeys(command for page in PAGES for command in commands(page)))
OURS = [command for command in ALL if command.words[0] not in FOREIGN]
WHOLE = [command for command in OURS if command.is_whole and not command.is_among(NOT_RUN)]


def test_they_are_found() -> None:
    texts = {" ".join(command.words) for command in ALL}
    assert {"scripts/demo", "voicebox secret set lira_token", "voicebox status --json", "git pull"} <= texts
    assert {"scripts/install --roll-back", "scripts/demo --all", "voicebox volume +5"} <= texts
    assert len(WHOLE) > 15


def test_nothing_is_excused_that_is_not_there() -> None:
    """Nor for the sake of a file that is not."""
    for name, why in NOT_RUN.items():
        used = any(command.is_among({name: why}) for command in OURS)
        assert not used or all(any((ROOT / "tests").rglob(file)) for file in re.findall(r"test_\w+\.py", why)), name


# --- what there is -------------------------------------------------------------------------------------------------


def helps(capsys: pytest.CaptureFixture[str], *words: str) -> str | None:
    """What ``--help`` of a sub-command prints; None if there is none."""
    try:
        cli.main([*words, "--help"])
    except SystemExit as ended:
        return capsys.readouterr().out if ended.code == 0 else None
    return capsys.readouterr().out


@pytest.mark.parametrize("command", [c for c in OURS if c.words[0] == "voicebox"], ids=str)
def test_the_sub_command_and_its_options_exist(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in command.words[1:] if not word.startswith("-")]
    options = {word for word in command.words if word.startswith("--")}
    if len(words) > 1 and "|" in words[1]:  # secret set|list|rm: three of them
        assert all(helps(capsys, words[0], word) for word in words[1].split("|"))
        return
    text = helps(capsys, *words[:1])
    assert text is not None, f"there is no voicebox {words[0]}"
    inner = helps(capsys, *words[:2]) if len(words) > 1 else None
    known = text + (inner or "")
    assert {option for option in options if option not in known} == set()


@pytest.mark.parametrize("command", [c for c in OURS if c.words[0] != "voicebox"], ids=str)
def test_the_script_and_its_options_exist(command: Command) -> None:
    script = ROOT / command.words[0]
    assert os.access(script, os.X_OK)
    options = [word for word in command.words[1:] if word.startswith("--")]
    if command.words[0] == "scripts/check" or not options:
        return
    done = subprocess.run([script, "--help"], capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout + (helps_of_python(script) if "voicebox" in script.read_text() else "")
    assert [option for option in options if option not in text] == []


def helps_of_python(script: Path) -> str:
    """Scripts that hand their arguments on to ``voicebox demo`` or ``bench``."""
    found = re.search(r"voicebox (demo|bench)\b", script.read_text())
    if not found:
        return ""
    done = subprocess.run(["voicebox", found[1], "--help"], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


# --- and what it does ----------------------------------------------------------------------------------------------


class Straw:
    """A box that agrees to everything, on a thread of its own."""

    ANSWERS: Mapping[str, dict[str, Any]] = {
        "status": {"status": "idle", "phase": "idle", "fault": None, "version": "0.1.0", "muted": False},
        "volume": {"volume": 45, "control": "PCM"},
        "reload": {"said": "nothing has changed"},
        "secret.renew": {"in_use": True},
    }
    OTHERS = ("say", "session.set", "mute", "unmute", "conversation.new", "light", "talk", "stop", "session.restart")

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        names = [*self.ANSWERS, *self.OTHERS]
        self._control = Control(path, {name: self._answer(name) for name in names})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def _answer(self, name: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        def answer(_: Mapping[str, Any]) -> dict[str, Any]:
            self.asked.append(name)
            return dict(self.ANSWERS.get(name, {}))

        return answer

    def __enter__(self) -> "Straw":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._control.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._control.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def limit() -> Iterator[None]:
    """A command that does not end by itself fails instead."""

    def end(*_: object) -> None:
        raise TimeoutError("it does not end by itself: it belongs into NOT_RUN, with what tests it")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def straw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Straw]:
    """With settings, a stored secret, an editor that changes nothing, and an owner who types a secret."""
    config = tmp_path / "voicebox.toml"
    config.write_text('[lights]\nbackend = "none"\n[button]\npin = false\n')
    (tmp_path / "credentials").mkdir(mode=0o700)
    (tmp_path / "credentials" / "lira_token").write_text("a token\n")
    (tmp_path / "credentials" / "lira_token").chmod(0o600)
    for name, value in {
        "VOICEBOX_CONTROL": str(tmp_path / "control.sock"),
        "VOICEBOX_CONFIG": str(config),
        "VISUAL": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("a token\n"))
    with Straw(tmp_path / "control.sock") as straw:
        yield straw


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("command", list({command.words: command for command in WHOLE}.values()), ids=str)
def test_it_does_what_it_says(command: Command, straw: Straw, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.words[0] == "voicebox", f"{command} is neither run nor in NOT_RUN"
    wanted = next((code for name, code in NEED_AN_ANSWER.items() if " ".join(command.words) == name), 0)
    assert cli.main(command.words[1:]) == wanted, capsys.readouterr().err
    printed = capsys.readouterr()
    assert straw.asked or printed.out or wanted
