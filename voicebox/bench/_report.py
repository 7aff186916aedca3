"""Figures as tables in a Markdown file: each section's between ``<!-- bench: NAME -->`` and ``<!-- /bench -->``."""

import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from voicebox.bench._figures import Figure
from voicebox.bench._plot import bars, comparisons
from voicebox.errors import ConfigError


def renewed(file: Path, text: str, name: str, content: str, end: str = "") -> str:
    """``text`` of this file with ``content`` between ``<!-- NAME -->`` and ``<!-- /END -->`` (otherwise ``/NAME``).
    Raises ConfigError if that place is not there once."""
    begin, end = f"<!-- {name} -->", f"<!-- /{end or name} -->"
    parts = re.split(f"({re.escape(begin)}\n).*?({re.escape(end)})", text, flags=re.DOTALL)
    if len(parts) != 4:
        raise ConfigError(f"{file}: there must be one {begin} with {end} after it")
    before, begin, end, after = parts
    return f"{before}{begin}{content}\n{end}{after}"


def update(file: Path, results: Mapping[str, list[Figure]]) -> None:
    """Put the tables of these sections into the file in place of what is there. Raises ConfigError, and changes
    nothing, if it has no place for one of them."""
    try:
        text = file.read_text(encoding="utf-8")
        for name, figures in results.items():
            shown = f"{table(figures)}\n\n{_picture(file, name, figures)}{machine()}"
            text = renewed(file, text, f"bench: {name}", shown, "bench")
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


def _picture(file: Path, name: str, figures: list[Figure]) -> str:
    """Beside the file, where there is something to compare; what to write into it."""
    compared = comparisons(figures)
    if len(compared) < 2:
        return ""
    picture = file.with_name(f"bench-{name}.svg")
    picture.write_text(bars(compared), encoding="utf-8")
    return f"![{name}: the same as bars; the yardstick is 1, targets are marked]({picture.name})\n\n"


def table(figures: list[Figure]) -> str:
    """In Markdown."""
    lines = ["| figure | value | target | |", "| --- | --- | --- | --- |"]
    for figure in figures:
        value, target = f"{figure.value:g} {figure.unit}".strip(), figure.target.replace("<=", "≤").replace(">=", "≥")
        lines.append(f"| {figure.name} | {value} | {target} | {'' if figure.ok else '**missed**'} |")
    return "\n".join(lines)


def machine() -> str:
    """What it was measured on, and how busy that was with other things."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, {system}, Python"
        f" {platform.python_version()}; load over the last 1, 5 and 15 min: {load}."
    )


def _processor() -> str:
    """A Pi names itself as a whole, a PC only its processor."""
    model = Path("/proc/device-tree/model")
    if model.exists():
        return model.read_text(encoding="utf-8").strip("\0\n ")
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.machine()
