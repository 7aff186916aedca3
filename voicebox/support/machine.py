"""The system the box runs on, as far as it may be told of: fields are picked one by one, so nothing else gets in."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from voicebox import __version__

Run = Callable[[Sequence[str]], str]
LIMIT = 10.0  # seconds for a program
LIBRARIES = (
    "numpy",
    "onnxruntime",
    "openwakeword",
    "pyaudio",
    "websockets",
    "pydantic",
    "gpiozero",
    "lgpio",
    "aiomqtt",
)
UNIT = "voicebox.service"
OF_THE_UNIT = (
    *("ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "ExecMainCode", "ExecMainStatus"),
    *("ActiveEnterTimestamp", "ExecMainStartTimestamp", "MemoryCurrent", "CPUUsageNSec", "NeedDaemonReload"),
)
OF_THE_MEMORY = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree")
OF_THE_CLOCK = ("NTP", "NTPSynchronized", "CanNTP")


def run(command: Sequence[str]) -> str:
    """What a program prints; "" if it is not there, fails, or takes too long."""
    if (program := shutil.which(command[0])) is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603  # the programs of this room, without a shell
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT,
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


@dataclass(frozen=True, slots=True)
class Machine:
    """``root``: what stands for ``/``; ``run``: what runs a program and returns its output."""

    root: Path = Path("/")
    run: Run = run

    def read(self, path: str) -> str:
        """ "" where there is no such file, or we may not read it."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            return ""

    def heat(self) -> float | None:
        """Of the processor, in degrees Celsius; None where nobody tells, as below."""
        told = self.read("sys/class/thermal/thermal_zone0/temp")
        return int(told) / 1000 if told.lstrip("-").isdecimal() else None

    def throttled(self) -> int | None:
        """The firmware's word on power and heat: bits of now, and 16 higher those of since the start."""
        told = self.read("sys/devices/platform/soc/soc:firmware/get_throttled") or self.run(
            ["vcgencmd", "get_throttled"]
        )
        found = re.match(r"(?:throttled=0x)?([0-9a-fA-F]+)\b", told)
        return int(found[1], 16) if found else None

    def wireless(self) -> list[str]:
        """The names of the Wi-Fi interfaces."""
        return sorted(path.parent.name for path in (self.root / "sys/class/net").glob("*/wireless"))

    def sleeps(self, interface: str) -> bool | None:
        """Whether this Wi-Fi interface saves power."""
        told = self.run(["iw", "dev", interface, "get", "power_save"])
        return {"on": True, "off": False}.get(told.partition("Power save:")[2].split("\n")[0].strip())

    def system(self) -> Iterator[str]:
        system = self.read("etc/os-release")
        yield f"board: {_words(self.read('proc/device-tree/model')) or 'not a Pi'}"
        yield f"system: {_words(_field(system, 'PRETTY_NAME'))}, kernel {platform.release()}, {platform.machine()}"
        yield f"Python {platform.python_version()}, voicebox {__version__}, {self._kind()}"
        yield f"libraries: {', '.join(f'{name} {_version(name)}' for name in LIBRARIES)}"
        uptime, load = self.read("proc/uptime").split(" ")[0], self.read("proc/loadavg").split(" ")[:3]
        yield f"up for {_number(uptime) / 3600:.1f} hours, load {' '.join(f'{_number(part):.2f}' for part in load)}"
        memory = self.read("proc/meminfo")
        yield ", ".join(f"{name} {_number(_field(memory, name).split(' ')[0]) / 1024:.0f} MB" for name in OF_THE_MEMORY)
        yield from self._health()

    def _kind(self) -> str:
        """How it was installed."""
        versions = [path for path in (self.root / "opt/voicebox").glob("*") if path.is_dir() and not path.is_symlink()]
        if (self.root / "usr/lib/voicebox").is_dir():
            return "from the Debian package"
        return f"from scripts/install, {len(versions)} versions" if versions else "from a tree"

    def _health(self) -> Iterator[str]:
        for place in ("", "var/lib", "opt"):
            if (self.root / place).is_dir():
                usage = shutil.disk_usage(self.root / place)
                yield f"/{place}: {usage.free >> 20} MB of {usage.total >> 20} are free"
        heat, throttled = self.heat(), self.throttled()
        yield "processor: its temperature is not told" if heat is None else f"processor: {heat:.0f} °C"
        word = "not told" if throttled is None else f"{throttled:#x}"
        yield f"throttled: {word} (0x0: power and heat have always been fine)"

    def unit(self) -> Iterator[str]:
        shown = self.run(["systemctl", "show", UNIT, f"--property={','.join(OF_THE_UNIT)}"])
        for name in OF_THE_UNIT:
            if value := _field(shown, name):
                yield f"{name}: {_words(value)}"
        overrides = list((self.root / "etc/systemd/system/voicebox.service.d").glob("*.conf"))
        yield f"changes of the owner's to the unit: {len(overrides)} files"

    def sound(self) -> Iterator[str]:
        """Cards by their drivers' names."""
        yield from map(_words, self.read("proc/asound/cards").splitlines() or ["no sound cards"])
        yield from map(_words, self.read("proc/asound/pcm").splitlines())

    def network(self) -> Iterator[str]:
        """Kinds and counts: no names, no addresses."""
        for path in sorted((self.root / "sys/class/net").glob("*")):
            kind = "Wi-Fi" if (path / "wireless").exists() else "wired" if path.name.startswith("e") else ""
            if kind:
                state = self.read(str((path / "operstate").relative_to(self.root)))
                yield f"{kind}: {state if state in ('up', 'down', 'dormant') else 'unknown'}"
        for line in self.read("proc/net/wireless").splitlines()[2:]:
            yield f"Wi-Fi signal: {' '.join(re.findall(r'-?[0-9]+', line.partition(':')[2])[1:3])} (of 70, dBm)"
        for sleeps in map(self.sleeps, self.wireless()):
            yield f"Wi-Fi power save: {'not told' if sleeps is None else 'on' if sleeps else 'off'}"
        routes = [line for line in self.read("proc/net/route").splitlines() if line.split("\t")[1:2] == ["00000000"]]
        servers = re.findall(r"^nameserver ", self.read("etc/resolv.conf"), re.MULTILINE)
        yield f"default routes: {len(routes)}, name servers: {len(servers)}"
        clock = self.run(["timedatectl", "show"])
        yield ", ".join(f"{name} {_field(clock, name) or '-'}" for name in OF_THE_CLOCK)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def _field(text: str, name: str) -> str:
    """Of lines like ``MemTotal:  123 kB`` or ``NAME="value"``."""
    found = re.search(rf"^{name}\s*[:=]\s*\"?(.*?)\"?$", text, re.MULTILINE)
    return found[1] if found else ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _words(text: str) -> str:
    """At most a line of plain characters."""
    return re.sub(r"[^\w .,:;()\[\]/+@=#-]", "", text)[:160].rstrip()
