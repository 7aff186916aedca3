"""Presets for sound boards: what a board fixes by its wiring, so that ``board = "respeaker-2mic"`` is enough.

One file each in config/boards, which is part of the package once it is built. A preset is the weakest layer: whatever
the owner sets goes before it.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voicebox.settings.sources import Layer
from voicebox.settings.text import Path as Key

_PACKAGED = Path(__file__).parent.parent / "boards"
_SOURCE = Path(__file__).parents[2] / "config" / "boards"


def directory() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _SOURCE


def names() -> list[str]:
    return sorted(file.stem for file in directory().glob("*.toml"))


def layer(name: object) -> Layer | None:
    """The preset of that name; None if there is none."""
    if not isinstance(name, str) or name not in names():
        return None
    values = tomllib.loads((directory() / f"{name}.toml").read_text(encoding="utf-8"))
    return Layer(values, dict.fromkeys(_keys(values), f"board {name}"), f"board {name}", is_file=False)


def _keys(values: Mapping[str, Any], above: Key = ()) -> Iterator[Key]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from _keys(value, (*above, key))
