"""Lines of the log, as far as the program itself wrote them.

A line of the log can carry anything: what a service answered, a file's name, the name of somebody's Wi-Fi. So a line is
not cleaned of what must not get out, but made anew from what may: the sentences that stand in the program's own source,
the system's words for errors, and numbers. Whatever stands between them becomes ``…``.
"""

import ast
import errno
import os
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

NOT_SPOKEN = {"demo", "simulator", "bench", "assets", "commands", "support"}
"""Rooms that say nothing in the log; the sentences of the first are things people say."""
SHORTEST = 5
"""Characters. Shorter pieces of our sentences could be anybody's words."""
SYSTEMD = (
    *("Starting ", "Started ", "Stopping ", "Stopped ", "Reloading ", "Reloaded ", "Deactivated successfully"),
    *("Main process exited, code=exited, status=", "Main process exited, code=killed, status=", "Failed with result "),
    *("Scheduled restart job, restart counter is at ", "Watchdog timeout", "Killing process ", " with signal SIG"),
    *("State 'stop-sigterm' timed out", "start operation timed out. Terminating.", "Failed to set up credentials"),
    *("Consumed ", " CPU time", "A process of this unit has been killed by the OOM killer", "voicebox.service"),
)
"""How systemd speaks of a service."""
WORDS = (
    *("voicebox", "smart speaker", "'exit-code'", "'watchdog'", "'signal'", "'timeout'", "'core-dump'", "'oom-kill'"),
    *("1/FAILURE", "2/INVALIDARGUMENT", "69/UNAVAILABLE", "76/PROTOCOL", "77/NOPERM", "78/CONFIG", "243/CREDENTIALS"),
    *("6/ABRT", "9/KILL", "11/SEGV", "15/TERM", "Traceback (most recent call last):"),
    *("Name or service not known", "Temporary failure in name resolution", "No address associated with hostname"),
    *(f"interrupted by {who} after " for who in ("server", "wake_word", "button", "speech", "user")),
)
_HOLE = re.compile(r"%[-+ #0]*[\d*]*(?:\.[\d*]+)?[a-zA-Z%]|\{[^{}]*\}")
_NUMBER = re.compile(r"(?:[\s\d.,:;()\[\]/→×%+-]|GPIO(?=\d)|Errno(?= -?\d)|(?<=\d )(?:ms|s|dB|Hz|MB|times)\b)*")
_LONG = re.compile(r"\d{7,}")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|(?:[0-9a-f]{0,4}:){2,}[0-9a-f]{0,4}", re.IGNORECASE)
_FRAME = re.compile(r'\s*File ".*/(voicebox/[\w/]+\.py)", line (\d+), in (\w+)')
GAP = "…"


def rebuilt(text: str) -> str:
    """What may be seen of an entry of the log, which may have several lines; ``…`` for the rest."""
    lines = [_line(line) for line in text.splitlines()]
    return "\n".join(line for line, before in zip(lines, [None, *lines], strict=False) if line != GAP or before != GAP)


def _line(line: str) -> str:
    """Numbers of seven digits and more are no measurements."""
    if frame := _FRAME.match(line):
        return f"  {frame[1]}, line {frame[2]}, in {frame[3]}"
    parts, at = [], 0
    for match in _known().finditer(line):
        parts += [_between(line[at : match.start()]), match[0]]
        at = match.end()
    parts.append(_between(line[at:]))
    return re.sub(r"(?:\s*…\s*)+", f" {GAP} ", "".join(parts)).strip()


def _between(text: str) -> str:
    if not text.strip():
        return text
    is_number = _NUMBER.fullmatch(text) and not _LONG.search(text) and not _ADDRESS.search(text)
    return text if is_number else GAP


@cache
def _known() -> re.Pattern[str]:
    """Any of the pieces, the longest first, at the borders of words."""
    pieces = {*SYSTEMD, *WORDS, *map(os.strerror, errno.errorcode), *_names(), *_pieces(files("voicebox"))}
    return re.compile("|".join(_bounded(piece) for piece in sorted(pieces, key=len, reverse=True)))


def _bounded(piece: str) -> str:
    before, after = (r"(?<!\w)" * piece[0].isalnum(), r"(?!\w)" * piece[-1].isalnum())
    return before + re.escape(piece) + after


def _names() -> Iterator[str]:
    """Of exceptions and events, which the log names."""
    import builtins  # noqa: PLC0415  # for its names only

    from voicebox import errors  # noqa: PLC0415  # as above
    from voicebox.core import events, state  # noqa: PLC0415  # as above

    for module in (builtins, errors, events):
        yield from (name for name, value in vars(module).items() if isinstance(value, type) and len(name) > SHORTEST)
    yield from (str(member.value) for member in (*state.Phase, *state.Fault, *state.Link))


def _pieces(directory: Traversable) -> Iterator[str]:
    for entry in directory.iterdir():
        if entry.is_dir() and entry.name not in NOT_SPOKEN and not entry.name.startswith("_"):
            yield from _pieces(entry)
        elif entry.name.endswith(".py"):
            yield from _of_source(entry.read_text(encoding="utf-8"))


def _of_source(source: str) -> Iterator[str]:
    """The constant parts of what it may print. Docstrings are prose."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield from (piece for piece in _HOLE.split(node.value) if _is_sentence(piece))


def _is_sentence(piece: str) -> bool:
    """More than a word, or one that announces something: a word alone could be anybody's."""
    words = piece.strip()
    return len(words) >= SHORTEST and (" " in words or words.endswith(":")) and piece.isprintable()
