"""Where settings come from: the file, its conf.d, the environment. Each is a layer of values that know their origin."""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voicebox.settings import text as toml
from voicebox.settings.credentials import user

DEFAULT_FILE = Path("/etc/voicebox/voicebox.toml")
PREFIX = "VOICEBOX_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
CONTROL_VARIABLE = PREFIX + "CONTROL"
"""Where the control socket is, for daemon and command line alike (see control.py)."""
NESTING = "__"


@dataclass(frozen=True)
class Layer:
    """Values of one source. ``origins`` says for each path where it stands, e.g. ``voicebox.toml:12``; ``is_file``: it
    is one of the owner's files."""

    values: Mapping[str, Any] = field(repr=False)
    origins: Mapping[toml.Path, str]
    name: str
    is_file: bool = True


@dataclass(frozen=True)
class Layers:
    """All layers, the strongest first. Sections are laid over each other; lists and values replace each other."""

    highest_first: tuple[Layer, ...]

    def origin(self, path: toml.Path) -> str | None:
        """Where the value that counts was set, or None for a default."""
        key = path[: next((i for i, part in enumerate(path) if isinstance(part, int)), len(path))]
        for layer in self.highest_first:
            if key in layer.origins:
                return next(layer.origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in layer.origins)
        return None

    def value(self, path: toml.Path, default: object) -> object:
        """The value that counts, unchecked."""
        for layer in self.highest_first:
            found = _look_up(layer.values, path)
            if found is not None:
                return found
        return default

    def without(self, paths: Iterable[toml.Path]) -> "Layers":
        """A copy that lacks these keys."""
        return Layers(tuple(replace(layer, values=_remove(layer.values, set(paths))) for layer in self.highest_first))


def _look_up(values: object, path: toml.Path) -> object:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[str(part)]
    return values


def _remove(values: Mapping[str, Any], paths: set[toml.Path], above: toml.Path = ()) -> dict[str, Any]:
    return {
        key: _remove(value, paths, (*above, key)) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if not any(path[: len(above) + 1] == (*above, key) and _names(path, (*above, key)) for path in paths)
    }


def _names(path: toml.Path, key: toml.Path) -> bool:
    """Whether ``path`` is this key or an element inside its list."""
    return len(path) == len(key) or isinstance(path[len(key)], int)


# --- files ---------------------------------------------------------------------------------------------------------


def main_file(config: Path | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """The configuration file, and whether somebody named it (then it must exist)."""
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    return (named, True) if named else (DEFAULT_FILE, False)


def read_files(file: Path, *, required: bool) -> tuple[list[Layer], list[str]]:
    """The layers of the file and of conf.d beside it, in rising order, and what is wrong with them."""
    layers, problems = [], []
    directory = file.parent / "conf.d"
    try:
        more = sorted(p for p in directory.iterdir() if p.suffix == ".toml") if directory.is_dir() else []
    except OSError as error:
        more = []
        problems.append(_unreadable(directory, error))
    for path in (file, *more):
        try:
            layers.append(_parse(path))
        except FileNotFoundError:
            if path != file or required:
                problems.append(f"{path}: there is no such file; `voicebox config show` prints one to start from")
        except OSError as error:
            problems.append(_unreadable(path, error))
        except ValueError as error:
            problems.append(str(error))
    return layers, problems


def _parse(path: Path) -> Layer:
    """Raises ValueError with a readable text, and OSError."""
    data = path.read_bytes()
    try:
        content = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: this is no UTF-8 text; save the file as UTF-8") from None
    content = content.replace("\r\n", "\n")
    try:
        values = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        line, column, words = toml.syntax_error(error, content)
        raise ValueError(f"{path}:{line}:{column}: {words}") from None
    except RecursionError:
        raise ValueError(f"{path}: lists or tables are nested too deeply") from None
    return Layer(values, {p: f"{path}:{n}" for p, n in toml.line_numbers(content).items()}, str(path))


def _unreadable(path: Path, error: OSError) -> str:
    if not isinstance(error, PermissionError):
        return f"{path}: cannot be read ({error.strerror})"
    who = user()
    kind = "X" if path.is_dir() else ""
    return f"{path}: user {who} may not read it; type: sudo chgrp {who} {path} && sudo chmod g+r{kind} {path}"


# --- environment ---------------------------------------------------------------------------------------------------


def variable(path: toml.Path) -> str:
    """The environment variable that sets this key."""
    return PREFIX + NESTING.join(str(part) for part in path).upper()


IsText = Callable[[], bool]
"""Whether a setting takes text only. Asked where there is a value: finding out takes milliseconds on a PC."""


def read_environment(environ: Mapping[str, str], keys: Mapping[str, tuple[toml.Path, IsText]]) -> Layer:
    """The layer of the environment. ``keys``: variable name -> (path, whether the value is taken as text unread)."""
    values: dict[str, Any] = {}
    origins: dict[toml.Path, str] = {}
    for name, (path, is_text) in keys.items():
        if name not in environ:
            continue
        section = values
        for part in path[:-1]:
            section = section.setdefault(str(part), {})
        section[str(path[-1])] = to_value(environ[name], is_text=is_text())
        origins |= {path[:n]: name for n in range(1, len(path) + 1)}
    return Layer(values, origins, "environment", is_file=False)


def to_value(value: str, *, is_text: bool) -> object:
    """What stands in a variable or on a command line as it would stand in the file; what is no TOML is text, so that
    quotes are not needed. ``is_text``: the setting takes text only."""
    if is_text:
        return value
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return value
    return parsed["value"] if len(parsed) == 1 else value


def foreign_variables(environ: Mapping[str, str], known: Iterable[str]) -> Iterator[str]:
    """VOICEBOX_… variables that mean nothing, most likely typing errors."""
    known = {CONFIG_VARIABLE, CONTROL_VARIABLE, *known}
    return (name for name in sorted(environ) if name.startswith(PREFIX) and name not in known)
