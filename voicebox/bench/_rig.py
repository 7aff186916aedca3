"""The repository's boxes without sound cards, where the repository is: an installed voicebox comes without them."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.boxes import Box as Box  # noqa: PLC0414  # "as" exports it: ``_rig.Box``, for the type checker

WHY_NOT = "it needs voicebox's repository: run scripts/bench there"


def boxes() -> ModuleType | None:
    """``tests.support.boxes``: WavBox in virtual time, PulseBox in real time."""
    return _support("boxes")


def speech() -> ModuleType | None:
    """``tests.support.speech``: synthetic voices."""
    return _support("speech")


def pulse() -> ModuleType | None:
    """``tests.support.pulse``: a PulseAudio daemon of our own."""
    return _support("pulse")


def daemon() -> ModuleType | None:
    """``tests.support.daemon``: the daemon as a process of its own."""
    return _support("daemon")


def cgroup() -> ModuleType | None:
    """``tests.support.cgroup``: control groups."""
    return _support("cgroup")


def vendors() -> ModuleType | None:
    """``tests.support.lira``: a simulated service in a thread."""
    return _support("lira")


def _support(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(f"tests.support.{name}")
    except ImportError:
        return None
