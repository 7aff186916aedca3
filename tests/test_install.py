"""scripts/install, as far as it can be tried without changing this machine; the rest is scripts/install-check's."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.system import versions
from tests.system.snapshot import differences, snapshot

ROOT = Path(__file__).parent.parent
INSTALL = ROOT / "scripts" / "install"
BOX = (ROOT / "scripts" / "_box.sh").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
DEBIAN = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
PROGRAMS = {
    "dpkg": "echo arm64",
    "systemctl": "echo active",
    "id": "echo 1000",
    "df": "printf 'Avail\\n900M\\n'",
    "getent": "exit 2",
    "flock": "exit 0",
}


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    directory = tmp_path / "wheels"
    directory.mkdir()
    (directory / f"voicebox-{VERSION}-py3-none-any.whl").touch()
    return directory


def install(
    tmp_path: Path, *arguments: str | Path, release: str = DEBIAN, **programs: str
) -> subprocess.CompletedProcess[str]:
    """On a Raspberry Pi, or whatever ``programs`` (shell text) and ``release`` make of it."""
    fakes = tmp_path / "bin"
    fakes.mkdir(exist_ok=True)
    for name, text in (PROGRAMS | programs).items():
        program = fakes / name
        program.write_text(f"#!{shutil.which('bash')}\n{text}\n")
        program.chmod(0o755)
    (tmp_path / "os-release").write_text(release)
    environ = os.environ | {"PATH": f"{fakes}:{os.environ['PATH']}", "OS_RELEASE": str(tmp_path / "os-release")}
    command = [INSTALL, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ, cwd=tmp_path)


def test_a_dry_run_names_each_place_and_changes_none(tmp_path: Path, wheels: Path) -> None:
    places = [Path(path) for path in re.findall(r"^(?:opt|etc|state|cache|rules|program)=(/\S+)$", BOX, re.MULTILINE)]
    assert len(places) == 6
    before = {path for path in places if path.exists()}
    done = install(tmp_path, "--dry-run", "--wheels", wheels)
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if line.startswith("    ")]
    assert len(printed) > 15
    for place in places:
        if place.name != "voicebox" or place.parent != Path("/var/cache"):  # nothing is built: there are wheels
            assert str(place) in done.stdout
    assert {path for path in places if path.exists()} == before


def test_a_dry_run_of_an_uninstall_says_what_would_go(tmp_path: Path) -> None:
    kept, purged = (
        install(tmp_path, "--dry-run", "--uninstall"),
        install(tmp_path, "--dry-run", "--uninstall", "--purge"),
    )
    assert "rm -rf /opt/voicebox" in kept.stdout
    assert "rm -rf /etc/voicebox" not in kept.stdout
    assert "rm -rf /etc/voicebox /var/lib/voicebox" in purged.stdout


@pytest.mark.parametrize(
    ("programs", "release", "said"),
    [
        ({}, DEBIAN, "sudo "),
        ({"dpkg": "echo armhf"}, DEBIAN, "64-bit Raspberry Pi OS"),
        ({}, DEBIAN.replace("12", "11"), "is too old"),
        ({}, 'ID=arch\nPRETTY_NAME="Arch Linux"\n', "Arch Linux is neither"),
        ({"id": "echo 0", "df": "printf 'Avail\\n12M\\n'"}, DEBIAN, "12 MB left"),
        ({"id": "echo 0", "flock": "exit 1"}, DEBIAN, "another installation"),
    ],
    ids=["no root", "32 bits", "too old", "no Debian", "full", "second"],
)
def test_says_what_is_in_the_way_before_it_changes_anything(
    tmp_path: Path, wheels: Path, programs: dict[str, str], release: str, said: str
) -> None:
    done = install(tmp_path, "--wheels", wheels, release=release, **programs)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_raspberry_pi_os_of_any_later_name_is_welcome(tmp_path: Path, wheels: Path) -> None:
    for release in (DEBIAN.replace("12", "13"), "ID=debian\nPRETTY_NAME=sid\n", 'ID=raspbian\nVERSION_ID="12"\n'):
        assert install(tmp_path, "--dry-run", "--wheels", wheels, release=release).returncode == 0


def test_wheels_of_another_version_are_refused(tmp_path: Path, wheels: Path) -> None:
    next(wheels.iterdir()).rename(wheels / "voicebox-0.0.1-py3-none-any.whl")
    done = install(
        tmp_path, "--wheels", wheels, id="echo 0", apt_get="exit 0", **{"dpkg-query": "echo -n install ok installed"}
    )
    assert done.returncode == 1
    assert f"holds no voicebox-{VERSION}-py3" in done.stderr


@pytest.mark.parametrize("arguments", [["--purge"], ["--wheels"], ["--wheels", "nowhere"], ["--what"]])
def test_a_wrong_command_line_is_explained(tmp_path: Path, arguments: list[str]) -> None:
    done = install(tmp_path, *arguments)
    assert done.returncode == 2
    assert "Usage: scripts/install" in done.stderr


@pytest.mark.parametrize("has", ["gpio", "spi", "gpio spi", ""])
def test_pins_are_the_groups_or_a_rules(tmp_path: Path, wheels: Path, has: str) -> None:
    """For each kind of pin: the system's group, or where it has none, a line of the rule."""
    getent = f'case " {has} " in *" $2 "*) exit 0 ;; *) exit 2 ;; esac'
    stdout = install(tmp_path, "--dry-run", "--wheels", wheels, getent=getent).stdout
    for group, kind in {"gpio": "gpio", "spi": "spidev"}.items():
        assert (f'SUBSYSTEM=="{kind}"' in stdout) == (group not in has.split())


def test_what_is_not_compiled_is_never_loaded() -> None:
    """Byte-code is left out only where nobody misses it."""
    found = re.search(r"^NEVER_LOADED='(.*)'$", BOX, re.MULTILINE)
    assert found
    code = """
import sys, voicebox.app, voicebox.cli, voicebox.parts, onnxruntime, soxr, httpx, gpiozero, soundfile
print(*(m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)), sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    loaded = [line for line in done.stdout.splitlines() if line.endswith(".py")]
    assert any("/onnxruntime/" in file for file in loaded)
    assert [file for file in loaded if re.search(found[1], file)] == []


def test_the_exposed_places_are_those_of_the_unit() -> None:
    unit = (ROOT / "systemd" / "voicebox.service").read_text()
    assert "ExecStart=/opt/voicebox/current/bin/voicebox run\n" in unit
    assert "LoadCredential=voicebox:/etc/voicebox/credentials\n" in unit
    directories = (ROOT / "systemd" / "voicebox.tmpfiles").read_text()
    assert re.search(r"^d /etc/voicebox/credentials +:0700 :root +:root$", directories, re.MULTILINE)
    assert re.search(r"^d /var/lib/voicebox +:0700 :voicebox +:voicebox$", directories, re.MULTILINE)


# what the checks in a fresh Debian are made of


def test_a_difference_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before")
    (tmp_path / "link").symlink_to("file")
    before = snapshot([tmp_path])
    assert differences(before, snapshot([tmp_path])) == []
    file.write_text("behind")
    (tmp_path / "new").mkdir()
    (tmp_path / "link").unlink()
    assert differences(before, snapshot([tmp_path])) == [str(file), str(tmp_path / "link"), str(tmp_path / "new")]
    file.write_text("before")
    file.chmod(0o600)
    assert str(file) in differences(before, snapshot([tmp_path]))


def test_a_version_that_never_was(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels" / f"voicebox-{VERSION}-py3-none-any.whl"
    information = f"voicebox-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("voicebox/__init__.py", f'__version__ = "{VERSION}"\n')
        file.writestr("voicebox/app.py", "works")
        file.writestr(f"{information}/METADATA", f"Name: voicebox\nVersion: {VERSION}\n")
        file.writestr(f"{information}/RECORD", "")
    tree = versions.make(tmp_path / "tree", tmp_path / "wheels", "99.0", {"voicebox/app.py": ", no more"})
    assert versions.version_of(tree) == "99.0"
    assert (tree / "scripts" / "install").exists()
    with zipfile.ZipFile(tree / "wheels" / "voicebox-99.0-py3-none-any.whl") as file:
        assert file.read("voicebox/__init__.py") == b'__version__ = "99.0"\n'
        assert file.read("voicebox/app.py") == b"works, no more"
        assert b"Version: 99.0" in file.read("voicebox-99.0.dist-info/METADATA")
        assert len(file.read("voicebox-99.0.dist-info/RECORD").splitlines()) == 4
