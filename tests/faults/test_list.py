"""docs/faults.md and the tests agree, and scripts/faults would notice if a number had none."""

import ast

import pytest

from tests.faults.__main__ import ByNumber, faults, files, numbers

TOTALS = {"N": range(1, 21), "T": range(21, 30), "A": range(30, 44), "M": range(44, 65), "S": range(65, 73)}


def test_the_list_is_whole() -> None:
    assert list(faults()) == [f"{letter}{number:02}" for letter, wanted in TOTALS.items() for number in wanted]


def test_every_number_has_a_test_and_every_test_a_number() -> None:
    found: set[str] = set()
    for path in files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= numbers(node.name, ast.get_docstring(node) or "")
    assert found == set(faults())


@pytest.mark.parametrize(
    ("name", "docstring", "variant", "about"),
    [
        ("test_n01_a_reset", "", "", {"N01"}),
        ("test_n09_n10_addresses", "", "n10_broken_ipv6", {"N10"}),
        ("test_n09_n10_addresses", "", "something", {"N09", "N10"}),
        ("test_a_card", "A30, A32: gone.", "", {"A30", "A32"}),
        ("test_an01", "XN01, N011", "", set()),
    ],
)
def test_what_a_test_is_about(name: str, docstring: str, variant: str, about: set[str]) -> None:
    assert numbers(name, docstring, variant) == about


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ({"passed"}, "passed"),
        ({"passed", "failed"}, "failed"),
        ({"skipped"}, "skipped"),
        ({"skipped", "passed"}, "passed"),
        (set(), "not tested"),
    ],
)
def test_one_failure_is_a_failure(outcomes: set[str], result: str) -> None:
    plugin = ByNumber(["N01"])
    plugin._outcomes["N01"] = outcomes
    assert plugin.result("N01") == result
