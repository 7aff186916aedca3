"""A daemon of our own beside us, and what it uses: read from /proc, so that nothing of it disturbs it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voicebox.bench import _rig


def cpu(pid: int) -> float:
    """Seconds of CPU, of user and system, that all threads there are have used."""
    return sum(int(_read(task / "schedstat").split()[0]) for task in _tasks(pid)) / 1e9


def wakeups(pid: int) -> int:
    """How often its threads have begun to run after they had waited."""
    counts = (_field(_read(task / "status"), "voluntary_ctxt_switches") for task in _tasks(pid))
    return sum(counts)


def pss(pid: int) -> float:
    """MB of memory; what it shares with others counts in part."""
    return _memory(pid, "Pss")


def anonymous(pid: int) -> float:
    """MB of that which no file stands behind: the kernel cannot drop it and fetch it again."""
    return _memory(pid, "Pss_Anon")


def _memory(pid: int, kind: str) -> float:
    return _field(_read(Path(f"/proc/{pid}/smaps_rollup")), kind) / 1024


def children(pid: int) -> list[int]:
    """The processes that it has started."""
    return [int(child) for task in _tasks(pid) for child in _read(task / "children").split()]


def real_time_threads(pid: int) -> int:
    """How many of its threads come before all ordinary work."""
    policies = (os.sched_getscheduler(int(task.name)) & ~os.SCHED_RESET_ON_FORK for task in _tasks(pid))
    return sum(policy in (os.SCHED_RR, os.SCHED_FIFO) for policy in policies)


def _tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
        return "0 0 0"


def _field(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")), 0)


def pin() -> None:
    """This process, and what it starts, to one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@contextmanager
def daemon(
    folder: Path, environ: Mapping[str, str], config: str = "", secrets: Mapping[str, str] | None = None
) -> Iterator[Any]:
    """``tests.support.daemon.Daemon``, ready, with a log as owners have it."""
    support = _rig.daemon()
    assert support is not None  # noqa: S101  # its callers have asked
    quiet = {"VOICEBOX_LOG__LEVEL": "info", "VOICEBOX_AUDIO__ECHO_CANCELLATION": "true", **environ}
    with support.Daemon(folder, config, environ=quiet, secrets=secrets) as box:
        box.ready()
        yield box
