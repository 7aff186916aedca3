"""Looks at a process as a line over sessions, in SVG."""

from collections.abc import Iterable, Sequence
from html import escape

from tests.soak.course import MOST_GROWTH, Look

_LEFT, _TOP, _WIDTH, _HEIGHT = 80, 40, 640, 260  # pixels
_COLOURS = {"held": ("in use", "#1f5fa8"), "resident": ("resident", "#3a7d44")}
_STEPS = (1, 2, 5)


def lines(looks: Sequence[Look], title: str) -> str:
    """Memory in KiB more than at the first look; dashed: the steepest that the second half may be."""
    kinds = [kind for kind in _COLOURS if any(getattr(look, kind) for look in looks)]
    courses = {kind: [(getattr(look, kind) - getattr(looks[0], kind)) / 1024 for look in looks] for kind in kinds}
    half = len(looks) // 2
    begin, end = looks[half].sessions, looks[-1].sessions
    rise = (end - begin) * MOST_GROWTH / 100
    steepest = {kind: _through(course[half:], rise) for kind, course in courses.items()}
    shown = [kib for kind in kinds for kib in (*courses[kind], *steepest[kind])]
    frame = _Frame(looks[0].sessions, looks[-1].sessions, min(shown), max(shown))
    drawn = [_head(title), *frame.axes()]
    for row, (kind, course) in enumerate(courses.items()):
        name, colour = _COLOURS[kind]
        points = (frame.at(look.sessions, kib) for look, kib in zip(looks, course, strict=True))
        drawn += [
            _line(points, colour),
            _line(map(frame.at, (begin, end), steepest[kind]), colour, 'stroke-dasharray="5 4"'),
            f'<text x="{_LEFT + _WIDTH + 8}" y="{_TOP + 14 + 18 * row}" fill="{colour}">{name}</text>',
        ]
    return "\n".join([*drawn, _foot(looks), "</svg>", ""])


def _line(points: Iterable[str], colour: str, style: str = 'stroke-width="1.5"') -> str:
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" {style}/>'


def _through(course: Sequence[float], rise: float) -> tuple[float, float]:
    """Where a line with this rise begins and ends that goes through the middle of them."""
    middle = sum(course) / len(course)
    return middle - rise / 2, middle + rise / 2


class _Frame:
    def __init__(self, left: float, right: float, low: float, high: float) -> None:
        self._left, self._wide = left, max(right - left, 1)
        self._step = _round((high - low) / 6 or 1.0)
        self._low = self._step * (low // self._step)
        self._high = self._step * -(-high // self._step) or self._step

    def at(self, sessions: float, kib: float) -> str:
        right = (sessions - self._left) / self._wide * _WIDTH
        down = (self._high - kib) / (self._high - self._low) * _HEIGHT
        return f"{_LEFT + right:.1f},{_TOP + down:.1f}"

    def axes(self) -> list[str]:
        """With names for round values."""
        drawn, kib = [], self._low
        while kib <= self._high:
            x, y = self.at(self._left, kib).split(",")
            drawn.append(f'<line x1="{x}" x2="{_LEFT + _WIDTH}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
            drawn.append(
                f'<text x="{_LEFT - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{f"{kib:+g}" if kib else 0}</text>'
            )
            kib += self._step
        bottom, step = _TOP + _HEIGHT, _round(self._wide / 8)
        sessions = step * -(-self._left // step)
        while sessions <= self._left + self._wide:
            x = self.at(sessions, 0).split(",")[0]
            drawn.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{sessions:g}</text>')
            sessions += step
        return [*drawn, f'<text x="{_LEFT + _WIDTH + 25}" y="{bottom + 18}">sessions</text>']


def _round(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 …"""
    power = 1.0
    while True:
        for step in _STEPS:
            if step * power >= value:
                return step * power
        power *= 10


def _head(title: str) -> str:
    size = f'width="{_LEFT + _WIDTH + 90}" height="{_TOP + _HEIGHT + 50}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        '<rect width="100%" height="100%" fill="white"/>'
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}: memory, KiB more than at the first look</text>'
    )


def _foot(looks: Sequence[Look]) -> str:
    seen = {what: sorted({getattr(look, what) for look in looks}) for what in ("files", "threads")}
    said = "; ".join(f"{what} at every look: {' or '.join(map(str, values))}" for what, values in seen.items())
    limit = f"dashed: {MOST_GROWTH:g} KiB for 100 sessions"
    return f'<text x="{_LEFT}" y="{_TOP + _HEIGHT + 40}">{limit}; {said}</text>'
