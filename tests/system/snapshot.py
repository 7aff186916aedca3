"""What is where in a system, to see what an installation leaves behind."""

import hashlib
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

TOPS = tuple(map(Path, ("/etc", "/opt", "/usr", "/var", "/root", "/home", "/srv")))
"""Where an installation could leave something."""
QUIET = {
    # what apt, systemd and the account tools write for themselves
    *("/etc/.pwd.lock", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-"),
    *("/var/cache/apt", "/var/cache/debconf", "/var/cache/ldconfig", "/var/lib/apt", "/var/lib/dpkg", "/var/log"),
    *(
        "/etc/machine-id",
        "/etc/resolv.conf",
        "/etc/.updated",
        "/var/.updated",
        "/etc/ssl/certs",
        "/var/lib/dbus",
        "/var/lib/private",
        "/var/lib/systemd",
    ),
    "/var/tmp",  # noqa: S108  # where services keep what is temporary
    # and what scripts/install-check did
    "/etc/systemd/system/installation.service",
    "/etc/systemd/system/multi-user.target.wants/installation.service",
}


def snapshot(tops: Iterable[Path] = TOPS) -> dict[str, str]:
    """Owner, mode and content of each file and directory in these."""
    return {str(path): _describe(path) for top in tops for path in walk(top)}


def walk(top: Path) -> Iterator[Path]:
    if str(top) in QUIET or top.name == "__pycache__":
        return
    yield top
    if top.is_dir() and not top.is_symlink():
        for path in sorted(top.iterdir()):
            yield from walk(path)


def _describe(path: Path) -> str:
    status = path.lstat()
    content = ""
    if path.is_symlink():
        content = str(path.readlink())
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {content}"


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
