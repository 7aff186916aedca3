"""What an owner does to the installed box, in the virtual machine, as root: ``python -m tests.system.owner``.

The mute switch, settings good and bad, secrets that change, a daemon that hangs. Prints a line for each thing that had
to happen, with what was seen; the exit status is 1 if one of them did not.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.system.bench import BUTTON, UNIT, Journal, Line, Missing, run, shown, tap
from tests.system.report import Report

SWITCH = 22
SETTINGS = Path("/etc/voicebox/voicebox.toml")
MICROPHONE = Path("/proc/asound/MicLoop/pcm0c/sub0/status")
SEALED = Path("/etc/voicebox/credentials.sealed/lira_token")
PLAIN = Path("/etc/voicebox/credentials/lira_token")
PORT = "7788"
WATCHDOG_LIMIT = 90.0
"""Seconds from the hang to a box that is ready again: 30 until systemd notices, 5 until it kills, the rest to start."""


def status() -> str:
    return shown("StatusText")["StatusText"]


def until(happened: Callable[[], object], seconds: float, what: str) -> float:
    """Ask again and again; returns how long it took. Raises Missing."""
    begun = time.monotonic()
    while not happened():
        if time.monotonic() - begun > seconds:
            raise Missing(f"{what}: not within {seconds:.0f} s (status: {status()})")
        time.sleep(0.1)  # between two questions; the deadline decides
    return time.monotonic() - begun


def captures() -> bool:
    return "RUNNING" in MICROPHONE.read_text()


class Owner:
    def __init__(self, report: Report, stack: ExitStack) -> None:
        self._report = report
        self._check = report.check
        self._stack = stack
        self._button, self._switch = Line(BUTTON), Line(SWITCH)
        self._journal = Journal()
        stack.callback(self._journal.close)
        self._pid = ""

    def start(self) -> None:
        run("systemctl", "start", UNIT)
        until(lambda: "waiting for" in status(), 60, "a box that is ready")
        self._pid = shown("MainPID")["MainPID"]

    def _same(self, what: str) -> None:
        pid = shown("MainPID")["MainPID"]
        self._check(f"{what}: the same process", pid == self._pid, f"process {pid}")

    def _set(self, key: str, value: str) -> str:
        done = run("voicebox", "config", "set", key, value)
        if done.returncode:
            raise Missing(f"config set {key}: {done.stdout}{done.stderr}")
        return done.stdout.strip().splitlines()[-1]

    def mute_switch(self) -> None:
        said = self._set("mute_switch.pin", str(SWITCH))
        self._check("config set takes effect live", said.endswith("in effect now"), said)
        self._switch.pull("down")
        seconds = until(lambda: "muted, microphone closed" in status(), 20, "muted by the switch")
        until(lambda: not captures(), 10, "the capture device closed")
        self._check("mute switch closes the capture device", True, f"after {seconds:.1f} s: {_state()}")
        refused = run("voicebox", "unmute")
        self._check("software cannot unmute", refused.returncode != 0, refused.stderr.strip())
        self._switch.pull("up")
        seconds = until(captures, 20, "the capture device open again")
        until(lambda: "waiting for" in status(), 20, "a box that listens")
        self._check("opening the switch opens it again", True, f"after {seconds:.1f} s: {_state()}")
        self._same("mute switch")

    def bad_settings(self) -> None:
        good = SETTINGS.read_text()
        SETTINGS.write_text(good + "\n[wake\n")
        run("systemctl", "reload", UNIT)
        until(lambda: "last good" in status(), 20, "a refusal of bad settings")
        self._check("a bad reload is refused and said", True, status())
        self._same("bad reload")
        run("systemctl", "restart", UNIT)
        until(lambda: "waiting for" in status() and "last good" in status(), 60, "a start on the last good settings")
        self._check("it starts on the last good settings", True, shown("ActiveState")["ActiveState"])
        self._pid = shown("MainPID")["MainPID"]
        SETTINGS.write_text(good)
        run("systemctl", "reload", UNIT)
        until(lambda: "last good" not in status(), 20, "the mended settings")
        self._check("mended settings are taken", True, status())

    def good_settings(self) -> None:
        said = self._set("session.keep_warm_s", "0.5")
        self._check("what cannot change live is taken when idle", "session" in said, said)
        until(lambda: "waiting for" in status(), 30, "a box put together anew")
        self._same("good reload")

    def secrets(self) -> None:
        meeting, token = self._serve()
        wrong = "x" * len(token)
        self._store(wrong)
        for key, value in (("url", f"ws://127.0.0.1:{PORT}/lira/v1/ws"), ("allow_plain", "true")):
            self._set(f"lira.{key}", value)
        self._set("lira.meeting_id", meeting)
        self._set("service", "lira")
        until(lambda: "waiting for" in status(), 30, "a box with another service")
        tap(self._button)
        until(lambda: "refused" in status(), 40, "a refusal of the wrong token")
        self._check("a wrong token is refused and said", True, status())
        self._store(token)
        self._converse("the next dial uses the new secret")
        self._same("a new secret")
        run("systemctl", "restart", UNIT)
        until(lambda: "waiting for" in status(), 60, "a restarted box")
        self._converse("systemd hands it over at the next start")
        self._pid = shown("MainPID")["MainPID"]
        journal = run("journalctl", "--no-pager", f"--unit={UNIT}").stdout
        self._check("no secret in the journal", wrong not in journal and token not in journal, "looked for both")
        self._set("service", "simulator")
        run("voicebox", "secret", "rm", "lira_token")
        left = [str(path) for path in (SEALED, PLAIN) if path.exists()]
        self._check("secret rm leaves nothing", not left, ", ".join(left) or "nothing")

    def _serve(self) -> tuple[str, str]:
        """A service that asks for a token; returns the meeting's id and the token."""
        program = subprocess.Popen(
            ["voicebox", "simulate", "--port", PORT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._stack.callback(program.wait)
        self._stack.callback(program.terminate)
        assert program.stdout is not None
        told = ""
        for line in program.stdout:
            told += line
            if found := re.search(r'meeting_id = "(.*?)".*VOICEBOX_LIRA_TOKEN=(\S+)', told, re.DOTALL):
                return found[1], found[2]
        raise Missing(f"a service: {told}")

    def _store(self, secret: str) -> None:
        done = subprocess.run(
            ["voicebox", "secret", "set", "lira_token"],
            input=secret,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        file = SEALED if SEALED.exists() else PLAIN
        mode = file.stat().st_mode & 0o777 if file.exists() else 0
        hidden = done.returncode == 0 and mode == 0o600 and (file is PLAIN or secret.encode() not in file.read_bytes())
        self._check("secret set", hidden, f"{done.stdout.strip()} ({file}, mode {mode:o}) {done.stderr.strip()}")

    def _converse(self, what: str) -> None:
        mark = len(self._journal.records)
        tap(self._button)
        self._journal.wait_for_phase("listening", "SessionReady", after=mark, seconds=40)
        self._check(what, True, status())
        tap(self._button)
        until(lambda: "waiting for" in status(), 20, "the end of a conversation")

    def watchdog(self) -> None:
        before = int(shown("NRestarts")["NRestarts"])
        os.kill(int(self._pid), signal.SIGSTOP)
        seconds = until(
            lambda: int(shown("NRestarts")["NRestarts"]) > before, WATCHDOG_LIMIT, "a restart by the watchdog"
        )
        self._check("the watchdog ends a daemon that hangs", True, f"restarted after {seconds:.0f} s")
        seconds = until(lambda: "waiting for" in status(), 60, "a box that is ready again")
        self._check("and it is ready again", True, f"after {seconds:.0f} s more: {status()}")
        self._pid = shown("MainPID")["MainPID"]

    def stop(self) -> None:
        run("systemctl", "stop", UNIT)
        tracebacks = [r for r in self._journal.records if "Traceback" in str(r.get("MESSAGE"))]
        self._check(
            "no traceback in the journal", not tracebacks, str(tracebacks[0]["MESSAGE"]) if tracebacks else "none"
        )


def _state() -> str:
    return MICROPHONE.read_text().splitlines()[0]


def main() -> int:
    report = Report()
    with ExitStack() as stack:
        try:
            owner = Owner(report, stack)
            for part in (owner.start, owner.mute_switch, owner.bad_settings, owner.good_settings, owner.secrets):
                part()
            owner.watchdog()
            owner.stop()
        except Missing as missing:
            report.check("the day goes on", False, str(missing))
            print(run("journalctl", "--no-pager", "--lines=60", f"--unit={UNIT}").stdout)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
