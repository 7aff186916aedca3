"""The power goes at any moment: what was kept is the old or the new, never half; and a box at rest writes nothing."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.house import living
from tests.support.long import LONG
from voicebox import statefile
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

ROOT = Path(__file__).parent.parent
CUTS = 200
REST = 3600 if LONG else 60
"""Virtual seconds; an hour takes a minute and a half to live through."""


def test_killed_anywhere_state_is_old_or_new(tmp_path: Path) -> None:
    """SIGKILL at 200 random moments: the real readers give the last that was told to be kept, or the next."""
    command = [sys.executable, "-m", "tests.support.powercut", str(tmp_path), str(CUTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    cuts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(cuts) == CUTS
    assert [cut for cut in cuts if not _old_or_new(**cut)] == []
    assert min(Counter(cut["kind"] for cut in cuts).values()) == CUTS // 4
    assert max(cut["told"] for cut in cuts) > 1, "none was killed between two writes"


def _old_or_new(kind: str, told: int, read: int | None) -> bool:
    if kind == "mute":
        return read in (0, 1)
    return read in (told, told + 1)


def test_a_box_at_rest_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards wear out by writing. Every way to open a file for writing is watched, not only ours."""
    opened: list[str] = []
    watching = False

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)  # for good: there is no way to take one away, hence ``watching``
    written: list[str] = []
    write = statefile.write

    def note(path: Path, text: str) -> bool:
        written.append(path.name)
        return write(path, text)

    monkeypatch.setattr(statefile, "write", note)

    async def main() -> None:
        nonlocal watching
        environ = {"STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
        options = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3"}
        async with living(environ=environ, options=options, watchdog=30.0) as house:
            if LONG:
                await house.ask()
                await house.until_phase(Phase.IDLE, within=120)
                await asyncio.sleep(600)  # what the conversation left to be written is written
            written.clear()
            watching = True
            await asyncio.sleep(REST)
            watching = False
            assert (written, opened) == ([], [])
            await house.ask()
            await house.until_phase(Phase.IDLE, within=120)
            await asyncio.sleep(5)  # the goodbye is said
            assert "usage.json" in written, "the watch is blind"

    try:
        run_virtual(main())
    finally:
        watching = False
