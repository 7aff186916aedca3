"""TOML as text: where each key stands, what a syntax error means, how a value is written."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import PurePath

Path = tuple[str | int, ...]
"""Where a value is: section and key names, and indices into arrays."""

_STRING = r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\''
_KEY = re.compile(rf"{_STRING}|[A-Za-z0-9_-]+", re.DOTALL)
_VALUE = re.compile(rf"{_STRING}|[^\[\]{{}},\n#]+", re.DOTALL)
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")


def line_numbers(text: str) -> dict[Path, int]:
    """The line of every section, key and array element of a valid TOML text. Lines count from 1."""
    return _Scanner(text).scan()


class _Scanner:
    """Walks a text that tomllib has accepted, so it need not check anything."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}  # arrays of tables: how many so far

    def scan(self) -> dict[Path, int]:
        section: Path = ()
        self._skip(_SPACE)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                section = self._header()
            else:
                self._pair(section)
            self._skip(_SPACE)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match.group() if match else ""

    def _note(self, path: Path, at: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], self._text.count("\n", 0, at) + 1)

    def _header(self) -> Path:
        start = self._at
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        path: Path = ()
        keys = self._keys()
        for index, key in enumerate(keys):
            path += (key,)
            if brackets == 2 and index == len(keys) - 1:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path += (self._tables[path] - 1,)
        self._note(path, start)
        self._at += brackets
        return path

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._skip(_BLANK)
            keys.append(next(iter(tomllib.loads(f"{self._skip(_KEY)} = 0"))))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _pair(self, section: Path) -> None:
        start = self._at
        path = (*section, *self._keys())
        self._note(path, start)
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening not in "[{":
            self._skip(_VALUE)
            return
        self._at += 1
        index = 0
        while self._skip(_SPACE) is not None and self._text[self._at] not in "]}":
            if self._text[self._at] == ",":
                self._at += 1
            elif opening == "{":
                self._pair(path)
            else:
                self._note((*path, index), self._at)
                self._value((*path, index))
                index += 1
        self._at += 1


_PLAIN_WORDS = {
    "Invalid value": "this is no TOML value (text stands in double quotes, true and false are in small letters)",
    "Cannot overwrite": "this key is set twice",
    "Cannot declare": "this section stands here twice; put its keys together under one heading",
    "Cannot mutate": "this key is set twice",
    "Duplicate inline": "this key is set twice",
    "Expected '='": 'a key is followed by = and its value, as in backend = "alsa"',
    "Expected newline": "only one key = value belongs on a line, and text stands in double quotes",
    "Illegal character": "text must end in a double quote on the same line",
    "Unterminated string": "the text that starts here never ends: a double quote is missing",
    "Unclosed array": "a list is not closed: ] is missing",
    "Unclosed inline": "a table is not closed: } is missing",
    "Expected ']": "a section heading is not closed: ] is missing",
    "Invalid initial": "a key begins with a letter, a digit, _ or -",
    "Invalid statement": "neither a [section] nor key = value",
    "Unescaped '\\'": "a backslash in text is written twice, or put the text in single quotes",
}


def syntax_error(error: tomllib.TOMLDecodeError, text: str) -> tuple[int, int, str]:
    """(line, column, what is wrong in plain words), both counted from 1."""
    message = str(error)
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    end = text.count("\n") + 1, len(text) - text.rfind("\n")
    line, column = (int(found[1]), int(found[2])) if found else end
    plain = next((words for start, words in _PLAIN_WORDS.items() if message.startswith(start)), None)
    return line, column, plain or re.sub(r" \(at .*\)$", "", message)


def to_toml(value: object) -> str:
    """One value as TOML. ``None`` is written false, see schema."""
    match value:
        case None | bool():
            return "true" if value else "false"
        case str() | PurePath():
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            inside = ", ".join(f"{to_key(k)} = {to_toml(v)}" for k, v in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case Sequence():
            return "[" + ", ".join(to_toml(v) for v in value) + "]"
        case _:
            return str(value)


def to_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else to_toml(key)
