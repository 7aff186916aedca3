"""The Debian package and the playbooks, as far as they can be tried without a system of their own: the rest is
scripts/deb-check's and scripts/fleet-check's."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DEBIAN = ROOT / "debian"
BOX = (ROOT / "scripts" / "_box.sh").read_text()
MAINTAINERS = sorted(path for path in DEBIAN.iterdir() if re.fullmatch(r"voicebox\.(pre|post)(inst|rm)", path.name))
PLAYBOOK = (ROOT / "config" / "ansible" / "boxes.yml").read_text()

needs_shellcheck = pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")


def field(name: str) -> set[str]:
    """The packages that a field of debian/control names."""
    found = re.search(rf"^{name}: (.*)$", (DEBIAN / "control").read_text(), re.MULTILINE)
    assert found
    return set(found[1].split(", "))


def array(name: str) -> set[str]:
    """Of scripts/_box.sh or scripts/_lib.sh."""
    text = BOX + (ROOT / "scripts" / "_lib.sh").read_text()
    found = re.search(rf"^{name}=\((.*)\)$", text, re.MULTILINE)
    assert found
    return set(found[1].split())


def test_it_needs_what_the_installation_installs() -> None:
    """Python by its version (debian/rules); what makes environments only where it is built."""
    assert array("RUN_PACKAGES") - {"python3", "python3-venv"} <= field("Depends")
    assert "${python:Depends}" in field("Depends")
    assert array("MORE_PACKAGES") | {"libmpg123-0"} <= field("Recommends")


@pytest.mark.parametrize("path", MAINTAINERS, ids=lambda path: path.name)
def test_what_it_runs_on_the_box_is_sound(path: Path) -> None:
    text = path.read_text()
    assert "\nset -e\n" in text
    assert "\n#DEBHELPER#\n" in text
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


@needs_shellcheck
@pytest.mark.parametrize("path", MAINTAINERS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(path: Path) -> None:
    done = subprocess.run(["shellcheck", "-x", path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_it_purges_what_the_installation_makes() -> None:
    purge = (DEBIAN / "voicebox.postrm").read_text()
    for name in ("etc", "state", "rules"):
        found = re.search(rf"^{name}=(\S+)", BOX, re.MULTILINE)
        assert found
        assert f" {found[1]}" in purge
    assert "userdel voicebox" in purge


def test_what_lintian_is_told_to_leave_alone_has_its_reason() -> None:
    lines = (DEBIAN / "voicebox.lintian-overrides").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert os.access(DEBIAN / "rules", os.X_OK)


def tasks() -> list[str]:
    return re.split(r"\n(?= +- name: )", PLAYBOOK)


def test_secrets_travel_unseen() -> None:
    """On standard input, and in no log."""
    secret = [task for task in tasks() if "voicebox_secrets" in task]
    assert len(secret) == 2
    for task in secret:
        assert 'stdin: "{{ item.value }}"' in task
        assert "no_log: true" in task
        assert task.count("item.value") == 1
    assert "pipelining = true" in (ROOT / "config" / "ansible" / "ansible.cfg").read_text()


def test_a_wave_that_fails_is_the_last() -> None:
    for name in ("boxes.yml", "roll-back.yml"):
        play = (ROOT / "config" / "ansible" / name).read_text().partition("hosts: boxes")[2]
        assert "\n  serial: " in play
        assert "\n  max_fail_percentage: 0\n" in play
