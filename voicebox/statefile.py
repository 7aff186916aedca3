"""Small files the box keeps between runs: written whole or not at all, and never a reason to stop."""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_LARGEST = 1_000_000
_failing: set[Path] = set()
"""What could not be written last time, and has been complained of."""


def directory(environ: Mapping[str, str]) -> Path:
    """Where state is kept: the unit's StateDirectory, else the user's own."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "/")) / ".local" / "state")
    return Path(home) / "voicebox"


def write(path: Path, text: str) -> bool:
    """Replace the file, readable by us alone; after a power cut it holds the old text or the new. A full or read-only
    disk is not raised but logged, once for as long as it lasts. Returns whether the file holds the text now."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _failing.discard(path)
    except OSError as error:
        if path not in _failing:
            _log.warning("%s could not be written: %s", path, error.strerror)
        _failing.add(path)
        with suppress(OSError):
            temporary.unlink()
        return False
    return True


def read(path: Path) -> str:
    """The file's text; "" where there is none or it cannot be used."""
    try:
        if path.stat().st_size > _LARGEST:
            _log.warning("%s is far too long and is not used", path)
            return ""
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        _log.warning("%s cannot be read and is not used: %s", path, error)
        return ""
