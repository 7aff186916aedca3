"""What was found by fuzzing, and what fuzzing begins with: none of it is an exception any more."""

import json
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.fuzz import ADAPTERS, CORPUS, CUT, STALL, limit, targets
from tests.support.fuzzing import Meter
from tests.support.mutation import mutate
from tests.support.storm import storm

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


def test_a_storm_takes_as_many_messages_as_are_wanted_and_keeps_what_fails(tmp_path: Path) -> None:
    (tmp_path / "seed").write_bytes(b'{"type": "a", "n": 1}' + CUT + b'{"type": "b", "t": "c"}')
    seen: list[bytes] = []
    assert 1000 <= storm(Meter(seen.append, STALL), tmp_path, 1000, random.Random(1)) < 1020  # noqa: S311  # not for secrets
    assert len(set(seen)) > 100

    def fragile(data: bytes) -> None:
        assert data == seen[0]

    with pytest.raises(AssertionError):
        storm(Meter(fragile, STALL), tmp_path, 1000, random.Random(1))  # noqa: S311  # not for secrets
    assert [path.read_bytes() for path in tmp_path.glob("crash-*")] == [next(data for data in seen if data != seen[0])]


def test_what_holds_the_loop_up_fails_unless_it_is_beside_it() -> None:
    def slow(_: bytes) -> None:
        begun = time.thread_time()
        while time.thread_time() - begun < 2 * STALL:
            pass

    with pytest.raises(AssertionError, match="took "):
        Meter(slow, limit("lira"))(b"")
    Meter(slow, limit("config"))(b"")
