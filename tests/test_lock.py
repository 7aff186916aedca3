"""lock/*.txt: holds all that is wanted, in one version each, and nothing that it does not list is taken."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import scripts

LOCKS = {file.stem: file.read_text("utf-8") for file in (scripts.ROOT / "lock").glob("*.txt")}
PROJECT = tomllib.loads((scripts.ROOT / "pyproject.toml").read_text("utf-8"))
BESIDES = {"demo": ("box", "build"), "test": ("box", "build", "demo"), "fuzz": ("box", "build")}
"""What is installed with which other lists."""


SCRIPT = scripts.load("lock")


def pins(*locks: str) -> Iterator[tuple[str, str]]:
    """Name and version."""
    for lock in locks:
        yield from re.findall(r"^([\w.-]+)==([^\s;]+)", LOCKS[lock], re.MULTILINE)


def missing(requirements: Iterable[str], lock: str) -> list[Requirement]:
    """Those that this lock, and what is installed with it, do not satisfy."""
    listed = dict(pins(lock, *BESIDES.get(lock, ())))
    names = ((one, canonicalize_name(one.name)) for one in map(Requirement, requirements))
    return [one for one, name in names if name not in listed or listed[name] not in one.specifier]


def test_there_is_one_for_every_purpose() -> None:
    assert LOCKS.keys() == SCRIPT.PURPOSES.keys() == SCRIPT.wanted(PROJECT).keys()


def test_a_package_has_one_version_everywhere() -> None:
    versions = dict(pins(*LOCKS))
    assert [pin for pin in pins(*LOCKS) if versions[pin[0]] != pin[1]] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_pins_a_version_and_every_version_has_hashes(lock: str) -> None:
    entries = LOCKS[lock].replace(" \\\n", "").splitlines()[1:]
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9.-]+==[\w.]+( ; [^#]+?)?(    --hash=sha256:[0-9a-f]{64})+", entry)


@pytest.mark.parametrize("lock", LOCKS)
def test_all_that_the_project_asks_for_is_in_it(lock: str) -> None:
    """Otherwise: scripts/lock."""
    assert missing(SCRIPT.wanted(PROJECT)[lock], lock) == []


def needs(name: str) -> Iterator[Requirement]:
    """What a package asks for on this machine; nothing if it is not installed here."""
    try:
        asked = map(Requirement, metadata.requires(name) or ())
    except metadata.PackageNotFoundError:
        return
    yield from (one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""}))


@pytest.mark.parametrize("lock", sorted(LOCKS.keys() - {"lock"}))
def test_what_its_packages_ask_for_is_in_it_too(lock: str) -> None:
    """But for what openwakeword asks for in vain: pip is told not to look itself."""
    asked = (str(need) for name, _ in pins(lock) for need in needs(name) if need.name not in SCRIPT.LEFT_OUT)
    assert missing(asked, lock) == []


@pytest.mark.parametrize(
    ("wheel", "machines"),
    [
        ("h11-0.16.0-py3-none-any.whl", {"x86_64", "aarch64"}),
        ("soundfile-0.14.0-py2.py3-none-manylinux_2_28_aarch64.whl", {"aarch64"}),
        ("numpy-2.4.6-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl", {"x86_64"}),
        ("protobuf-7.36.2-cp310-abi3-manylinux2014_aarch64.whl", {"aarch64"}),
        ("numpy-2.4.6-cp310-cp310-manylinux_2_27_x86_64.whl", set()),
        ("cffi-2.1.1-cp314-cp314t-manylinux_2_17_x86_64.whl", set()),
        ("websockets-17.4-pp311-pypy311_pp80-manylinux_2_28_x86_64.whl", set()),
        ("websockets-17.4-cp311-cp311-musllinux_1_2_aarch64.whl", set()),
        ("cffi-2.1.1-cp311-cp311-manylinux2014_i686.manylinux_2_17_i686.whl", set()),
        ("PyAudio-0.2.14-cp311-cp311-win_amd64.whl", set()),
    ],
)
def test_wheels_for_debian_on_our_processors_may_be_taken(wheel: str, machines: set[str]) -> None:
    assert SCRIPT.machines(wheel) == machines


@pytest.mark.parametrize(
    ("wheels", "taken"),
    [
        (["a-1-py3-none-any.whl"], ["a-1-py3-none-any.whl"]),
        (["a-1-cp311-cp311-win32.whl"], ["a-1.tar.gz"]),
        (["a-1-cp311-cp311-manylinux2014_aarch64.whl"], ["a-1-cp311-cp311-manylinux2014_aarch64.whl", "a-1.tar.gz"]),
    ],
)
def test_source_may_be_taken_only_where_a_processor_has_no_wheel(wheels: list[str], taken: list[str]) -> None:
    files = [{"url": f"https://index.invalid/{name}", "hashes": {"sha256": name}} for name in wheels]
    package = {"wheels": files, "sdist": {"hashes": {"sha256": "a-1.tar.gz"}}}
    assert SCRIPT.hashes(package) == taken


def test_all_files_of_a_package_that_is_for_some_machines_are_listed_and_those_machines_named(tmp_path: Path) -> None:
    """uv leaves out the files for others, which scripts/vm-check needs, so it is not told."""
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\ncp answer.toml pylock.toml\n")
    uv.chmod(0o755)
    answer = '[[packages]]\nname = "lgpio"\n[[packages]]\nname = "colorama"\nmarker = "sys_platform == \'win32\'"\n'
    (tmp_path / "answer.toml").write_text(answer)
    packages = SCRIPT.resolve(uv, ["numpy>=2", "lgpio>=0.2; python_version < '3.13'"], {}, "3.11")
    assert (tmp_path / "wanted.in").read_text().splitlines() == ["numpy>=2", "lgpio>=0.2"]
    assert packages == [{"name": "lgpio", "marker": "python_version < '3.13'"}]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A directory of packages, with one in it."""
    with zipfile.ZipFile(tmp_path / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            "tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nRequires-Dist: absent\n"
        )
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return tmp_path


def take(index: Path, entry: str) -> subprocess.CompletedProcess[str]:
    """What scripts/build-wheels does with a list of one package."""
    (index / "list.txt").write_text(entry)
    program = f'source {scripts.ROOT}/scripts/_lib.sh; listed "$@"'
    command = [
        "bash",
        "-euc",
        program,
        "build-wheels",
        sys.executable,
        "wheel",
        "--wheel-dir=taken",
        "--requirement=list.txt",
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": ".",
    }
    return subprocess.run(command, cwd=index, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_file_that_is_listed_is_taken_and_nothing_it_asks_for(index: Path) -> None:
    digest = hashlib.sha256((index / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    done = take(index, f"tiny==1.0 --hash=sha256:{digest}\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert [file.name for file in (index / "taken").iterdir()] == ["tiny-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("entry", [f"tiny==1.0 --hash=sha256:{'0' * 64}\n", "tiny==1.0\n"], ids=["another", "none"])
def test_a_file_with_another_hash_or_with_none_is_refused(entry: str, index: Path) -> None:
    done = take(index, entry)
    assert done.returncode == 1
    assert "hash" in done.stderr.lower()
    assert "index gave another file than the one that is listed, and it was not used: see SECURITY.md" in done.stderr
    assert list((index / "taken").glob("*")) == []
