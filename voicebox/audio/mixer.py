"""The card's own volume, through amixer (Debian: alsa-utils), a process for each change: nothing here blocks."""

import asyncio
import os
import re
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from voicebox.errors import DeviceError

AUTO = "auto"
PREFERRED = ("Master", "PCM", "Digital", "Playback", "Speaker", "Headphone", "Headset", "DAC", "Line Out")
"""Controls that "auto" takes, the first there is: those before all outputs before those of a single one."""
PATIENCE = 2.0  # seconds for one amixer

_CONTROL = re.compile(r"^Simple mixer control '(.+)',(\d+)$", re.MULTILINE)
_PERCENT = re.compile(r"Playback -?\d+ \[(\d+)%\]")

Amixer = Callable[..., Awaitable[str]]
"""Runs amixer with these arguments; returns what it printed. Raises DeviceError."""


@dataclass(frozen=True, slots=True)
class Control:
    """One playback volume of a card."""

    name: str
    index: int
    percent: int
    switch: bool  # it can be muted

    @property
    def id(self) -> str:
        return f"'{self.name}',{self.index}"


async def amixer(*arguments: str) -> str:
    """Run it to its end, for at most ``PATIENCE`` seconds, in a thread of its own."""
    try:
        async with asyncio.timeout(2 * PATIENCE):  # killed, it may still hang in the kernel
            return await asyncio.get_running_loop().run_in_executor(None, _run, arguments)
    except TimeoutError as error:
        raise DeviceError("amixer hangs: is the sound card's driver all right? (dmesg)") from error


def _run(arguments: Sequence[str]) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VOICEBOX_")}  # no secrets
    try:
        done = subprocess.run(  # noqa: S603  # no shell reads it
            ["amixer", "-M", *arguments],  # noqa: S607  # systems differ in where they have it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**environ, "LC_ALL": "C"},
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"amixer gave no answer within {PATIENCE:g} s") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise DeviceError(f"amixer cannot be run ({why}): sudo apt install alsa-utils") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DeviceError(f"amixer failed: {''.join(last) or done.returncode}")
    return done.stdout.decode(errors="replace")


def controls(listing: str) -> list[Control]:
    """The playback volumes in what ``amixer scontents`` prints."""
    parts = _CONTROL.split(listing)[1:]
    found = []
    for name, index, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        capabilities = text.partition("\n  Playback channels")[0].split()
        percent = _PERCENT.search(text)
        if percent and ("pvolume" in capabilities or "volume" in capabilities):
            switch = "pswitch" in capabilities or "switch" in capabilities
            found.append(Control(name, int(index), int(percent[1]), switch))
    return found


def choose(wanted: str, found: list[Control]) -> Control | None:
    """The control of that name, or for "auto" the one that is most likely before all the speaker's sound."""
    for name in PREFERRED if wanted == AUTO else (wanted,):
        for control in found:
            if control.name.casefold() == name.casefold():
                return control
    return None


class Mixer:
    """One card's volume. ``wanted`` is the control's name, or "auto"."""

    def __init__(self, wanted: str = AUTO, run: Amixer = amixer) -> None:
        self.wanted = wanted
        self._run = run

    async def find(self, device: str) -> Control:
        """The control as it now is. Raises DeviceError if there is none of that name, or the card does not answer."""
        found = controls(await self._run("-D", device, "scontents"))
        control = choose(self.wanted, found)
        if control is None:
            there = ", ".join(f'"{control.name}"' for control in found) or "none"
            raise DeviceError(f'playback.mixer = "{self.wanted}": {device} has no such volume; it has {there}')
        return control

    async def set(self, device: str, control: Control, percent: int) -> None:
        """Raises DeviceError."""
        switch = ("unmute",) if control.switch else ()
        await self._run("-q", "-D", device, "sset", control.id, f"{percent}%", *switch)
