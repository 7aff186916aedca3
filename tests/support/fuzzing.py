"""``python -m tests.support.fuzzing TARGET SECONDS``: what atheris finds goes to tests/corpus/TARGET/."""

import importlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SETTLED, EACH = 20_000, 100_000
"""Inputs after which memory is first looked at, and between two lines of the report."""


class Meter:
    """A target, its time and the process's memory. Raises where an input takes too long a second time, too."""

    def __init__(self, target: Callable[[bytes], None], longest: float) -> None:
        self._target = target
        self._limit = longest
        self._count = 0
        self._longest = 0.0
        self._memory = 0

    def __call__(self, data: bytes) -> None:
        took = self._timed(data)
        if took > self._limit:  # once may be the garbage collector
            took = min(took, self._timed(data))
            assert took <= self._limit, f"took {took * 1000:.0f} ms"
        self._longest = max(self._longest, took)
        self._count += 1
        if self._count == SETTLED:
            self._memory = _resident()
        if self._count % EACH == 0:
            self.tell()

    def tell(self) -> None:
        """On standard error."""
        memory = f", memory {_resident() - self._memory:+d} kB since {SETTLED}" if self._memory else ""
        print(f"{self._count} inputs, {self._longest * 1000:.1f} ms the longest{memory}", file=sys.stderr)

    def _timed(self, data: bytes) -> float:
        begun = time.thread_time()
        self._target(data)
        return time.thread_time() - begun


def _resident() -> int:
    """kB, the fuzzer's own share included, which grows with what it finds worth keeping."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def main(target: str, seconds: int) -> None:
    atheris = importlib.import_module("atheris")  # only whoever fuzzes has it
    with atheris.instrument_imports(include=["voicebox"]):  # what is imported later is not counted
        fuzz = importlib.import_module("tests.support.fuzz")
        take = Meter(fuzz.targets()[target], fuzz.limit(target))
    mutation = importlib.import_module("tests.support.mutation")
    structured = {"custom_mutator": mutation.mutate} if target in fuzz.ADAPTERS else {}
    logging.disable()
    seeds = fuzz.CORPUS / target
    with tempfile.TemporaryDirectory() as fresh:
        options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=5", f"-artifact_prefix={seeds}/"]
        atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=2048", fresh, str(seeds)], take, **structured)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
