"""docs/state-diagram.md shows the table the box runs on."""

from tests.support import scripts
from voicebox.core.transitions import arrows

SCRIPT = scripts.load("state-diagram")


def test_every_change_of_phase_is_drawn() -> None:
    drawn = "\n".join(SCRIPT.diagram())
    for source, event, target in arrows():
        if source is not target:
            line = next(line for line in drawn.splitlines() if line.strip().startswith(f"{source} --> {target}:"))
            assert event in line
