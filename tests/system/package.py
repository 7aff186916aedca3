"""The Debian package in a fresh Debian, as root: ``python3 -m tests.system.package STAGE``, by scripts/deb-check.

``unbooted``: no systemd runs, as when a card's image is made. ``booted``: it does, in the same system. The packages are
in /packages: ``now`` of this tree, ``next`` of version 90.0 with another comment in its settings.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

from tests.system.box import ETC, STATE, UNIT, Done, as_user, install, run, shown, words
from tests.system.report import Report, go_through
from tests.system.snapshot import differences, snapshot, walk
from tests.system.versions import TREE, version_of

PACKAGES = Path("/packages")
LIB = Path("/usr/lib/voicebox")
SNAPSHOT = Path("/packages/before.json")
OWN = version_of(TREE)
NEXT = "90.0"
SETTINGS = '[audio]\nbackend = "wav" # there is no sound card\n[button]\npin = false\n[lights]\nbackend = "none"\n'
OF_THE_PI = ("python3-lgpio",)
"""Only Raspberry Pi OS has these."""
KEEP = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")


def package(which: str) -> Path:
    return next((PACKAGES / which).glob("*.deb"))


def apt(*arguments: str | Path) -> Done:
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    return run("apt-get", "-qq", "-y", "--allow-downgrades", *KEEP, *arguments)


def of_package(name: str) -> str:
    return run("dpkg-deb", "--field", package("now"), name).stdout.strip()


def state() -> str:
    """As dpkg has it: ``ii``, ``rc``, or nothing."""
    return run("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", "voicebox").stdout.strip()


class Check:
    """The parts in their order; each checks what it saw."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._check = report.check

    # --- no systemd runs

    def needs(self) -> None:
        """What the package needs stays after it is purged, so it comes before the snapshot."""
        run("apt-get", "-qq", "update")
        recommended = [name for name in of_package("Recommends").split(", ") if name not in OF_THE_PI]
        done = apt("satisfy", ", ".join([of_package("Depends"), *recommended]))
        self._check("what it needs can be had from Debian", done.returncode == 0, of_package("Depends"))
        self._report.tell("the package", f"{package('now').name}, {package('now').stat().st_size >> 20} MB")
        SNAPSHOT.write_text(json.dumps(snapshot()))

    def beside(self) -> None:
        """A box made by scripts/install."""
        link = Path("/opt/voicebox/current")
        link.parent.mkdir()
        link.symlink_to(OWN)
        done = apt("install", package("now"))
        told = "sudo /opt/voicebox/current/tree/scripts/install --uninstall" in done.stdout + done.stderr
        seen = f"status {done.returncode}, it says what to do: {told}, in the system: {LIB.exists()}"
        self._check("beside a box of scripts/install it is refused", told and not LIB.exists(), seen)
        shutil.rmtree(link.parent)
        self._clean("and leaves nothing")

    def fresh(self) -> None:
        begun = time.monotonic()
        done = apt("install", package("now"))
        self._check("install", done.returncode == 0, f"{time.monotonic() - begun:.0f} s, {words(done)}")
        version, settings = as_user("voicebox", "--version"), as_user("voicebox", "check")
        self._check("voicebox --version", version.stdout.strip() == f"voicebox {OWN}", version.stdout.strip())
        self._check("voicebox check", settings.returncode == 0, words(settings))
        enabled = run("systemctl", "is-enabled", UNIT, "voicebox-shutdown.path").stdout.split()
        self._check("no systemd: enabled, not started", enabled == ["enabled", "enabled"], " ".join(enabled))
        conffiles = run("dpkg-query", "--show", "--showformat=${Conffiles}", "voicebox").stdout.split()[::2]
        self._check("its conffile", conffiles == ["/etc/voicebox/voicebox.toml"], " ".join(conffiles))
        demo = run("setpriv", "--reuid=nobody", "--clear-groups", "voicebox", "demo", "--fast", "--output", "/tmp/demo")  # noqa: S108  # nobody's only place
        self._check("voicebox demo --fast holds its conversation", demo.returncode == 0, words(demo))
        self._places()
        other = install()
        told = "sudo apt-get remove voicebox" in other.stderr
        self._check("scripts/install is refused beside it", other.returncode == 1 and told, words(other))

    def _places(self) -> None:
        modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in (ETC, ETC / "credentials", STATE)}
        seen = ", ".join(f"{path} {mode:o}" for path, mode in modes.items())
        self._check("modes", list(modes.values()) == [0o755, 0o700, 0o700] and STATE.owner() == "voicebox", seen)
        loose = [p for p in walk(LIB) if not p.is_symlink() and (p.stat().st_uid != 0 or p.stat().st_mode & 0o022)]
        self._check("only root may write the program", not loose, f"{len(loose)} files others may write")

    def purge(self) -> None:
        done = apt("purge", "voicebox")
        self._check("purge", done.returncode == 0 and not state(), words(done))
        self._clean("nothing is left of it")

    def _clean(self, what: str) -> None:
        left = differences(json.loads(SNAPSHOT.read_text()), snapshot())
        self._check(what, not left, ", ".join(left[:10]) or "every file is as it was, but for Debian's packages")

    def again(self) -> None:
        """For the boot to come, with the settings of this machine."""
        done = apt("install", package("now"))
        self._check("install again", done.returncode == 0, words(done))
        (ETC / "conf.d" / "machine.toml").write_text(SETTINGS)

    # --- systemd runs

    def boots(self) -> None:
        self._running("it starts with the system", OWN)
        verified = run("systemd-analyze", "verify", "--man=no", shown("FragmentPath"))
        complaints = verified.stdout + verified.stderr
        self._check(
            "systemd-analyze verify", not complaints, complaints or f"nothing to say of {shown('FragmentPath')}"
        )
        self._report.tell("systemd", run("systemctl", "--version").stdout.splitlines()[0])

    def _running(self, what: str, version: str, seconds: float = 60) -> None:
        """The service is active, its program the package's, and answers."""
        end = time.monotonic() + seconds
        while shown("ActiveState") != "active" and time.monotonic() < end:
            time.sleep(0.5)
        answer = run("voicebox", "status", "--json")
        told = json.loads(answer.stdout).get("version") if answer.returncode == 0 else words(answer)
        program = Path(f"/proc/{shown('MainPID')}/cmdline").read_text().split("\0")
        good = told == version and str(LIB / "bin" / "voicebox") in program
        self._check(what, good, f"{shown('ActiveState')}, {shown('StatusText')}, version {told}")

    def secrets(self) -> None:
        command = ["voicebox", "secret", "set", "lira_token"]
        stored = subprocess.run(command, input="seen nowhere", text=True, check=False)
        run("systemctl", "restart", UNIT)
        self._running("it starts with a secret", OWN)
        handed = [path.name for path in Path("/run/credentials", UNIT).iterdir()]
        good = stored.returncode == 0 and any("lira_token" in name for name in handed)
        self._check("the service is handed it", good, ", ".join(handed))

    def upgrade(self) -> None:
        with (ETC / "voicebox.toml").open("a") as mine:
            mine.write("# mine\n")
        done = apt("install", package("next"))
        self._check("upgrade", done.returncode == 0, words(done))
        self._running("the new version runs", NEXT)
        mine_kept = "# mine" in (ETC / "voicebox.toml").read_text()
        beside = [path.name for path in ETC.glob("voicebox.toml.dpkg-*")]
        self._check("settings are not overwritten", mine_kept, f"mine is kept, the new one is in {', '.join(beside)}")
        self._check("secrets stay", any(ETC.glob("credentials*/lira_token")), "lira_token is there")

    def wrong(self) -> None:
        """Settings that a version does not accept: it says so, and the box goes on with the last good ones."""
        file = ETC / "conf.d" / "wrong.toml"
        file.write_text("nonsense = 1\n")
        done = apt("install", "--reinstall", package("next"))
        told = "wrong.toml:1" in done.stdout + done.stderr
        self._check("wrong settings are told", done.returncode == 0 and told, f"status {done.returncode}, told: {told}")
        self._running("and it runs on with the last good ones", NEXT)
        file.unlink()

    def back(self) -> None:
        done = apt("install", package("now"))
        self._check("back to the version before", done.returncode == 0, words(done))
        self._running("it runs", OWN)

    def disabled(self) -> None:
        run("systemctl", "disable", "--now", UNIT)
        done = apt("install", package("next"))
        seen = (shown("ActiveState"), run("systemctl", "is-enabled", UNIT).stdout.strip())
        good = done.returncode == 0 and seen == ("inactive", "disabled")
        self._check("a disabled service stays as it is", good, f"{seen}, {words(done)}")
        run("systemctl", "enable", "--now", UNIT)
        self._running("and can be enabled again", NEXT)
        path = run("systemctl", "is-active", "voicebox-shutdown.path").stdout.strip()
        self._check("the button's shutdown was not disabled", path == "active", path)

    def remove(self) -> None:
        done = apt("remove", "voicebox")
        kept = (ETC / "voicebox.toml").exists() and STATE.exists() and not LIB.exists()
        self._check("remove keeps settings and state", done.returncode == 0 and kept and state() == "rc", words(done))
        gone = (shown("LoadState"), run("pgrep", "-x", "voicebox").stdout)
        self._check("systemd knows it no more", gone == ("not-found", ""), gone[0])

    def leave(self) -> None:
        done = apt("purge", "voicebox")
        self._check("purge of what was removed", done.returncode == 0 and not state(), words(done))
        self._clean("nothing is left of it")
        user = run("getent", "passwd", "voicebox").stdout + run("getent", "group", "voicebox").stdout
        self._check("nor its user", not user, user or "gone")


STAGES = {
    "unbooted": "needs beside fresh purge again",
    "booted": "boots secrets upgrade wrong back disabled remove leave",
}


if __name__ == "__main__":
    sys.exit(go_through(STAGES[sys.argv[1]], Check))
