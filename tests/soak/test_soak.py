"""The soak itself, very short: it lives, counts, sees what is left behind, and draws it."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.soak import accelerated
from tests.soak.__main__ import update
from tests.soak.course import Look, growth, held, more, unchanged
from tests.soak.picture import lines
from voicebox.bench import at_most

LEFT = 10_000_000
"""Bytes."""


def looks(growing: int = 0, files: int = 12) -> list[Look]:
    """Of 100 sessions; so many bytes are left by each."""
    first = [Look(n, 90_000_000, 60_000_000, 12, 3) for n in range(0, 50, 10)]
    return first + [Look(n, 90_000_000, 60_000_000 + n * growing, files, 3) for n in range(50, 100, 10)]


def test_four_sessions_are_lived_and_what_stays_of_each_is_found() -> None:
    kept: list[bytes] = []
    figures, seen = accelerated.live(4, 80.0, lambda _: kept.append(b"\1" * LEFT))
    values = {figure.name.partition(": ")[2]: figure for figure in figures}
    assert [look.sessions for look in seen] == [1, 2, 3, 4]
    assert values["connections lost and found again"].value == values["answers interrupted"].value == 1
    missed = {name for name, figure in values.items() if not figure.ok}
    assert missed == {f"{what}, growth for 100 sessions" for what in ("memory in use", "resident")}
    assert growth(seen, "held") == pytest.approx(100 * LEFT / 1024, rel=0.1)


def test_only_the_second_half_counts() -> None:
    assert growth(looks(), "held") == pytest.approx(0, abs=1e-6)
    assert growth(looks(1024), "held") == pytest.approx(100)
    learning = [Look(n, 0, min(n, 40) * 1024, 12, 3) for n in range(0, 100, 10)]
    assert growth(learning, "held") == pytest.approx(0, abs=1e-6)


def test_one_odd_look_does_not_bend_it() -> None:
    odd = [Look(each.sessions, 0, each.held + (5_000_000 if each.sessions == 90 else 0), 12, 3) for each in looks(1024)]
    assert growth(odd, "held") == pytest.approx(100)


def test_too_few_looks_are_no_proof() -> None:
    assert not at_most("growth", growth(looks()[:1], "held"), "KiB", 4).ok


def test_a_file_more_or_fewer_is_found() -> None:
    assert [more(looks(files=files), "files") for files in (11, 12, 14)] == [-1, 0, 2]
    assert [all(figure.ok for figure in unchanged(looks(files=files), "")) for files in (11, 12, 14)] == [
        False,
        True,
        False,
    ]


def test_memory_in_use_is_what_is_taken_whoever_gives_it() -> None:
    before = held()
    small, large = [bytes(100) for _ in range(1000)], bytes(LEFT)
    assert 1000 * 100 + LEFT <= held() - before < 1000 * 300 + LEFT + 100_000
    del small, large


def test_the_picture_is_one_and_says_what_is_held() -> None:
    root = ElementTree.fromstring(lines(looks(1024), "a <day>"))  # noqa: S314  # our own
    said = " ".join(text for text in root.itertext())
    assert "a <day>" in said
    assert "files at every look: 12" in said
    assert len(root.findall("{*}polyline")) == 4


def test_the_page_gets_table_and_picture(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- soak -->\nold\n<!-- /soak -->\nafter\n", encoding="utf-8")
    update(page, "soak", "a day", unchanged(looks(), "day"), looks())
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert "| day: files more or fewer, ever | 0 | ≤ 0 |  |" in text
    assert text.startswith("before\n<!-- soak -->\n")
    assert text.endswith("\n<!-- /soak -->\nafter\n")
    assert (tmp_path / "pictures" / "soak.svg").exists()
    with pytest.raises(SystemExit, match="there must be one"):
        update(page, "soak-real", "a day", [], looks())
