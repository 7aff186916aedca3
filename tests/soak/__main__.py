"""Lets the box live a day in virtual time, or some minutes in real, and says whether anything of its sessions stays."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.soak import accelerated, real
from tests.soak.course import Look
from tests.soak.picture import lines
from voicebox.bench import Figure
from voicebox.bench._command import plain, show
from voicebox.bench._report import machine, renewed, table
from voicebox.errors import ConfigError


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--real", type=float, metavar="MINUTES", help="in real time, through PulseAudio")
    parser.add_argument(
        "--sessions", type=int, default=accelerated.SESSIONS, help="in virtual time (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one object on standard output: figures and looks")
    parser.add_argument("--update", type=Path, metavar="FILE", help="renew table and picture of this Markdown file")
    options = parser.parse_args()
    if options.real is not None:
        name, title = "soak-real", f"{options.real:g} minutes in real time"
        figures, looks = real.live(options.real, _progress)
    else:
        name, title = "soak", f"{options.sessions} sessions in virtual time"
        seconds = accelerated.DAY * options.sessions / accelerated.SESSIONS
        figures, looks = accelerated.live(options.sessions, seconds, _progress)
    if options.json:
        print(json.dumps({"figures": list(map(plain, figures)), "looks": list(map(asdict, looks))}, indent=1))
    else:
        show(figures)
    if options.update:
        update(options.update, name, title, figures, looks)
    return 0 if all(figure.ok for figure in figures) else 1


def _progress(sessions: int) -> None:
    print(f"{sessions} sessions", file=sys.stderr, flush=True)


def update(file: Path, name: str, title: str, figures: list[Figure], looks: list[Look]) -> None:
    """Put the table between ``<!-- NAME -->`` and ``<!-- /NAME -->``, and the picture into ``pictures/`` beside it."""
    picture = file.parent / "pictures" / f"{name}.svg"
    picture.write_text(lines(looks, title), encoding="utf-8")
    shown = f"![{title}: memory over sessions](pictures/{picture.name})"
    content = f"{table(figures)}\n\n{shown}\n\n{machine()}"
    try:
        text = renewed(file, file.read_text(encoding="utf-8"), name, content)
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
