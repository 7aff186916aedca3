"""Whether the daemon runs, and may touch what it needs."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from voicebox.doctor.base import Case, Finding, left_out, note, well, wrong
from voicebox.support.machine import UNIT

RESTARTS = 3
"""From so many on a box is told to be restless."""


async def check(case: Case) -> AsyncIterator[Finding]:
    shown = await asyncio.to_thread(case.machine.run, ["systemctl", "show", UNIT, "--property=" + ",".join(_OF_UNIT)])
    unit = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    for finding in (*judge_unit(unit), *judge_status(case), *judge_devices(Path("/dev"), case)):
        yield finding


_OF_UNIT = ("LoadState", "ActiveState", "UnitFileState", "NRestarts", "ExecMainStatus")


def judge_unit(unit: dict[str, str]) -> Iterator[Finding]:
    """Of what systemd shows of the unit."""
    if unit.get("LoadState") != "loaded":
        yield left_out(
            "voicebox is not installed as a service here", "sudo scripts/install makes a box of this machine"
        )
        return
    if unit.get("ActiveState") == "failed":
        codes = {"77": "the service refused the credentials", "78": "a setting is wrong"}
        why = codes.get(unit.get("ExecMainStatus", ""), f"exit code {unit.get('ExecMainStatus')}")
        yield wrong(
            f"the service has given up: {why}",
            "journalctl -u voicebox -n 30; mend it, then: sudo systemctl start voicebox",
        )
    if unit.get("UnitFileState") == "disabled":
        yield note("the service does not start with the system", "sudo systemctl enable voicebox")
    if int(unit.get("NRestarts") or 0) >= RESTARTS:
        times = unit["NRestarts"]
        yield note(f"systemd has restarted the service {times} times", "journalctl -u voicebox -p warning")


def judge_status(case: Case) -> Iterator[Finding]:
    if case.stopped:
        yield well("the service ran, and is stopped while it is looked at")
        return
    if case.status is None:
        yield left_out(
            "no box is running, or this user may not ask it", "sudo systemctl start voicebox, or sudo voicebox doctor"
        )
        return
    words = f"the box is running: {case.status.get('status', '')}"
    fault = case.status.get("fault")
    yield (
        wrong(f"{words} ({fault})", "docs/troubleshooting.md; the checks below look for its cause")
        if fault
        else well(words)
    )


def judge_devices(dev: Path, case: Case) -> Iterator[Finding]:
    """Whether we, who are the service's user where that could be arranged, may open what the box needs."""
    wanted = [(sorted((dev / "snd").glob("pcm*")), "sound cards", "audio")]
    if case.settings is not None and _uses_pins(case):
        wanted.append((sorted(dev.glob("gpiochip*")), "pins", "gpio"))
        if case.settings.lights.backend == "apa102" and case.settings.lights.apa102.data is None:
            wanted.append((sorted(dev.glob("spidev0.*")), "the row of LEDs (SPI)", "spi"))
    user = getpass.getuser()
    for nodes, what, group in wanted:
        closed = [node for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
        if closed:
            yield wrong(
                f"the user {user} may not use {what}: {closed[0]}", f"sudo adduser {user} {group}, then restart"
            )
        elif nodes:
            yield well(f"the user {user} may use {what}")


def _uses_pins(case: Case) -> bool:
    assert case.settings is not None  # noqa: S101  # looked at by who asks
    return case.settings.button.pin is not None or case.settings.lights.backend in ("gpio", "rgb", "apa102")
