"""``voicebox doctor``: examines the box as the user its service runs as, and prints what it finds."""

import argparse
import asyncio
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from voicebox import __version__, settings, statefile
from voicebox.commands import running
from voicebox.detached import Detached
from voicebox.doctor.base import Case, Finding, Mark
from voicebox.doctor.examination import Family, fragment
from voicebox.doctor.examination import examine as findings_of
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.redact import redact
from voicebox.support.machine import UNIT, Machine

OWN_UNIT = "voicebox-doctor"
STOPPED = "DOCTOR_STOPPED_VOICEBOX"
"""Set in the examination for which the service was stopped. It is no setting, so it does not begin as they do."""
ANSWER = 60.0
"""Seconds an owner may think."""
LONGEST = 600
"""Seconds for all of it, whatever happens."""


def examine(options: argparse.Namespace) -> int:
    if options.json:
        options.yes = True
    if os.geteuid() == 0 and (unit := _unit()):
        with _stopped(unit, options) as stopped:
            return _as_service(unit, options, stopped=stopped)
    return asyncio.run(_examine(options))


# --- as root: stop the box if that is wanted, and let its user look --------------------------------------------------


def _unit() -> dict[str, str]:
    """What systemd says of the service; empty if there is none to be like, or it is root's."""
    shown = Machine().run(["systemctl", "show", UNIT, "--property=LoadState,ActiveState,User"])
    unit = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return unit if unit.get("LoadState") == "loaded" and unit.get("User", "root") not in ("", "root") else {}


@contextmanager
def _stopped(unit: Mapping[str, str], options: argparse.Namespace) -> Iterator[bool]:
    """Without the box, which holds the sound cards and pins, if the owner agrees; it runs again afterwards. Whether it
    had to be stopped."""
    stop = unit["ActiveState"] in ("active", "activating", "reloading") and (options.yes or _agreed())
    if stop:
        for number in (signal.SIGHUP, signal.SIGTERM):  # a connection that breaks must not leave the box stopped
            signal.signal(number, signal.default_int_handler)
        print("the service is stopped for the examination, and started again after it", file=sys.stderr, flush=True)
        _systemctl("stop")
    try:
        yield stop
    finally:
        if stop:
            _systemctl("start")


def _systemctl(verb: str) -> None:
    """Says itself what is wrong."""
    subprocess.run(["systemctl", verb, UNIT], check=False)  # noqa: S603, S607  # systemd's own, on our own unit


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    print(
        "The box is running and holds the sound cards and pins. Stop it for the examination? [Y/n] ", end="", flush=True
    )
    return not sys.stdin.readline().strip().lower().startswith("n")


def _as_service(unit: Mapping[str, str], options: argparse.Namespace, *, stopped: bool) -> int:
    """In a unit of its own with the service's user, groups, secrets and devices."""
    print(f"examining as the service does it: user {unit['User']}", file=sys.stderr, flush=True)
    written = Machine().run(["systemctl", "cat", UNIT])
    command = ["systemd-run", f"--unit={OWN_UNIT}", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"]
    command += [f"--property={line}" for line in copied(written)]
    command += ["--property=StateDirectory=voicebox", f"--property=RuntimeDirectory={OWN_UNIT}"]
    command += [f"--property=WorkingDirectory=/run/{OWN_UNIT}", f"--property=RuntimeMaxSec={LONGEST}"]
    command += ["--setenv=TERM", *[f"--setenv={STOPPED}=1"] * stopped]
    command += [sys.executable, "-m", "voicebox", "doctor"]
    command += ["--json"] * options.json + ["--yes"] * options.yes
    command += [f"--config={options.config.absolute()}"] if options.config else []
    try:
        return subprocess.run(command, check=False).returncode  # noqa: S603  # made here
    finally:  # Ctrl-C ends systemd-run, but not what it runs
        Machine().run(["systemctl", "stop", OWN_UNIT])


COPIED = (
    *("User", "Group", "SupplementaryGroups", "LimitRTPRIO", "DevicePolicy", "DeviceAllow"),
    *("LoadCredential", "LoadCredentialEncrypted", "SetCredential"),
)
"""What the examination has from the service: who it is, and what it may use. No variables: they may hold secrets, and
these lines become arguments."""


def copied(unit: str) -> list[str]:
    """Those lines of a unit and its drop-ins, as ``systemctl cat`` prints them: not every systemd can show each."""
    return [line for line in unit.splitlines() if line.partition("=")[0] in COPIED]


# --- the examination -------------------------------------------------------------------------------------------------


async def _examine(options: argparse.Namespace) -> int:
    asyncio.get_running_loop().set_default_executor(Detached())  # a call into the sound system may never return
    owner = Terminal(present=not options.yes and sys.stdin.isatty())
    case = await asyncio.to_thread(_case, options, owner)
    found: list[tuple[Family, Finding]] = []
    if not options.json:
        print(f"voicebox doctor {__version__}, as the user {getpass.getuser()}; a minute or two", flush=True)
    async for family, finding in findings_of(case):
        if not options.json:
            if not found or found[-1][0] is not family:
                print(f"\n{family.title}", flush=True)
            print("\n".join(lines(finding)), flush=True)
        found.append((family, finding))
    all_well = all(finding.mark is not Mark.WRONG for _, finding in found)
    told = [finding for _, finding in found]
    print(_as_json(found, well=all_well) if options.json else "\n".join(_summary(told, options.config)))
    return 0 if all_well else 1


def _case(options: argparse.Namespace, owner: "Terminal") -> Case:
    try:
        loaded = settings.load(options.config)
    except ConfigError:
        loaded = None
    try:
        status = running.ask({"do": "status"})
    except VoiceboxError:
        status = None
    stopped = STOPPED in os.environ
    return Case(loaded, owner, options.config, Machine(), running.ask, statefile.directory(os.environ), status, stopped)


def lines(finding: Finding) -> Iterator[str]:
    """One finding, as wide as the terminal."""
    width = max(40, min(120, shutil.get_terminal_size().columns))
    text = textwrap.wrap(redact(finding.text), width - 11)
    yield f"  {finding.mark.value:8} {text[0]}"
    yield from (f"{'':11}{more}" for more in text[1:])
    if finding.fix:
        yield from textwrap.wrap(
            redact(finding.fix), width - 2, initial_indent=f"{'':11}→ ", subsequent_indent=f"{'':13}"
        )


def _summary(found: list[Finding], config: Path | None) -> Iterator[str]:
    number = sum(finding.mark is Mark.WRONG for finding in found)
    notes = sum(finding.mark is Mark.NOTE for finding in found)
    yield ""
    if number:
        yield f"{number} thing{'s' * (number != 1)} to mend: the lines marked WRONG; an arrow says how"
    else:
        yield f"nothing is wrong{f'; {notes} notes' if notes else ''}"
    if proposed := fragment(found):
        yield from ("", f"To paste into {settings.main_file(config)} (sudo voicebox config edit):", "", proposed)


def _as_json(found: list[tuple[Family, Finding]], *, well: bool) -> str:
    rows = [
        {"check": family.module, "mark": finding.mark.value, "text": redact(finding.text), "fix": redact(finding.fix)}
        for family, finding in found
    ]
    whole = {"version": __version__, "ok": well, "findings": rows, "settings": fragment([f for _, f in found])}
    return json.dumps(whole, ensure_ascii=False, indent=1)


class Terminal:
    """The owner, at a terminal; or nobody."""

    def __init__(self, *, present: bool) -> None:
        self._present = present

    @property
    def present(self) -> bool:
        return self._present

    async def asked(self, question: str) -> bool | None:
        """Enter alone is yes."""
        if not self._present:
            return None
        print(f"  {'?':8} {question} [Y/n] ", end="", flush=True)
        try:
            async with asyncio.timeout(ANSWER):
                return not (await _line()).strip().lower().startswith("n")
        except TimeoutError:
            print("(no answer)", flush=True)
            return None

    def told(self, text: str) -> None:
        if self._present:
            print(f"  {'→':8} {text}", flush=True)

    def meter(self, text: str) -> None:
        if self._present and sys.stdout.isatty():
            print(f"\r{'':11}{text}\x1b[K" if text else "\r\x1b[K", end="", flush=True)


async def _line() -> str:
    """What is typed up to Enter, without a thread that would wait for it for ever."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()
