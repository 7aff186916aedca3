"""Writes what a box keeps, in a child that is killed at a random moment; prints what was read afterwards, cut by cut.

A program of its own, as it forks, which a process with threads should not:
``python -m tests.support.powercut DIRECTORY CUTS``
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from voicebox import statefile
from voicebox.keepsakes import Keepsakes
from voicebox.mute import Mute
from voicebox.services.base import Remember
from voicebox.usage import SAVE_EVERY, Usage

LONGEST = 0.004
"""Seconds until the power goes: some dozens of writes."""
Read = Callable[[Path], int | None]
"""What number is kept; None: the file is damaged."""


def _text(number: int) -> str:
    return json.dumps({"begin": number, "filling": "x" * 20_000, "end": number})


def _write_text(path: Path) -> Iterator[int]:
    """As volume, wake.json and the settings that worked last are written."""
    for number in range(1, sys.maxsize):
        statefile.write(path, _text(number))
        yield number


def _read_text(path: Path) -> int | None:
    text = statefile.read(path)
    if not text:
        return 0
    try:
        number = int(json.loads(text)["begin"])
    except ValueError:
        return None
    return number if text == _text(number) else None


def _write_secret(path: Path) -> Iterator[int]:
    for number in range(1, sys.maxsize):
        Keepsakes(path).remember(Remember("number", str(number) + "." * 5_000))
        yield number


def _read_secret(path: Path) -> int | None:
    if not path.exists():
        return 0
    kept = Keepsakes(path).recall()
    return int(kept["number"].rstrip(".")) if kept else None


def _write_usage(path: Path) -> Iterator[int]:
    now = 0.0
    usage = Usage(path, None, lambda: now, lambda: "today")
    usage.opened()
    for number in range(1, sys.maxsize):
        now = number * SAVE_EVERY
        assert usage.used == now
        yield number


def _read_usage(path: Path) -> int | None:
    if not path.exists():
        return 0
    return round(Usage(path, None, lambda: 0.0, lambda: "today").used / SAVE_EVERY) or None


def _write_mute(path: Path) -> Iterator[int]:
    mute = Mute(path, lambda _: None)
    for number in range(1, sys.maxsize):
        mute.set(bool(number % 2))
        yield number


def _read_mute(path: Path) -> int | None:
    """Only whether it is odd; anything but the two texts is damage."""
    text = statefile.read(path)
    return {"": 0, "muted\n": 1}.get(text)


KINDS: dict[str, tuple[Callable[[Path], Iterator[int]], Read]] = {
    "volume, settings, wake advice": (_write_text, _read_text),
    "keepsakes": (_write_secret, _read_secret),
    "usage": (_write_usage, _read_usage),
    "mute": (_write_mute, _read_mute),
}


def _cut(path: Path, write: Callable[[Path], Iterator[int]], after: float) -> int:
    """Let a child write until the power goes; returns the last number it was told to be on the disk."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        for number in write(path):
            os.write(tell, number.to_bytes(8))
    os.close(tell)
    first = os.read(told, 8)  # it is at it
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(told, "rb") as rest:
        numbers = first + rest.read()
    return int.from_bytes(numbers[-8:])


def main(directory: Path, cuts: int) -> None:
    chance = random.Random(1)  # noqa: S311  # not secret
    for index in range(cuts):
        kind = list(KINDS)[index % len(KINDS)]
        path = directory / f"{index}"
        write, read = KINDS[kind]
        told = _cut(path, write, chance.uniform(0, LONGEST))
        print(json.dumps({"kind": kind, "told": told, "read": read(path)}))
        for left in directory.iterdir():
            left.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
