"""Bars and curves in a terminal; plain ASCII where it knows no others."""

import sys
from collections.abc import Sequence
from itertools import pairwise

_EIGHTHS = "▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"


def fancy() -> bool:
    """Standard output takes characters beyond ASCII."""
    try:
        (_EIGHTHS + _LEVELS).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def bar(fraction: float, width: int, mark: float | None = None, *, ascii_only: bool = False) -> str:
    """``fraction`` of ``width`` characters, filled; at ``mark`` (a fraction, too) a line where nothing is filled."""
    whole, rest = divmod(round(min(1.0, max(0.0, fraction)) * width * 8), 8)
    filled = "#" * whole if ascii_only else "█" * whole + (_EIGHTHS[rest - 1] if rest else "")
    line = list(filled.ljust(width))
    if mark is not None:
        at = min(width - 1, round(mark * width))
        line[at] = line[at] if at < len(filled) else ("|" if ascii_only else "┊")
    return "".join(line)


def column(fraction: float, *, ascii_only: bool = False) -> str:
    """One character, filled from below."""
    step = round(min(1.0, max(0.0, fraction)) * 8)
    if ascii_only:
        return " " if step == 0 else "." if step < 4 else "#"
    return " " if step == 0 else _LEVELS[step - 1]


def curve(
    values: Sequence[float], seconds: float, mark: float, width: int, rows: int = 10, *, ascii_only: bool = False
) -> list[str]:
    """``values`` from 0 to 1 over ``seconds``, at most ``width`` wide, with a line at ``mark``."""
    columns = max(1, min(width - 6, len(values)))
    edges = [index * len(values) // columns for index in range(columns + 1)]
    highest = [max(values[start:end], default=0.0) for start, end in pairwise(edges)]
    line, axis, corner = ("-", "|", "+") if ascii_only else ("┈", "│", "└")
    marked = min(rows - 1, int(mark * rows))
    drawn = []
    for row in reversed(range(rows)):
        cells = (column(value * rows - row, ascii_only=ascii_only) for value in highest)
        label = f"{mark:4.2f}" if row == marked else f"{(row + 1) / rows:4.1f}" if row == rows - 1 else ""
        drawn.append(f"{label:>4} {axis}" + "".join(line if c == " " and row == marked else c for c in cells))
    drawn.append(f"{'0.0':>4} {corner}" + ("-" if ascii_only else "─") * columns)
    end = f"{seconds:.1f} s"
    drawn.append(" " * 6 + "0" + end.rjust(columns - 1) if columns > len(end) + 1 else " " * 6 + "0 to " + end)
    return [text.rstrip() for text in drawn]
