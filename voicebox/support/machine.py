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
        heat = self.read("sys/class/thermal/thermal_zone0/temp")
        yield f"processor: {_number(heat) / 1000:.0f} °C" if heat else "processor: its temperature is not told"
        throttled = re.search(r"throttled=(0x[0-9a-fA-F]+)", self.run(["vcgencmd", "get_throttled"]))
        yield f"throttled: {throttled[1] if throttled else 'not told'} (0x0: power and heat have always been fine)"

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
        power_save = self.run(["iw", "dev", "wlan0", "get", "power_save"])
        yield f"Wi-Fi power save: {'on' if ': on' in power_save else 'off' if ': off' in power_save else 'not told'}"
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
