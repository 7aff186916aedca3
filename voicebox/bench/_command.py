"""Runs the sections, each in a process of its own, and prints their figures."""

import importlib
import json
import multiprocessing
import os
import pkgutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from math import isfinite
from pathlib import Path

from voicebox.bench._figures import Figure, Options
from voicebox.bench._report import update
from voicebox.errors import ConfigError

Runner = Callable[[str, Options], list[Figure]]


def sections() -> list[str]:
    """The names of every section beside this module."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in found if name[0] != "_")


def run_section(name: str, options: Options) -> list[Figure]:
    """Measure one section in this process."""
    section = importlib.import_module(f"voicebox.bench.{name}")
    print(f"{name}: {(section.__doc__ or '').splitlines()[0]}", file=sys.stderr)
    figures: list[Figure] = section.run(options)
    return figures


def run_apart(name: str, options: Options) -> list[Figure]:
    """Measure one section in a fresh process: it finds nothing loaded, and leaves neither threads nor environment to
    the next. What it or a library prints goes to standard error."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh, initializer=os.dup2, initargs=(2, 1)) as pool:
        return pool.submit(run_section, name, options).result()


def main(
    wanted: Sequence[str],
    options: Options,
    *,
    as_json: bool = False,
    into: Path | None = None,
    run: Runner = run_apart,
) -> int:
    """Measure the sections ``wanted`` (none named: all of them) and print their figures on standard output; whatever
    else there is to say goes to standard error. Their tables are put ``into`` that Markdown file. Returns 1 if a figure
    misses its target. Raises ConfigError for an unknown section, or where the file has no place for one."""
    found = sections()
    if unknown := [name for name in wanted if name not in found]:
        raise ConfigError(f"there is no section {', '.join(unknown)}; there are {', '.join(found)}")
    results: dict[str, list[Figure]] = {}
    for name in dict.fromkeys(wanted or found):
        results[name] = _measure(name, options, run)
        if not as_json:
            show(results[name])
    figures = [figure for of_section in results.values() for figure in of_section]
    if as_json:
        print(json.dumps([plain(figure) for figure in figures], indent=1))
    if into is not None:
        update(into, results)
    return 0 if all(figure.ok for figure in figures) else 1


def _measure(name: str, options: Options, run: Runner) -> list[Figure]:
    """A section that breaks down does not take the others' figures with it."""
    began = time.monotonic()
    try:
        return run(name, options)
    except Exception:  # noqa: BLE001  # whatever it is, it is shown and counts as a miss
        traceback.print_exc()
        return [Figure(f"{name}: broke down", 1, "times", "<= 0", ok=False)]
    finally:
        print(f"{name}: took {time.monotonic() - began:.0f} s", file=sys.stderr)


def plain(figure: Figure) -> dict[str, object]:
    """JSON has no word for what is no number."""
    return asdict(figure) | ({} if isfinite(figure.value) else {"value": None})


def show(figures: list[Figure]) -> None:
    """On standard output, for people."""
    for figure in figures:
        mark = "ok  " if figure.ok else "MISS"
        print(f"{mark} {figure.name:<70} {figure.value:>10g} {figure.unit:<8} {figure.target}", flush=True)
