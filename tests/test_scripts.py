"""What a newcomer runs first: the scripts are sound, CI runs them, and they say what they do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHELL = sorted(
    path
    for path in [*(ROOT / "scripts").iterdir(), *(ROOT / ".ci").iterdir()]
    if path.is_file() and (path.suffix == ".sh" or path.read_bytes().startswith(b"#!/usr/bin/env bash"))
)
COMMANDS = ["demo", "test", "check", "bench", "life", "soak", "fuzz", "build-deb", "deb-check", "fleet-check"]

needs_shellcheck = pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_scripts_are_found() -> None:
    assert {"scripts/_lib.sh", ".ci/run", *(f"scripts/{name}" for name in COMMANDS)} <= {ids(path) for path in SHELL}


@pytest.mark.parametrize("path", SHELL, ids=ids)
def test_bash_can_read_it(path: Path) -> None:
    assert run("bash", "-n", path).stderr == ""


@needs_shellcheck
@pytest.mark.parametrize("path", SHELL, ids=ids)
def test_shellcheck_finds_nothing(path: Path) -> None:
    done = run("shellcheck", "-x", path)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("path", [path for path in SHELL if path.suffix != ".sh"], ids=ids)
def test_can_be_run_and_stops_at_the_first_error(path: Path) -> None:
    assert os.access(path, os.X_OK)
    assert "\nset -euo pipefail\n" in path.read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_says_what_it_does_from_any_directory_and_installs_nothing_for_it(name: str, tmp_path: Path) -> None:
    done = run(ROOT / "scripts" / name, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: scripts/{name}")
    assert done.stderr == ""


def fake_machine(tmp_path: Path, **programs: str) -> dict[str, str]:
    """An environment whose only programs are these (shell text) and the harmless ones named here."""
    for name in ("bash", "env", "cat", "dirname", "sha256sum"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    for name, text in programs.items():
        program = tmp_path / name.replace("_", "-")
        program.write_text(f"#!{shutil.which('bash')}\n{text}\n")
        program.chmod(0o755)
    return {"PATH": str(tmp_path), "DID": str(tmp_path / "did")}


def need(environment: dict[str, str], *packages: str) -> subprocess.CompletedProcess[str]:
    """need_packages of scripts/_lib.sh on a machine of ours."""
    program = f"set -euo pipefail; source {ROOT}/scripts/_lib.sh; need_packages {' '.join(packages)}"
    return subprocess.run(
        [str(shutil.which("bash")), "-c", program], env=environment, capture_output=True, text=True, check=False
    )


INSTALLED = """case "${@: -1}" in
here) echo -n "install ok installed" ;;
removed) echo -n "deinstall ok config-files" ;;
*) exit 1 ;;
esac"""
NOTE = 'echo "${0##*/} $*" >>"$DID"'


def test_installs_only_what_is_missing_through_sudo(tmp_path: Path) -> None:
    """A package that was removed but left its settings behind is missing, too."""
    environment = fake_machine(tmp_path, dpkg_query=INSTALLED, id="echo 1000", sudo=f'{NOTE}; "$@"', apt_get=NOTE)
    done = need(environment, "here", "removed", "absent")
    did = (tmp_path / "did").read_text().splitlines()
    assert done.returncode == 0
    assert [line.split()[0] for line in did] == ["sudo", "apt-get", "sudo", "apt-get"]
    assert did[1].endswith(" update")
    assert did[3].endswith(" install -y --no-install-recommends removed absent")
    assert all("DPkg::Lock::Timeout=120" in line for line in did)
    assert "removed absent" in done.stderr


def test_root_needs_no_sudo(tmp_path: Path) -> None:
    environment = fake_machine(tmp_path, dpkg_query=INSTALLED, id="echo 0", apt_get=NOTE)
    assert need(environment, "absent").returncode == 0
    assert (tmp_path / "did").read_text().count("apt-get") == 2


def test_does_nothing_where_nothing_is_missing(tmp_path: Path) -> None:
    environment = fake_machine(tmp_path, dpkg_query=INSTALLED, id="echo 1000")
    done = need(environment, "here")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_sudo_it_says_what_to_type(tmp_path: Path) -> None:
    done = need(fake_machine(tmp_path, dpkg_query=INSTALLED, id="echo 1000"), "here", "absent")
    assert done.returncode == 1
    assert "apt-get install absent" in done.stderr


def test_without_a_network_it_says_so_and_stops(tmp_path: Path) -> None:
    done = need(fake_machine(tmp_path, dpkg_query=INSTALLED, id="echo 0", apt_get="exit 100"), "absent")
    assert done.returncode == 1
    assert "Is this machine online?" in done.stderr


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    environment = fake_machine(tmp_path, python3="exit 1") | {"PYTHON": "python3"}
    program = f"set -euo pipefail; source {ROOT}/scripts/_lib.sh; find_python"
    done = subprocess.run(
        [str(shutil.which("bash")), "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "PYTHON=python3 is no Python 3.11 or later" in done.stderr


def test_ci_runs_exactly_scripts_test() -> None:
    commands = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'exec "$(dirname "${BASH_SOURCE[0]}")/../scripts/test"']


def test_the_last_word_is_pytests() -> None:
    """Nothing is printed after its summary, and a failure of either part is the script's."""
    script = (ROOT / "scripts/test").read_text()
    assert script.endswith('\ncat "$log"\nexit "$failed"\n')
    assert script.count("|| failed=$?\n") == 2
