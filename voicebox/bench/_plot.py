"""Figures that compare with something, as bars beside it, in SVG: a picture of one measure, 1 being the yardstick."""

from collections.abc import Sequence
from html import escape

from voicebox.bench._figures import Figure

_ROW, _LETTER, _WIDTH = 26, 6.6, 360  # pixels; a letter of 12 pixels' height is seldom wider
_LABEL = 50  # pixels that a number takes
_GREEN, _RED, _GREY = "#3a7d44", "#b3261e", "#8a8a8a"


def comparisons(figures: Sequence[Figure]) -> list[Figure]:
    """Those that say how many times something."""
    return [figure for figure in figures if figure.unit == "x"]


def bars(figures: Sequence[Figure]) -> str:
    """Grey: only stated; green and red: within and beyond their target, which is a line."""
    longest = max(1.0, *(figure.value for figure in figures))
    scale = _WIDTH / longest
    height = _ROW * len(figures) + 24
    text = 16 + round(_LETTER * max(len(figure.name) for figure in figures))
    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{text + _WIDTH + 70}" height="{height}"'
            ' font-family="sans-serif" font-size="12">'
        ),
        (
            f'<rect width="100%" height="100%" fill="white"/><line x1="{text + scale:.0f}" x2="{text + scale:.0f}"'
            f' y1="0" y2="{height - 18}" stroke="black" stroke-dasharray="3 3"/>'
        ),
        f'<text x="{text + scale:.0f}" y="{height - 5}" text-anchor="middle">1</text>',
    ]
    for row, figure in enumerate(figures):
        drawn += _bar(figure, row * _ROW + 4, scale, text)
    return "\n".join([*drawn, "</svg>", ""])


def _bar(figure: Figure, top: int, scale: float, text: int) -> list[str]:
    limit = figure.target.rpartition(" ")[2]
    colour = _GREY if limit == "-" else _GREEN if figure.ok else _RED
    length = max(1.0, figure.value * scale)
    at = 0.0 if limit == "-" else float(limit) * scale
    end = max(length, at) if at < length + _LABEL else length  # the number stands behind the mark, not under it
    drawn = [
        f'<text x="{text - 8}" y="{top + 13}" text-anchor="end">{escape(figure.name)}</text>',
        f'<rect x="{text}" y="{top}" width="{length:.0f}" height="18" fill="{colour}"/>',
        f'<text x="{text + end + 6:.0f}" y="{top + 13}">{figure.value:g}</text>',
    ]
    if limit != "-":
        place = f'x1="{text + at:.0f}" x2="{text + at:.0f}" y1="{top - 3}" y2="{top + 21}"'
        drawn.append(f'<line {place} stroke="black" stroke-width="2"/>')
    return drawn
