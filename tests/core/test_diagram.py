"""docs/state-diagram.md shows the table the box runs on."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from voicebox.core.transitions import arrows

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader = SourceFileLoader("state_diagram", str(ROOT / "scripts" / "state-diagram"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_committed_diagram_is_current(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["state-diagram", "--check"])
    assert script.main() == 0, "run scripts/state-diagram"


def test_an_outdated_or_missing_diagram_is_noticed(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "docs" / "page.md"
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["state-diagram", "--check"])
    assert script.main() == 1
    monkeypatch.setattr("sys.argv", ["state-diagram"])
    assert script.main() == 0
    page.write_text(page.read_text(encoding="utf-8").replace("idle --> connecting", "idle --> speaking"), "utf-8")
    monkeypatch.setattr("sys.argv", ["state-diagram", "--check"])
    assert script.main() == 1


def test_every_change_of_phase_is_drawn(script: ModuleType) -> None:
    drawn = "\n".join(script.diagram())
    for source, event, target in arrows():
        if source is not target:
            line = next(line for line in drawn.splitlines() if line.strip().startswith(f"{source} --> {target}:"))
            assert event in line
