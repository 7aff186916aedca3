"""Changing the settings file as its owner would: what they wrote stays where it is, comments and all."""

import fcntl
import os
import re
import tomllib
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomlkit

from voicebox.errors import ConfigError, VoiceboxError
from voicebox.settings import text as toml

_HEADING = re.compile(r"^\s*\[\s*([A-Za-z0-9_-]+)\s*\]")


def set_value(content: str, path: tuple[str, ...], value: object) -> str:
    """``content`` with the key at ``path`` (section and key, or a key alone) set to ``value``.

    Where the key stands already its value is replaced; where its default stands as a comment, that line is uncommented;
    else the key is added at the end of its section. Raises ConfigError if ``content`` is no TOML.
    """
    document = _parse(content)
    *section, key = path
    table = document.get(section[0]) if section else document
    if table is not None and not isinstance(table, MutableMapping):
        raise ConfigError(
            f"{section[0]} is a section and stands there as a value; mend that first: voicebox config edit"
        )
    if table is not None and key in table:
        table[key] = _item(value)
        return _ended(tomlkit.dumps(document))
    line = f"{toml.to_key(key)} = {toml.to_toml(value)}"
    changed = _uncomment(content, section, key, line)
    if changed is not None:
        return changed
    if section and table is None:
        return f"{content.rstrip()}\n\n[{section[0]}]\n{line}\n".lstrip()
    assert table is not None  # noqa: S101  # for the type checker
    table[key] = _item(value)
    return _ended(tomlkit.dumps(document))


def _ended(content: str) -> str:
    """tomlkit ends no line that it puts last."""
    return content if content.endswith("\n") else content + "\n"


def _parse(content: str) -> tomlkit.TOMLDocument:
    try:
        tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        line, _, words = toml.syntax_error(error, content)
        raise ConfigError(f"line {line}: {words}; mend that first (voicebox config edit)") from None
    return tomlkit.parse(content)


def _item(value: object) -> Any:  # noqa: ANN401  # of one of tomlkit's types, or a plain bool
    return tomlkit.parse(f"value = {toml.to_toml(value)}")["value"]


def _uncomment(content: str, section: list[str], key: str, line: str) -> str | None:
    """The line in place of the commented one; None if there is none in this section."""
    lines = content.splitlines(keepends=True)
    commented = re.compile(rf"^#\s?{re.escape(key)}\s*=")
    here: list[str] = []
    for index, old in enumerate(lines):
        if heading := _HEADING.match(old):
            here = [heading[1]]
        elif here == section and commented.match(old):
            lines[index] = line + "\n"
            changed = "".join(lines)
            return changed if _means(changed, [*section, key]) else None
    return None


def _means(content: str, path: list[str]) -> bool:
    """Whether the key is set in it: the commented line may have been inside a text of many lines."""
    try:
        values: object = tomllib.loads(content)
    except tomllib.TOMLDecodeError:
        return False
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Nobody else changes the file within. Raises VoiceboxError if somebody is at it."""
    try:
        folder = os.open(file.resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise VoiceboxError(f"{file.parent}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise VoiceboxError(f"{file} is being changed in another terminal; try again later") from None
    finally:
        os.close(folder)


def write(file: Path, content: str, *, copy_of: Path | None = None) -> None:
    """Replace the file whole or not at all, with the owner and mode it had. Raises VoiceboxError that says why not, and
    names the file that it is a copy of."""
    file = file.resolve()  # a link stays a link
    named = copy_of or file
    temporary = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        status = file.stat() if file.exists() else None
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            if status is not None:
                os.fchmod(handle, status.st_mode & 0o7777)
                with suppress(PermissionError):  # only root may give a file away; then it is the writer's
                    os.fchown(handle, status.st_uid, status.st_gid)
            stream.write(content)
            stream.flush()
            os.fsync(handle)
        temporary.replace(file)
    except PermissionError:
        raise VoiceboxError(f"{named}: you may not change it; use sudo") from None
    except OSError as error:
        raise VoiceboxError(f"{named} was not changed: {error.strerror}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
