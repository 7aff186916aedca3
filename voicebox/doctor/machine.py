"""Power, heat, space, clock, Wi-Fi: what makes a box fail that is not its own fault."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator

from voicebox.doctor.base import Case, Finding, left_out, note, well, wrong
from voicebox.support.machine import Machine

HOT = 80.0
"""Degrees Celsius from which a Pi slows itself down."""
FULL, SPACE = 50 << 20, 700 << 20
"""Bytes: so few, and nothing can be kept any more; so many an upgrade needs (ROOM in scripts/_box.sh)."""
_POWER_NOW, _POWER_ONCE, _SLOWED_NOW, _SLOWED_ONCE = 1 << 0, 1 << 16, 0b1110, 0b1110 << 16


async def check(case: Case) -> AsyncIterator[Finding]:
    machine = case.machine
    if not machine.read("proc/device-tree/model").startswith("Raspberry"):
        yield left_out("this is no Raspberry Pi: power and throttling are not told")
    else:
        for finding in judge_power(await asyncio.to_thread(machine.throttled)):
            yield finding
    for finding in (*judge_heat(machine.heat()), judge_space(machine)):
        yield finding
    yield judge_clock(await asyncio.to_thread(machine.run, ["timedatectl", "show"]))
    for name in machine.wireless():
        yield judge_wifi(name, await asyncio.to_thread(machine.sleeps, name))


def judge_power(bits: int | None) -> Iterator[Finding]:
    """Of the firmware's word."""
    if bits is None:
        yield left_out("the firmware does not tell of power and throttling")
        return
    better = "a better power supply (5 V at the board), a shorter cable, fewer USB devices"
    if bits & _POWER_NOW:
        yield wrong("too little voltage now: sound will break and cards vanish", better)
    elif bits & _POWER_ONCE:
        yield note("there was too little voltage since the start", better)
    if bits & _SLOWED_NOW:
        yield wrong("the processor is slowed down now (heat or power)", "cool it; see the temperature below")
    elif bits & _SLOWED_ONCE:
        yield note("the processor was slowed down since the start (heat or power)", "cool it")
    if not bits & (_POWER_NOW | _POWER_ONCE | _SLOWED_NOW | _SLOWED_ONCE):
        yield well("power has always been sufficient, and nothing was throttled")


def judge_heat(degrees: float | None) -> Iterator[Finding]:
    """Nothing where nobody tells."""
    if degrees is None:
        return
    if degrees >= HOT:
        yield wrong(f"the processor is at {degrees:.0f} °C and slows down", "a heat sink, or air through the case")
    else:
        yield well(f"the processor is at {degrees:.0f} °C")


def judge_space(machine: Machine) -> Finding:
    place = next(path for path in (machine.root / "var/lib", machine.root) if path.is_dir())
    free = shutil.disk_usage(place).free
    if free < SPACE:
        fix = "sudo apt-get clean; sudo journalctl --vacuum-size=50M"
        if free < FULL:
            return wrong(f"only {free >> 20} MB are free on the card", fix)
        return note(f"{free >> 20} MB are free: too little for an upgrade ({SPACE >> 20} MB)", fix)
    return well(f"{free >> 20} MB are free")


def judge_clock(told: str) -> Finding:
    """Of ``timedatectl show``."""
    if not told:
        return left_out("whether the clock is set is not known (no timedatectl)")
    if "NTPSynchronized=yes" in told:
        return well("the clock is set by the network")
    if "NTP=no" in told:
        return wrong("nobody sets the clock", "sudo timedatectl set-ntp true")
    return note("the clock is not yet set by the network", "wait a minute; does the network let NTP (UDP 123) through?")


def judge_wifi(name: str, sleeps: bool | None) -> Finding:
    if sleeps:
        return note(
            f"{name} sleeps to save power: answers stutter and connections take longer",
            f"sudo iw dev {name} set power_save off; for good: nmcli connection modify NAME wifi.powersave 2",
        )
    if sleeps is False:
        return well(f"{name} does not sleep")
    return left_out(f"{name} does not tell whether it sleeps (is iw installed?)")
