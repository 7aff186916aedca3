"""The pages and the card made by scripts/owner-pages: current, complete, and mended when they are not."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support import scripts
from voicebox.lights.patterns import CODES

DOCS = scripts.ROOT / "docs"


SCRIPT = scripts.load("owner-pages")


def test_they_are_current(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["owner-pages", "--check"])
    assert SCRIPT.main() == 0, capsys.readouterr().out


def test_a_stale_page_is_noticed_and_mended_and_one_of_no_board_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(SCRIPT, "DOCS", tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards/gone.md").write_text("of a board there no longer is", "utf-8")
    (tmp_path / "lights.md").write_text((DOCS / "lights.md").read_text("utf-8"), "utf-8")
    monkeypatch.setattr("sys.argv", ["owner-pages", "--check"])
    assert SCRIPT.main() == 1
    monkeypatch.setattr("sys.argv", ["owner-pages"])
    assert SCRIPT.main() == 0
    assert (tmp_path / "boards/usb.md").read_text("utf-8") == (DOCS / "boards/usb.md").read_text("utf-8")
    assert not (tmp_path / "boards/gone.md").exists()
    monkeypatch.setattr("sys.argv", ["owner-pages", "--check"])
    assert SCRIPT.main() == 0


def test_every_board_is_in_the_quick_start() -> None:
    boards = {path.stem for path in (scripts.ROOT / "config/boards").glob("*.toml")}
    told = set(re.findall(r"\(boards/([\w-]+)\.md\)", (DOCS / "quick-start.md").read_text("utf-8")))
    assert told == boards


def test_the_card_shows_every_number_as_it_flashes() -> None:
    card = ET.parse(DOCS / "pictures/light-card.svg").getroot()  # noqa: S314  # our own file
    lamps: dict[str, int] = {}
    for rect in card.findall("{*}rect"):
        if rect.get("height") == "12":
            row = rect.get("y") or ""
            lamps[row] = lamps.get(row, 0) + (5 if float(rect.get("width") or 0) > 20 else 1)
    assert sorted(lamps.values()) == sorted(set(CODES.values()))
