"""The repository's boxes without sound cards, where the repository is: an installed voicebox comes without them."""

from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.boxes import Box as Box  # noqa: PLC0414  # "as" exports it: ``_rig.Box``, for the type checker

WHY_NOT = "it needs voicebox's repository: run scripts/bench there"


def boxes() -> ModuleType | None:
    """``tests.support.boxes``: WavBox in virtual time, PulseBox in real time."""
    try:
        from tests.support import boxes  # noqa: PLC0415  # only where it is there
    except ImportError:
        return None
    return boxes


def speech() -> ModuleType | None:
    """``tests.support.speech``: synthetic voices."""
    try:
        from tests.support import speech  # noqa: PLC0415
    except ImportError:
        return None
    return speech


def pulse() -> ModuleType | None:
    """``tests.support.pulse``: a PulseAudio daemon of our own."""
    try:
        from tests.support import pulse  # noqa: PLC0415
    except ImportError:
        return None
    return pulse


def daemon() -> ModuleType | None:
    """``tests.support.daemon``: the daemon as a process of its own."""
    try:
        from tests.support import daemon  # noqa: PLC0415
    except ImportError:
        return None
    return daemon


def cgroup() -> ModuleType | None:
    """``tests.support.cgroup``: control groups."""
    try:
        from tests.support import cgroup  # noqa: PLC0415
    except ImportError:
        return None
    return cgroup


def vendors() -> ModuleType | None:
    """``tests.support.lira``: a simulated service in a thread."""
    try:
        from tests.support import lira  # noqa: PLC0415
    except ImportError:
        return None
    return lira
