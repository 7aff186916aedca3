"""What was found by fuzzing, and what fuzzing begins with: none of it is an exception any more."""

from pathlib import Path

import pytest

from tests.support.fuzz import CORPUS, targets

TARGETS = targets()
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_every_target_has_something_to_begin_with() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_it_is_survived(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())
