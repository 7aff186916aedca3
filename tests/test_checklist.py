"""Every item of docs/checklists/ is named by a test, and scripts/coverage-of-checklist would notice if one were not."""

from pathlib import Path

import pytest

from tests.support import scripts

TOTALS = {"COM": 14, "EVI": 82, "LIKU": 55, "LIRA": 46, "ZBE": 66}


SCRIPT = scripts.load("coverage-of-checklist")


def test_the_checklists_are_whole() -> None:
    items = SCRIPT.items(SCRIPT.CHECKLISTS)
    assert set(items) == {f"{prefix}-{n:02}" for prefix, total in TOTALS.items() for n in range(1, total + 1)}
    assert all(len(text) > 2 for text in items.values())


def test_no_id_stands_twice() -> None:
    lines = [line for path in SCRIPT.CHECKLISTS.glob("*.txt") for line in path.read_text("utf-8").splitlines()]
    ids = [line.split()[0] for line in lines if not line.startswith("#")]
    assert len(ids) == len(set(ids)) == sum(TOTALS.values())


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        ("def test_lira_07_broken_json(): ...", {"LIRA-07"}),
        ("def test_lira_14_15_stretches(): ...", {"LIRA-14", "LIRA-15"}),
        ("async def test_zbe_01(): ...", {"ZBE-01"}),
        ("class Test:\n    def test_evi_09_hidden(self): ...", {"EVI-09"}),
        ('def test_it() -> None:\n    """LIKU-07, LIKU-08: what the request carries."""', {"LIKU-07", "LIKU-08"}),
        ("def test_it():\n    # COM-09\n    ...", set()),
        ("# COM-09\ndef test_it(): ...", set()),
        ('"""COM-09"""\ndef test_it(): ...', set()),
        ('def helper():\n    """COM-09"""', set()),
        ("def test_lira_100_times(): ...", set()),
        ("def test_prelira_10_x(): ...", set()),
        ('def test_it():\n    """COM-9, XCOM-10, COM-111"""', set()),
    ],
)
def test_what_counts_as_naming_an_item(source: str, ids: set[str]) -> None:
    assert SCRIPT.named(source, TOTALS) == ids


def test_an_item_without_a_test_and_a_test_without_an_item_are_reported(tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("# for people\nCOM-01 one thing\nCOM-02 another\n")
    (tmp_path / "test_it.py").write_text("def test_com_02_03_x(): ...\n")
    assert SCRIPT.report(tmp_path, tmp_path) == [
        "COM-01: no test names it (one thing)",
        "COM-03: a test names it, no checklist does",
    ]


def test_it_fails_where_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["coverage-of-checklist"])
    monkeypatch.setattr(SCRIPT, "CHECKLISTS", tmp_path)
    monkeypatch.setattr(SCRIPT, "TESTS", tmp_path)
    assert SCRIPT.main() == 0
    (tmp_path / "some.txt").write_text("COM-01 one thing\n")
    assert SCRIPT.main() == 1
    assert "COM-01: no test names it" in capsys.readouterr().out


def test_every_item_has_a_test() -> None:
    assert SCRIPT.report(SCRIPT.CHECKLISTS, SCRIPT.TESTS) == []


def test_the_check_before_a_commit_runs_it() -> None:
    assert "run scripts/coverage-of-checklist" in (scripts.ROOT / "scripts/test").read_text().splitlines()
