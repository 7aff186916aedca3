"""Runs the tests of docs/faults.md by number, wherever they stand, and says which faults the box survives."""

import argparse
import json
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from voicebox.bench._report import machine, renewed

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "faults.md"
_ROW = re.compile(r"^\| ([NTAMS]\d\d) \| ([^|]+) \|", re.MULTILINE)
_IN_NAME = re.compile(r"(?:^|_)([ntams]\d\d)(?=_|$)")
_IN_PROSE = re.compile(r"\b[NTAMS]\d\d\b")


def faults() -> dict[str, str]:
    """number -> what is done to the box"""
    return {number: what.strip() for number, what in _ROW.findall(LIST.read_text(encoding="utf-8"))}


def files() -> list[Path]:
    """Those with a test that names a number."""
    either = re.compile(r"def test_(?:\w+_)?[ntams]\d\d_|\"\"\"[^\"]*\b[NTAMS]\d\d\b")
    found = (path for path in (ROOT / "tests").rglob("test_*.py") if either.search(path.read_text(encoding="utf-8")))
    return sorted(found)


def numbers(name: str, docstring: str, variant: str = "") -> set[str]:
    """Which faults a test is about: those its variant names, else those its name and docstring do."""
    if of_variant := {number.upper() for number in _IN_NAME.findall(variant)}:
        return of_variant
    return {number.upper() for number in _IN_NAME.findall(name)} | set(_IN_PROSE.findall(docstring))


class ByNumber:
    """A plugin of pytest's: runs only what is about these faults, and notes how it went."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._wanted = set(wanted)
        self._about: dict[str, set[str]] = {}
        self._outcomes: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        for item in items:
            variant = item.callspec.id if hasattr(item, "callspec") else ""
            self._about[item.nodeid] = numbers(item.originalname, item.obj.__doc__ or "", variant)
        items[:] = [item for item in items if self._about[item.nodeid] & self._wanted]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            for number in self._about[report.nodeid]:
                self._outcomes[number].add(report.outcome)

    @property
    def tests(self) -> int:
        return sum(bool(about & self._wanted) for about in self._about.values())

    def result(self, number: str) -> str:
        outcomes = self._outcomes[number]
        return next((worst for worst in ("failed", "passed", "skipped") if worst in outcomes), "not tested")


def main() -> int:
    known = faults()
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--all", action="store_true", help="as long and as often as docs/measurements.md says")
    parser.add_argument("--json", action="store_true", help="one object on standard output: number to result")
    parser.add_argument("--update", type=Path, metavar="FILE", help="renew the result in this Markdown file")
    parser.add_argument("number", nargs="*", type=str.upper, help="only these, e.g. N01 S72")
    options = parser.parse_args()
    if unknown := set(options.number) - known.keys():
        parser.error(f"docs/faults.md has no {', '.join(sorted(unknown))}")
    wanted = options.number or list(known)
    if options.all:
        os.environ["LONG_TESTS"] = "1"
    plugin, shown, began = ByNumber(wanted), os.dup(1), time.monotonic()
    os.dup2(2, 1)  # what pytest prints is not the result
    pytest.main(["-q", "-p", "no:cacheprovider", *map(str, files())], plugins=[plugin])
    sys.stdout.flush()
    os.dup2(shown, 1)
    os.close(shown)
    results = {number: plugin.result(number) for number in wanted}
    print(json.dumps(results, indent=1) if options.json else _told(results, known))
    if options.update:
        summary = f"{_summary(results)} {plugin.tests} tests in {time.monotonic() - began:.0f} s. {machine()}"
        text = options.update.read_text(encoding="utf-8")
        options.update.write_text(renewed(options.update, text, "faults", summary), encoding="utf-8")
    return 0 if set(results.values()) == {"passed"} else 1


def _summary(results: dict[str, str]) -> str:
    """One sentence, and all that did not pass."""
    passed = list(results.values()).count("passed")
    others = "".join(f" {number}: {result}." for number, result in results.items() if result != "passed")
    return f"{passed} of {len(results)} passed.{others}"


def _told(results: dict[str, str], known: dict[str, str]) -> str:
    lines = [f"{number}  {result:10}  {known[number]}" for number, result in results.items()]
    passed = list(results.values()).count("passed")
    return "\n".join([*lines, f"{passed} of {len(results)} passed"])


if __name__ == "__main__":
    sys.exit(main())
