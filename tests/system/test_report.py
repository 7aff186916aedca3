"""What every check of a system has in common."""

from types import ModuleType

import pytest

from tests.system import installation, package
from tests.system.report import Report, go_through


class Check:
    def __init__(self, report: Report) -> None:
        self._check = report.check

    def good(self) -> None:
        self._check("it is there", True, "a file")

    def breaks(self) -> None:
        raise FileNotFoundError("it is gone")


def test_a_part_that_breaks_is_told_and_the_others_are_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert go_through("breaks good", Check) == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAILED  breaks: FileNotFoundError('it is gone')",
        "ok      it is there: a file",
        "1 things were not as they should be",
    ]


def test_all_is_well_where_every_part_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert go_through("good good", Check) == 0
    assert capsys.readouterr().out.endswith("all of it happened\n")


@pytest.mark.parametrize("module", [installation, package])
def test_every_part_of_a_stage_is_there(module: ModuleType) -> None:
    parts = [part for stage in module.STAGES.values() for part in stage.split()]
    assert [part for part in parts if not callable(getattr(module.Check, part, None))] == []
