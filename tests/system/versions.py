"""Versions of voicebox that never were: a tree and its wheels with another number, and something broken in them."""

import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

TREE = Path(__file__).parent.parent.parent
CRASHES = {"voicebox/app.py": 'raise RuntimeError("broken on purpose")\n'}
HANGS = {"voicebox/daemon.py": "import time\n\n\ndef main(*_):\n    time.sleep(3600)\n"}
DEAF = {"voicebox/app.py": 'App._device_ready = lambda self, device: self._device_lost(device, "deaf on purpose")\n'}


def version_of(tree: Path) -> str:
    """As pyproject.toml there says."""
    return str(tomllib.loads((tree / "pyproject.toml").read_text())["project"]["version"])


def make(directory: Path, wheels: Path, version: str, changes: Mapping[str, str] | None = None) -> Path:
    """A tree of this version in ``directory``, with its wheels in ``wheels/``; ``changes``: what files of the package
    end with. Returns the directory."""
    shutil.copytree(TREE, directory, ignore=shutil.ignore_patterns(".*", "build", "tests", "wheels"))
    project = directory / "pyproject.toml"
    project.write_text(re.sub(r'^version = ".*"$', f'version = "{version}"', project.read_text(), flags=re.MULTILINE))
    (directory / "wheels").mkdir()
    for wheel in wheels.glob("*.whl"):
        if wheel.name.startswith("voicebox-"):
            _renumber(wheel, directory / "wheels", version, changes or {})
        else:
            os.link(wheel, directory / "wheels" / wheel.name)
    return directory


def _renumber(wheel: Path, directory: Path, version: str, changes: Mapping[str, str]) -> None:
    before = wheel.name.split("-")[1]
    information = f"voicebox-{version}.dist-info"
    with ZipFile(wheel) as old, ZipFile(directory / wheel.name.replace(f"-{before}-", f"-{version}-"), "w") as new:
        names = []
        for name in old.namelist():
            content = old.read(name)
            if name.endswith((".dist-info/METADATA", "voicebox/__init__.py")):
                content = content.replace(before.encode(), version.encode(), 1)
            content += changes.get(name, "").encode()
            names.append(name.replace(f"voicebox-{before}.dist-info", information))
            if not name.endswith("/RECORD"):
                new.writestr(names[-1], content)
        new.writestr(f"{information}/RECORD", "".join(f"{name},,\n" for name in names))
