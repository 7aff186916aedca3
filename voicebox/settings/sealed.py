"""Storing secrets: one file each, for root alone, sealed to this machine by systemd-creds where that is to be had."""

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voicebox.errors import VoiceboxError

PLAIN, SEALED = "credentials", "credentials.sealed"
"""Directories beside the settings file. systemd hands the unit what is in them (see systemd/voicebox.service)."""
PREFIX = "sealed_"
"""How systemd names what it hands over of the second; the name is part of what is sealed."""
_SYSTEM = Path("/etc/voicebox")
_LIMIT = 20.0  # seconds for systemd-creds


@dataclass(frozen=True, slots=True)
class Stored:
    """A secret there is. ``age`` in seconds; ``problem``: what is wrong with its file, or nothing."""

    name: str
    sealed: bool
    age: float
    problem: str = ""


class Store:
    """The secrets of one settings file. All methods raise VoiceboxError that says what to do."""

    def __init__(self, beside: Path) -> None:
        self._root = beside.parent

    def can_seal(self) -> bool:
        """systemd can: it is running, we are root, and the unit reads from here."""
        is_root = os.geteuid() == 0 and self._root == _SYSTEM
        return is_root and Path("/run/systemd/system").is_dir() and shutil.which("systemd-creds") is not None

    def put(self, name: str, secret: str, *, seal: bool) -> bool:
        """Store it in place of what was stored; returns whether it is sealed. What cannot be sealed is kept plain."""
        if seal and self._seal(name, secret):
            self._remove(PLAIN, name)
            return True
        self._write(PLAIN, name, secret.encode() + b"\n")
        self._remove(SEALED, name)
        return False

    def remove(self, name: str) -> bool:
        """Whether there was one."""
        return any([self._remove(PLAIN, name), self._remove(SEALED, name)])

    def all(self) -> Iterator[Stored]:
        """By name. Never their contents."""
        found = {(path.name, kind): path for kind in (PLAIN, SEALED) for path in self._files(kind)}
        for (name, kind), path in sorted(found.items()):
            status = path.lstat()
            yield Stored(name, kind == SEALED, max(0.0, time.time() - status.st_mtime), _problem(path, status))

    def _files(self, kind: str) -> list[Path]:
        folder = self._root / kind
        try:
            return [path for path in folder.iterdir() if not path.name.startswith(".")]
        except FileNotFoundError:
            return []
        except PermissionError:
            raise VoiceboxError(f"{folder}: you may not look into it; use sudo") from None
        except OSError as error:
            raise VoiceboxError(f"{folder} cannot be read: {error.strerror}") from None

    def _seal(self, name: str, secret: str) -> bool:
        """The secret goes through pipes, never through arguments. Unsealed once: it must be at every start."""
        sealed = _systemd_creds("encrypt", f"--name={PREFIX}{name}", "-", "-", given=secret.encode())
        again = _systemd_creds("decrypt", f"--name={PREFIX}{name}", "-", "-", given=sealed) if sealed else b""
        if again != secret.encode():
            return False
        self._write(SEALED, name, sealed)
        return True

    def _write(self, kind: str, name: str, content: bytes) -> None:
        folder = self._root / kind
        temporary = folder / f".{name}.new"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                temporary.unlink()
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(folder / name)
        except PermissionError:
            raise VoiceboxError(f"{folder}: you may not store secrets there; use sudo") from None
        except OSError as error:
            raise VoiceboxError(f"{folder}: {name} was not stored: {error.strerror}") from None

    def _remove(self, kind: str, name: str) -> bool:
        try:
            (self._root / kind / name).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:
            raise VoiceboxError(f"{self._root / kind / name}: you may not remove it; use sudo") from None
        except OSError as error:
            raise VoiceboxError(f"{self._root / kind / name} was not removed: {error.strerror}") from None
        return True


def _systemd_creds(*arguments: str, given: bytes) -> bytes:
    """What it writes; nothing if it fails: an old one, no key, no TPM."""
    program = shutil.which("systemd-creds") or "systemd-creds"
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments; names of secrets come from the services' tables
            [program, *arguments], input=given, capture_output=True, check=False, timeout=_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return done.stdout if done.returncode == 0 else b""


def _problem(path: Path, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is no ordinary file"
    return f"others can read it; type: sudo chmod 600 {path}" if status.st_mode & 0o077 else ""
