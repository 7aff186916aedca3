"""Pages that a script writes: current, and mended when they are not."""

from pathlib import Path
from types import ModuleType

import pytest

from tests.support import scripts

PAGES = {
    "settings-doc": ("`preroll_ms`", "`preroll`"),
    "services-doc": ("| emotions | ", "| emotions | sometimes "),
    "state-diagram": ("idle --> connecting", "idle --> speaking"),
    "licences": ("| MIT |", "| none |"),
    "fleet-picture": ("down for 30 s", "down for 31 s"),
}
"""Script, and what of its page is changed into what."""


@pytest.fixture(params=PAGES)
def script(request: pytest.FixtureRequest) -> ModuleType:
    return scripts.load(request.param)


def run(script: ModuleType, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["script", *arguments])
        status = script.main()
        assert isinstance(status, int)
        return status


def test_it_is_current(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(script, "--check") == 0, capsys.readouterr().out


def test_one_that_is_not_is_noticed_and_mended(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    good = script.PAGE.read_text("utf-8")
    damaged = good.replace(*PAGES[request.node.callspec.params["script"]])
    assert damaged != good
    page = tmp_path / "page.md"
    page.write_text(damaged, "utf-8")
    monkeypatch.setattr(script, "PAGE", page)
    assert run(script, "--check") == 1
    assert page.read_text("utf-8") == damaged
    assert run(script) == 0
    assert page.read_text("utf-8") == good


@pytest.mark.parametrize("script", sorted(PAGES.keys() - {"services-doc"}), indirect=True)
def test_one_that_is_not_there_is_written(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    good = script.PAGE.read_text("utf-8")
    monkeypatch.setattr(script, "PAGE", tmp_path / "page.md")
    assert run(script, "--check") == 1
    assert run(script) == 0
    assert script.PAGE.read_text("utf-8") == good


def test_an_option_it_does_not_know_changes_nothing(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(script.PAGE.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(script, "PAGE", page)
    before = page.stat().st_mtime_ns
    assert run(script, "--chekc") == 2
    assert "usage: " in capsys.readouterr().err
    assert page.stat().st_mtime_ns == before
