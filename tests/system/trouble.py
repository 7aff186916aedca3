"""What an owner gets wrong and what a machine may lack, in the virtual machine: ``python -m tests.system.trouble``,
with the names of some parts if not all are wanted.

Each time the box says what, where and how to mend it, works on without that part, and nothing is lost. Prints a line
for each thing that had to happen, with what the owner reads; the exit status is 1 if one of them did not.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.system.bench import BUTTON, LED, UNIT, Journal, Line, Missing, run, shown, tap
from tests.system.owner import SETTINGS, status, until
from tests.system.report import Report

ETC, STATE, SOCKET = SETTINGS.parent, Path("/var/lib/voicebox"), Path("/run/voicebox/control.sock")
PREFIX = re.compile(r"^.*works on without (it|its light): ")
PYTHON = "/opt/voicebox/current/bin/python"
HOLD_PIN = "import lgpio, sys; lgpio.gpio_claim_output(lgpio.gpiochip_open(0), 5); print(flush=True); sys.stdin.read()"

REFUSED = {
    "wrong pin": ("[lights]\nled = 99\n", "a whole number from 0 to 27"),
    "pin taken twice": (f"[lights]\nled = {BUTTON}\n", "which button.pin uses already"),
    "unknown board": ('board = "respeaker2mic"\n', "did you mean respeaker-2mic?"),
    "unknown key": ("[lights]\nleds = 3\n", "lights.leds is unknown; did you mean led?"),
}
"""Settings that a running box does not take, and what it says of them."""


class Trouble:
    def __init__(self, report: Report, stack: ExitStack) -> None:
        self._check, self._tell = report.check, report.tell
        self._button, self._led = Line(BUTTON), Line(LED)
        self._journal = Journal()
        stack.callback(self._journal.close)
        self._good = SETTINGS.read_text()
        stack.callback(SETTINGS.write_text, self._good)

    def start(self) -> None:
        run("systemctl", "restart", UNIT)
        until(lambda: "waiting for" in status(), 60, "a box that is ready")

    # --- settings

    def refused(self) -> None:
        """The running box goes on with what it has; a start takes the last good ones."""
        pid = shown("MainPID")["MainPID"]
        for what, (more, words) in REFUSED.items():
            SETTINGS.write_text(self._with(more))
            checked = run("voicebox", "check")
            run("systemctl", "reload", UNIT)
            self._says(words, f"{what}: its refusal")
            good = checked.returncode == 78 and words in checked.stdout
            self._check(what, good, checked.stdout.strip())
            self._check(f"{what}: the box works on", self._works(), status())
        SETTINGS.write_text(self._good)
        run("systemctl", "reload", UNIT)
        until(lambda: "last good" not in status(), 20, "the mended settings")
        self._check("mended, in the same process", shown("MainPID")["MainPID"] == pid, status())

    def _says(self, words: str, what: str) -> None:
        until(lambda: words in status(), 20, what)

    def _with(self, more: str) -> str:
        """The good settings with ``more``: a key of no section, or a section in place of theirs."""
        section = re.match(r"\[(\w+)\]", more)
        if section is None:
            return more + self._good
        return re.sub(rf"(?ms)^\[{section[1]}\].*?(?=^\[|\Z)", "", self._good) + "\n" + more

    def _works(self) -> bool:
        """A tap opens a conversation, and another one ends it."""
        mark = len(self._journal.records)
        tap(self._button)
        self._journal.wait_for_phase("listening", "SessionReady", after=mark, seconds=40)
        tap(self._button)
        until(lambda: "waiting for" in status(), 20, "the end of a conversation")
        return True

    # --- pins

    def pins(self) -> None:
        with self._another_program():
            self._light("pin of another program", "led = 5", "another program has the pin")
        with self._sound_card_on_the_header():
            self._light("pin of the sound card (I2S)", "led = 19", "the sound card on the header")
            SETTINGS.write_text(self._with("[lights]\nled = 19\n"))
            checked = run("voicebox", "check")
            SETTINGS.write_text(self._good)
            said = (checked.stdout + checked.stderr).strip()
            refused = checked.returncode == 78 and "lights.led uses GPIO19" in said
            self._check("and voicebox check refuses it", refused, f"status {checked.returncode}, {said}")
        self._light("no SPI", 'backend = "apa102"', "SPI is off or not for this user")

    def _light(self, what: str, settings: str, words: str) -> None:
        """A light that cannot be had, live; then the good one again."""
        mark = len(self._journal.records)
        SETTINGS.write_text(self._with(f"[lights]\n{settings}\n"))
        run("systemctl", "reload", UNIT)
        self._warned(what, words, mark)
        self._check(f"{what}: the box works on", self._works(), status())
        SETTINGS.write_text(self._good)
        run("systemctl", "reload", UNIT)
        until(lambda: self._led.used, 20, "the light again")

    def _warned(self, what: str, words: str, mark: int, times: int = 1) -> None:
        """At least so many warnings with these words since record ``mark``, each said once."""

        def found() -> list[str]:
            return [str(r["MESSAGE"]) for r in self._journal.records[mark:] if words in str(r.get("MESSAGE"))]

        self._journal.wait(lambda: len(found()) >= times, 60, f"{what}: a word of it")
        clean = not any("Traceback" in text for text in found())
        self._check(
            what, clean and len(set(found())) == len(found()), " / ".join(PREFIX.sub("", text) for text in found())
        )

    @contextmanager
    def _another_program(self) -> Iterator[None]:
        pipe = subprocess.PIPE
        with subprocess.Popen([PYTHON, "-c", HOLD_PIN], stdin=pipe, stdout=pipe, cwd="/run") as program:
            assert program.stdout is not None
            program.stdout.readline()
            try:
                yield
            finally:
                program.terminate()

    @contextmanager
    def _sound_card_on_the_header(self) -> Iterator[None]:
        """As its overlay shows in the device tree of a Pi."""
        with _mounted(Path("/sys/firmware"), "-t", "tmpfs", "none"):
            node = Path("/sys/firmware/devicetree/base/soc/i2s@7e203000")
            node.mkdir(parents=True)
            (node / "status").write_bytes(b"okay\0")
            yield

    # --- what is in the way

    def second(self) -> None:
        done = run("voicebox", "run")
        told = done.returncode == 69 and "another voicebox is running" in done.stderr and "Traceback" not in done.stderr
        self._check("second daemon", told, f"status {done.returncode}, {done.stderr.strip()}")
        self._check("second daemon: the first works on", self._works(), status())

    def socket(self) -> None:
        """One that a killed daemon has left is replaced without a word; what is none is left alone."""
        run("systemctl", "kill", "--signal=KILL", UNIT)
        until(lambda: "waiting for" in status() and shown("ActiveState")["ActiveState"] == "active", 60, "a restart")
        answers = run("voicebox", "status")
        self._check("killed: the socket is there again", answers.returncode == 0, answers.stdout.splitlines()[0])
        run("systemctl", "stop", UNIT)
        SOCKET.mkdir(parents=True)
        run("chown", "-R", "voicebox:", str(SOCKET.parent))
        self._restarted("socket already there", "is in the way of the control socket")
        run("systemctl", "stop", UNIT)
        run("rm", "-rf", str(SOCKET.parent))

    def _restarted(self, what: str, words: str, times: int = 1, *, works: bool = True) -> None:
        """The box starts, says so, and a press is answered."""
        mark = len(self._journal.records)
        self.start()
        self._warned(what, words, mark, times)
        if works:
            self._check(f"{what}: the box works on", self._works(), status())

    # --- permissions, disks

    def permission(self) -> None:
        chip = Path("/dev/gpiochip0")
        mode = chip.stat().st_mode
        chip.chmod(0o600)
        run("chown", "root:root", str(chip))
        self._restarted("no permission for the pins", "this user may not open it", 2, works=False)
        self._talks("no permission for the pins")
        chip.chmod(mode)
        run("chgrp", "voicebox", str(chip))
        SETTINGS.chmod(0o600)
        mark = len(self._journal.records)
        run("systemctl", "restart", UNIT)
        self._warned("settings it may not read: the last good ones", "may not read it; type:", mark)
        until(lambda: "waiting for" in status(), 60, "a box on its last good settings")
        SETTINGS.chmod(0o644)

    def _talks(self, what: str) -> None:
        """Without a button it is still reached over the socket."""
        mark = len(self._journal.records)
        said = run("voicebox", "say", "hello")
        self._journal.wait_for_phase("speaking", "ReplyAudio", after=mark, seconds=60)
        until(lambda: "waiting for" in status(), 120, "the end of the answer")
        self._check(f"{what}: the box works on", said.returncode == 0, "an answer to what was written was heard")

    def group(self) -> None:
        """What the user may not do for want of a group is waited for: the mend needs no restart of anything else."""
        run("gpasswd", "--delete", "voicebox", "audio")
        mark = len(self._journal.records)
        run("systemctl", "restart", "--no-block", UNIT)
        self._warned("missing group audio", "no microphone: ", mark)
        changed = run("voicebox", "config", "set", "conversation.listen_timeout_s", "29.0")
        self._check("meanwhile settings can be changed", "in effect now" in changed.stdout, changed.stdout.strip())
        reloaded = run("timeout", "5", "systemctl", "reload", UNIT)
        self._tell("systemctl reload meanwhile", f"status {reloaded.returncode} {reloaded.stderr.strip()}")
        run("gpasswd", "--add", "voicebox", "audio")
        self.start()
        self._check("the group again", self._works(), status())

    def full(self) -> None:
        """Nothing can be written: neither state nor settings. What there is stays."""
        with self._covered(STATE), self._covered(ETC):
            self.start()
            _fill(STATE)
            _fill(ETC)
            self._not_written("full disk", "No space left on device")

    def read_only(self) -> None:
        with self._read_only(STATE), self._read_only(ETC):
            self.start()
            self._not_written("read-only root", "Read-only file system")

    def _not_written(self, what: str, words: str) -> None:
        before, mark = SETTINGS.read_bytes(), len(self._journal.records)
        muted = run("voicebox", "mute")
        until(lambda: "muted" in status(), 10, "muted all the same")
        self._warned(f"{what}: state", words, mark)
        run("voicebox", "unmute")
        until(lambda: "waiting for" in status(), 20, "unmuted")
        changed = run("voicebox", "config", "set", "lights.brightness", "0.5")
        told = muted.returncode == 0 and changed.returncode != 0 and words in changed.stderr
        self._check(f"{what}: settings", told and SETTINGS.read_bytes() == before, changed.stderr.strip())
        stored = subprocess.run(
            ["voicebox", "secret", "set", "lira_token"], input="x", capture_output=True, text=True, check=False
        )
        self._check(f"{what}: secrets", stored.returncode != 0 and words in stored.stderr, stored.stderr.strip())
        self._check(f"{what}: the box works on", self._works(), status())

    @contextmanager
    def _covered(self, folder: Path) -> Iterator[None]:
        """A small disk with a copy of it lies over it."""
        run("systemctl", "stop", UNIT)
        copy = Path("/run/kept", folder.parent.name)
        copy.parent.mkdir(exist_ok=True)
        run("cp", "-a", str(folder), str(copy))
        with _mounted(folder, "-t", "tmpfs", "-o", "size=96k", "none"):
            run("cp", "-a", f"{copy}/.", str(folder))
            shutil.rmtree(copy)
            yield
            run("systemctl", "stop", UNIT)

    @contextmanager
    def _read_only(self, folder: Path) -> Iterator[None]:
        run("systemctl", "stop", UNIT)
        with _mounted(folder, "--bind", str(folder)):
            run("mount", "-o", "remount,bind,ro", str(folder))
            yield
            run("systemctl", "stop", UNIT)

    def no_chip(self) -> None:
        run("systemctl", "stop", UNIT)
        run("rig-gpio", "destroy")
        self._restarted("no GPIO chip", "there is no /dev/gpiochip0", 2, works=False)
        self._talks("no GPIO chip")
        run("systemctl", "stop", UNIT)
        run("rig-gpio", "create")


@contextmanager
def _mounted(folder: Path, *what: str) -> Iterator[None]:
    run("mount", *what, str(folder))
    try:
        yield
    finally:
        run("umount", "--lazy", str(folder))


def _fill(folder: Path) -> None:
    with (folder / "full").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            os.fsync(file.fileno())


PARTS = ("start", "refused", "pins", "second", "socket", "permission", "group", "full", "read_only", "no_chip")


def main() -> int:
    report = Report()
    with ExitStack() as stack:
        trouble = Trouble(report, stack)
        for part in sys.argv[1:] or PARTS:
            begun = time.monotonic()
            try:
                getattr(trouble, part)()
            except Missing as missing:
                report.check(part, False, str(missing))
                print(run("journalctl", "--no-pager", "--lines=40", f"--unit={UNIT}").stdout)
            report.tell(part, f"{time.monotonic() - begun:.0f} s")
    run("systemctl", "restart", UNIT)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
