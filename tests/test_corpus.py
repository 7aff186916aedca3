"""What was found by fuzzing, and what fuzzing begins with: none of it is an exception any more."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.fuzz import ADAPTERS, CORPUS, CUT, targets
from tests.support.mutation import mutate

TARGETS = targets()
FILES = sorted(path for path in CORPUS.rglob("*") if path.is_file())


def test_every_target_has_something_to_begin_with() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_it_is_survived(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_thousand_changed_conversations_are_survived(name: str) -> None:
    """One change on top of the other, as scripts/fuzz makes them; most of it is still JSON, and the end is another."""
    data, read, seen = next(path for path in FILES if path.parent.name == name).read_bytes(), 0, set[bytes]()
    begin = data
    for seed in range(1000):
        data = mutate(data if seed % 50 else begin, 4096, seed)
        assert len(data) <= 4096
        seen.add(data)
        TARGETS[name](data)
        with suppress(ValueError, RecursionError):
            read += isinstance(json.loads(data.split(CUT)[0]), dict)
    assert len(seen) > 500
    assert read > 300
