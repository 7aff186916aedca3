"""Control groups for one process, of either version, where the kernel and our rights allow them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _pytest.outcomes import Skipped  # pytest.skip.Exception, as the type checker knows it

_ROOT = Path("/sys/fs/cgroup")
_LIMITS = {"memory": (("memory.max", "{}"), ("memory.limit_in_bytes", "{}"))} | {
    "cpu": (("cpu.max", "{} 100000"), ("cpu.cfs_quota_us", "{}"))
}
"""Controller -> its file in version 2 and in version 1, and how the limit is written there."""


class Unavailable(Skipped):
    """This machine has none, or none that we may make. Skips a test that does not catch it."""


def throttled(group: Path) -> int:
    """In how many tenths of a second it has been held back."""
    return int(dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())["nr_throttled"])


@contextmanager
def limited(controller: str, limit: int, pid: int) -> Iterator[Path]:
    """Yields the group. While it lasts, the process may have no more new memory than this (bytes), or no more processor
    (microseconds of each 100 000). Raises Unavailable where that cannot be had."""
    place = next((place for place in (_ROOT / controller, _ROOT) if (place / "cgroup.procs").exists()), _ROOT)
    group = place / f"voicebox-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise Unavailable(f"no control groups here: {error}") from error
    try:
        name, words = next(((n, w) for n, w in _LIMITS[controller] if (group / n).exists()), ("", ""))
        if not name:
            raise Unavailable(f"no control group here limits {controller}")
        (group / name).write_text(words.format(limit))
        (group / "cgroup.procs").write_text(str(pid))
        yield group
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            (place / "cgroup.procs").write_text(left)
        group.rmdir()
