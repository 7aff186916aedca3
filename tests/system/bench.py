"""What is on the daemon's lines, its sound cards and in its journal. Runs in the virtual machine, as root."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.system.recording import Samples
from voicebox import assets

RATE = 24_000
UNIT = "voicebox.service"
BUTTON, LED = 17, 25
MICROPHONE, SPEAKER = "hw:MicLoop,1,0", "hw:SpkLoop,1,0"  # the other ends of the daemon's cards
_SIMULATED = Path("/sys/kernel/config/gpio-sim/rig")
_CONSUMERS = Path("/sys/kernel/debug/gpio")


class Missing(Exception):  # noqa: N818  # a finding, not an error
    """What should have happened did not, in the time there was."""


class Watched:
    """Something a thread of its own follows until ``close``."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def open(self) -> None:
        self._thread.start()

    def _follow(self) -> None:
        raise NotImplementedError

    def wait(self, happened: Callable[[], object], seconds: float, what: str) -> None:
        """Raises Missing, saying ``what`` was waited for."""
        with self.changed:
            if not self.changed.wait_for(happened, seconds):
                raise Missing(f"{what}: nothing within {seconds:.0f} s")


class Journal(Watched):
    """The unit's records as they are written, each a dict of its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []
        command = ["journalctl", "--follow", "--lines=0", "--output=json", f"--unit={UNIT}"]
        self._program = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.open()

    def _follow(self) -> None:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            with self.changed:
                self.records.append(json.loads(line))
                self.changed.notify_all()

    def wait_for_phase(self, phase: str, event: str, *, after: int, seconds: float = 30.0) -> float:
        """When (monotonic) the box came into ``phase`` by ``event``, among the records from number ``after`` on."""

        def found() -> list[dict[str, Any]]:
            return [
                record
                for record in self.records[after:]
                if (record.get("VOICEBOX_PHASE"), record.get("VOICEBOX_EVENT")) == (phase, event)
                and "→" in str(record.get("MESSAGE"))
            ]

        self.wait(found, seconds, f"{phase} by {event}")
        return int(found()[0]["__MONOTONIC_TIMESTAMP"]) / 1e6

    def wait_for_message(self, beginning: str, *, after: int, seconds: float = 30.0) -> float:
        """When (monotonic) a record that begins so was written, among those from number ``after`` on."""

        def found() -> list[dict[str, Any]]:
            return [r for r in self.records[after:] if str(r.get("MESSAGE")).startswith(beginning)]

        self.wait(found, seconds, beginning)
        return int(found()[0]["__MONOTONIC_TIMESTAMP"]) / 1e6

    def close(self) -> None:
        self._program.terminate()
        self._program.wait()


class Recorder(Watched):
    """All that the speaker's other end hears."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._origin = float("inf")  # when sample 0 was heard: the earliest that any arrival allows
        arguments = ["-q", "-D", SPEAKER, "-f", "S16_LE", "-r", str(RATE), "-c", "1", "-t", "raw"]
        # small periods to know the time, a large buffer and a place before the daemon to lose nothing
        command = ["chrt", "-f", "20", "arecord", *arguments, "--period-size=240", f"--buffer-size={RATE}"]
        self._program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False)
        self.open()

    def _follow(self) -> None:
        assert self._program.stdout is not None
        while data := os.read(self._program.stdout.fileno(), 65_536):
            now = time.monotonic()
            with self.changed:
                self._pieces.append(data)
                self._bytes += len(data)
                self._origin = min(self._origin, now - self.count / RATE)
                self.changed.notify_all()

    @property
    def count(self) -> int:
        return self._bytes // 2

    def index(self, moment: float) -> int:
        """The sample that was leaving the speaker at this time; about 10 ms sure."""
        return round((moment - self._origin) * RATE)

    def samples(self) -> Samples:
        with self.changed:
            data = b"".join(self._pieces)
        return np.frombuffer(data[: len(data) & ~1], "<i2").astype(np.int16)

    def listen(self, seconds: float) -> None:
        """Until this much more has been recorded."""
        end = self.count + round(seconds * RATE)
        self.wait(lambda: self.count >= end, 30 + seconds, "recording")

    def wait_for_sound(self, seconds: float) -> None:
        """Until there is sound, and then this much longer."""
        self.wait(lambda: self._pieces and self._pieces[-1].strip(b"\0"), 30, "sound from the speaker")
        self.listen(seconds)

    def close(self) -> str:
        """Returns what the recorder complained of: that it lost something itself."""
        self._program.terminate()
        assert self._program.stderr is not None
        complaints = self._program.stderr.read().decode()
        self._program.wait()
        return "\n".join(line for line in complaints.splitlines() if "Aborted by signal" not in line)


class Line:
    """One line of the simulated GPIO chip."""

    def __init__(self, number: int) -> None:
        self._chip = _read(_SIMULATED / "bank0/chip_name")
        chip = Path("/sys/devices/platform") / _read(_SIMULATED / "dev_name") / self._chip
        self._number = number
        self._pull = chip / f"sim_gpio{number}" / "pull"
        self._value = os.open(chip / f"sim_gpio{number}" / "value", os.O_RDONLY)

    def pull(self, where: str) -> None:
        """ "up" or "down": what a button does."""
        self._pull.write_text(f"pull-{where}")

    @property
    def lit(self) -> bool:
        return os.pread(self._value, 1, 0) == b"1"

    @property
    def used(self) -> bool:
        """Whether any program holds the line. There the kernel counts the lines of all chips through."""
        told = _CONSUMERS.read_text()
        first = re.search(rf"^{self._chip}: GPIOs (\d+)-", told, re.MULTILINE)
        if first is None:
            raise LookupError(f"{_CONSUMERS} does not tell of {self._chip}")
        return f" gpio-{int(first[1]) + self._number} " in told


class Lamp(Watched):
    """What an eye before the LED sees: its level, looked at again and again."""

    EVERY = 0.004
    """Seconds between two looks. The pulses come every 10 ms, so that all kinds of moments are met."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(LED)
        self._looks: list[tuple[float, bool]] = []
        self._stop = threading.Event()
        self.open()

    def _follow(self) -> None:
        while not self._stop.wait(self.EVERY):
            self._looks.append((time.monotonic(), self.line.lit))

    def seen(self, start: float, end: float) -> tuple[float, int, int]:
        """Between two times: how much of it it was lit (0 to 1), how often it changed, how often it was looked at."""
        levels = [lit for at, lit in self._looks if start <= at < end]
        changes = sum(before is not after for before, after in pairwise(levels))
        return (sum(levels) / len(levels) if levels else 0.0), changes, len(levels)

    def standstills(self) -> tuple[int, float]:
        """How often, and for how long at worst, in ms, the machine itself did not get round to looking: 10 ms late or
        more. A card that holds 10 ms of sound runs dry meanwhile."""
        late = [1000 * (after - before - self.EVERY) for (before, _), (after, _) in pairwise(self._looks)]
        return sum(ms >= 10 for ms in late), max(late, default=0.0)

    def close(self) -> None:
        self._stop.set()


def say(name: str) -> None:
    """Speak one of the recordings that ship with voicebox into the microphone, to its end."""
    path = Path(assets.__file__).parent / "speech" / f"{name}.wav"
    subprocess.run(["chrt", "-f", "20", "aplay", "-q", "-D", MICROPHONE, str(path)], check=True, timeout=60)


def tap(button: Line) -> float:
    """Press the talk button and let it go; returns when it went down."""
    pressed = time.monotonic()
    button.pull("down")
    time.sleep(0.12)  # as long as a finger takes; a hold begins at 400 ms
    button.pull("up")
    return pressed


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def shown(*properties: str) -> dict[str, str]:
    """Properties of the unit, as systemd knows them."""
    lines = run("systemctl", "show", UNIT, *(f"--property={name}" for name in properties)).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)


def _read(path: Path) -> str:
    return path.read_text().strip()
