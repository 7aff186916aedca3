"""Secrets that services make and want to see again: the store behind the Remember effect.

One JSON object in a file of the state directory that only we may read. What cannot be read is as if there were nothing:
the service then makes a new one.
"""

import json
import logging
import os
import stat
from pathlib import Path

from voicebox import statefile
from voicebox.redact import remember as hide
from voicebox.services.base import Remember

_log = logging.getLogger(__name__)

FILE = "keepsakes.json"
"""Its name in the state directory."""


class Keepsakes:
    """Read once, when first asked; written at every change. Where the disk takes nothing they last as long as we do."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, str] | None = None

    def recall(self) -> dict[str, str]:
        """What is kept, by name; each value is known to ``redact``."""
        return dict(self._loaded())

    def remember(self, effect: Remember) -> None:
        """Keep the value under its name, in place of what was kept there; None: forget it."""
        values = self._loaded()
        if values.get(effect.name) == effect.value:
            return
        if effect.value is None:
            del values[effect.name]
        else:
            hide(effect.value)
            values[effect.name] = effect.value
        statefile.write(self._path, json.dumps(values, indent=1, sort_keys=True) + "\n")

    def _loaded(self) -> dict[str, str]:
        if self._values is None:
            self._values = self._load()
            for value in self._values.values():
                hide(value)
        return self._values

    def _load(self) -> dict[str, str]:
        if not self._ours_alone():
            return {}
        text = statefile.read(self._path)
        try:
            values = json.loads(text) if text else {}
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, dict) and all(isinstance(value, str) for value in values.values()):
            return values
        _log.warning("%s is damaged and is not used", self._path)
        return {}

    def _ours_alone(self) -> bool:
        """A file that others may read or write has perhaps been read, or written, by them."""
        try:
            status = os.lstat(self._path)
        except OSError:
            return True  # there is none, or reading it will say why not
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077:
            return True
        _log.warning("%s is not a file of ours alone (mode 0600) and is not used", self._path)
        return False
