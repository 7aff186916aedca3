"""The secrets: read anew at every call, from three places, and never shown.

In falling order: a systemd credential of that name, the environment, a file that only we or root may read. That file
may belong to root, or be sealed: then systemd's copy of it from when the unit started is taken (see
systemd/voicebox.service), unless root has told us a newer one since (``renewed``).
"""

import os
import pwd
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from voicebox.errors import AuthError
from voicebox.redact import remember
from voicebox.settings.sealed import PREFIX, SEALED

_LARGEST = 65_536
_COPY = "voicebox_"
"""How systemd names a file of a credential directory loaded as "voicebox"."""


class Credentials:
    """Reads secrets by name. ``directory`` is credentials/ beside the configuration file; of the names in one of the
    ``alternatives`` only one need be set."""

    def __init__(self, environ: Mapping[str, str], directory: Path, alternatives: Iterable[Sequence[str]] = ()) -> None:
        self._environ = environ
        self._directory = directory
        self._alternatives = {name: tuple(names) for names in alternatives for name in names}
        self.renewed: dict[str, str] = {}
        """What root has told us since we started, and what counts until we end; "": there is none any more."""

    def read(self, names: Sequence[str]) -> dict[str, str]:
        """The secrets that are set, each made known to ``redact``. Raises AuthError that names everything missing or
        refused."""
        problems = self.problems(names)
        if problems:
            raise AuthError("\n".join(problems))
        found = {name: self._find(name) for name in names}
        return {name: secret[0].get_secret_value() for name, secret in found.items() if secret}

    def problems(self, names: Sequence[str]) -> list[str]:
        """One line, without the secret, for each that cannot be had."""
        problems = dict.fromkeys(map(self._problem, names))  # alternatives are missing together
        return [problem for problem in problems if problem]

    def where(self, name: str) -> str | None:
        """Where the secret is set, None if it is missing or refused."""
        try:
            found = self._find(name)
        except AuthError:
            return None
        return found[1] if found else self._sealed(name)

    def _sealed(self, name: str) -> str | None:
        """Where it is sealed: only the unit is given what is inside."""
        file = self._directory.with_name(SEALED) / name
        return None if "CREDENTIALS_DIRECTORY" in self._environ or not os.path.exists(file) else str(file)  # noqa: PTH110  # False, not an error, where we may not look

    def _problem(self, name: str) -> str:
        """Empty if there is none."""
        names = self._alternatives.get(name, (name,))
        try:
            return "" if self._find(name) or any(map(self.where, names)) else self._missing(names)
        except AuthError as error:
            return str(error)

    def _missing(self, names: Sequence[str]) -> str:
        name, file = names[0], self._directory / names[0]
        return (
            f"{' or '.join(names)} is missing. Type: sudo voicebox secret set {name} (it is kept as {file}), "
            f"or give it as systemd credential {name}, or in the environment as {_variable(name)}"
            + (" (the others likewise)" if len(names) > 1 else "")
        )

    def _find(self, name: str) -> tuple[SecretStr, str] | None:
        """(secret, where from), None if it is nowhere. Raises AuthError if it is refused."""
        variable, file = _variable(name), self._directory / name
        if name in self.renewed:
            return self._known(self.renewed[name], "voicebox secret set")
        secret, origin = self._credential(name), f"systemd credential {name}"
        if not secret:
            secret, origin = self._credential(PREFIX + name), f"sealed credential {name}"
        if not secret:
            secret, origin = _clean(self._environ.get(variable, "")), variable
        if not secret:
            secret, origin = self._file(name, file), str(file)
        return self._known(secret, origin)

    def _known(self, secret: str, origin: str) -> tuple[SecretStr, str] | None:
        if not secret:
            return None
        remember(secret)
        return SecretStr(secret), origin

    def _credential(self, name: str) -> str:
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            return ""
        try:
            return _read(Path(directory) / name, private=False)
        except PermissionError:
            return ""

    def _file(self, name: str, file: Path) -> str:
        try:
            return _read(file, private=True)
        except PermissionError:
            copy = self._credential(_COPY + name)
            if copy:
                return copy
            raise AuthError(
                f"{file} belongs to another user and cannot be read; type: sudo chown {user()} {file} "
                f"(as a systemd service: restart it, systemd then hands over a copy)"
            ) from None


def _variable(name: str) -> str:
    return f"VOICEBOX_{name.upper()}"


def _read(file: Path, *, private: bool) -> str:
    """The content, "" if there is no such file. Raises PermissionError, and AuthError where the file is unfit."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us up
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except PermissionError:
        raise
    except OSError as error:
        raise AuthError(f"{file} cannot be read ({error.strerror})") from None
    try:
        _inspect(file, os.fstat(handle), private=private)
        return _clean(os.read(handle, _LARGEST).decode())
    except UnicodeDecodeError:
        raise AuthError(f"{file} holds no UTF-8 text; store the secret anew") from None
    finally:
        os.close(handle)


def _inspect(file: Path, status: os.stat_result, *, private: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise AuthError(f"{file} is no ordinary file")
    if status.st_size >= _LARGEST:
        raise AuthError(f"{file} is far too long for a secret")
    if private and status.st_mode & 0o077:
        raise AuthError(f"{file} can be read by other users; type: sudo chmod 600 {file}")
    if private and status.st_uid not in {0, os.geteuid()}:
        raise AuthError(f"{file} belongs to another user; type: sudo chown {user()} {file}")


def _clean(text: str) -> str:
    """Without the newline that editors and echo append."""
    return text.removesuffix("\n").removesuffix("\r")


def user() -> str:
    """The name of the user we run as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
