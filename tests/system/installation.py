"""scripts/install in a fresh Debian, as root: ``python3 -m tests.system.installation STAGE``.

``unbooted``: no systemd runs, as when a card's image is made. ``booted``: it does. scripts/install-check runs both, one
after the other, in the same system. ``machine``: in the virtual machine, after a day (scripts/vm-check). Needs nothing
but Python. Prints a line for each thing that had to happen.
"""

import grp
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.box import (
    ETC,
    OPT,
    STATE,
    UNIT,
    as_user,
    install,
    run,
    shown,
    target,
    upgrade_to,
    versions,
    words,
)
from tests.system.report import Report, go_through
from tests.system.snapshot import differences, snapshot, walk
from tests.system.versions import CRASHES, DEAF, HANGS, TREE, make, version_of

WORK = Path("/check")
WHEELS = WORK / "wheels"
SNAPSHOT = WORK / "before.json"
LGPIO = Path("/usr/lib/python3/dist-packages/lgpio.py")
THE_MACHINES = Path("/run/systemd/system")
"""Where the virtual machine has a drop-in of its own for the unit."""
OWN = version_of(TREE)
SETTINGS = """\
[audio]
backend = "wav" # there is no sound card
[button]
pin = false
[lights]
backend = "none"
"""


class Check:
    """The parts in their order; each checks what it saw."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._check = report.check

    # --- no systemd runs

    def refusals(self) -> None:
        """What is said where it cannot be installed; and that nothing was done."""
        before = snapshot()
        dry = install("--dry-run")
        lines = dry.stdout.splitlines()
        self._check("--dry-run lists its steps", dry.returncode == 0 and len(lines) > 20, f"{len(lines)} lines")
        refused = run("setpriv", "--reuid=nobody", "--clear-groups", TREE / "scripts" / "install")
        self._check("not as root", refused.returncode == 1 and "sudo" in refused.stderr, words(refused))
        run("mount", "-t", "tmpfs", "-o", "size=200M", "none", "/opt")
        full = install()
        run("umount", "/opt")
        self._check("no room", full.returncode == 1 and "MB left" in full.stderr, words(full))
        with Path("/run/os-release").open("w") as other:
            other.write('ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\n')
        old = run("env", "OS_RELEASE=/run/os-release", TREE / "scripts" / "install")
        self._check("a Debian that is too old", old.returncode == 1 and "bullseye" in old.stderr, words(old))
        changed = differences(before, snapshot())
        self._check("all that changed nothing", not changed, ", ".join(changed) or "nothing differs")

    def packages(self) -> None:
        """Debian's packages stay after an uninstall, so they come before the snapshot."""
        load = "source scripts/_lib.sh; source scripts/_box.sh"
        done = run("bash", "-c", f'set -eu; {load}; install_packages; need_packages "${{BUILD_PACKAGES[@]}}"')
        self._check("Debian's packages", done.returncode == 0, words(done))
        WORK.mkdir(parents=True)
        LGPIO.write_text("there = True\n")
        SNAPSHOT.write_text(json.dumps(snapshot()))

    def fresh(self) -> None:
        begun = time.monotonic()
        done = install()
        took = f"{time.monotonic() - begun:.0f} s"
        self._check("install, building from the tree", done.returncode == 0, f"{took}, {words(done)}")
        self._check(
            "the version is there", (target("current"), versions()) == (OWN, [OWN]), f"current -> {target('current')}"
        )
        self._check("no systemd, and it says so", "systemd does not run here" in done.stderr, target("current"))
        self._places()
        version, settings = as_user("voicebox", "--version"), as_user("voicebox", "check")
        self._check(
            "voicebox --version as user voicebox", version.stdout.strip() == f"voicebox {OWN}", version.stdout.strip()
        )
        self._check("voicebox check as user voicebox", settings.returncode == 0, words(settings))
        driver = as_user("/opt/voicebox/current/bin/python", "-c", "import lgpio; print(lgpio.there)")
        self._check("the pins' driver of the system is used", driver.stdout == "True\n", words(driver))
        shutil.copytree("/var/cache/voicebox/wheels", WHEELS)

    def _places(self) -> None:
        """Who owns what, and who may read it."""
        wanted = {
            ETC: ("root", "root", 0o755),
            ETC / "voicebox.toml": ("root", "root", 0o644),
            ETC / "sounds": ("root", "root", 0o755),
            ETC / "credentials": ("root", "root", 0o700),
            STATE: ("voicebox", "voicebox", 0o700),
            OPT / OWN / "bin" / "voicebox": ("root", "root", 0o755),
        }
        seen = {}
        for path in wanted:
            status = path.stat()
            owner, group = pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
            seen[path] = (owner, group, stat.S_IMODE(status.st_mode))
        self._check(
            "owners and modes", seen == wanted, ", ".join(f"{p} {o}:{g} {m:o}" for p, (o, g, m) in seen.items())
        )
        groups = [group.gr_name for group in grp.getgrall() if "voicebox" in group.gr_mem]
        self._check(
            "groups of the user voicebox",
            groups == ["audio"],
            str(groups),
        )
        rule = Path("/etc/udev/rules.d/60-voicebox.rules").read_text()
        self._check(
            "Debian has no groups gpio and spi: a rule",
            rule.count('GROUP="voicebox"') == 2,
            f"{len(rule.splitlines())} lines",
        )
        loose = [p for p in walk(OPT) if not p.is_symlink() and (p.stat().st_uid != 0 or p.stat().st_mode & 0o022)]
        self._check("only root may write the program", not loose, f"{len(loose)} files others may write")

    def purge(self) -> None:
        (STATE / "usage.json").write_text("{}")
        kept = install("--uninstall")
        there = (ETC / "voicebox.toml").exists() and (STATE / "usage.json").exists() and not OPT.exists()
        self._check("--uninstall keeps settings and state", kept.returncode == 0 and there, words(kept))
        purged = install("--uninstall", "--purge")
        self._check("--uninstall --purge", purged.returncode == 0, words(purged))
        self.clean()

    def clean(self) -> None:
        left = differences(json.loads(SNAPSHOT.read_text()), snapshot())
        self._check(
            "nothing is left of it",
            not left,
            ", ".join(left[:10]) or "every file is as it was, but for Debian's packages",
        )

    def offline(self) -> None:
        """For the boot to come, with the settings of this machine."""
        done = run("unshare", "--net", TREE / "scripts" / "install", "--wheels", WHEELS)
        self._check("install from wheels, without a network", done.returncode == 0, words(done))
        (ETC / "conf.d" / "machine.toml").write_text(SETTINGS)

    # --- systemd runs

    def boots(self) -> None:
        self._running("it starts with the system", OWN)
        status = run("systemctl", "status", "--no-pager", UNIT).stdout
        line = next((line.strip() for line in status.splitlines() if "Status:" in line), "no such line")
        self._check("systemctl status says what it is doing", "waiting for" in line, line)
        verified = run("systemd-analyze", "verify", "--man=no", shown("FragmentPath"))
        complaints = verified.stdout + verified.stderr
        self._check(
            "systemd-analyze verify", verified.returncode == 0 and not complaints, complaints or "nothing to say"
        )
        self._report.tell("systemd", run("systemctl", "--version").stdout.splitlines()[0])
        self._report.tell(
            "exposure", run("systemd-analyze", "security", "--no-pager", UNIT).stdout.splitlines()[-1].strip("→ ")
        )

    def _running(self, what: str, version: str, seconds: float = 60) -> None:
        """The service is active and its program is that of this version."""
        end = time.monotonic() + seconds
        while (state := shown("ActiveState")) != "active" and time.monotonic() < end:
            time.sleep(0.5)
        pid = shown("MainPID") if state == "active" else "self"
        good = f"/opt/voicebox/{version}/" in Path(f"/proc/{pid}/cmdline").read_text() and target("current") == version
        seen = f"{state}, {shown('StatusText')}, current -> {target('current')}, versions {versions()}"
        self._check(what, good, seen)

    def secrets(self) -> None:
        """Stored, sealed where that works, and handed to the service when it starts."""
        stored = subprocess.run(
            ["voicebox", "secret", "set", "lira_token"], input="seen nowhere", text=True, check=False
        )
        files = [*ETC.glob("credentials*/lira_token")]
        modes = [f"{path} {stat.S_IMODE(path.stat().st_mode):o}" for path in files]
        self._check("voicebox secret set", stored.returncode == 0 and len(files) == 1, ", ".join(modes))
        run("systemctl", "restart", UNIT)
        self._running("it starts with a secret", OWN)
        handed = sorted(path.name for path in Path("/run/credentials", UNIT).iterdir())
        self._check("the service is handed it", any("lira_token" in name for name in handed), ", ".join(handed))
        answers = run("voicebox", "status")
        self._check("voicebox status reaches it", answers.returncode == 0, words(answers))
        files[0].unlink()

    def doctor(self) -> None:
        """It examines as the service's user, and the service it stopped for that runs again."""
        done = run("voicebox", "doctor", "--yes", "--json")
        found = json.loads(done.stdout or "{}").get("findings", [])
        said = {row["check"]: row["text"] for row in found}
        self._check(
            "voicebox doctor looks at everything", len(said) == 7, f"status {done.returncode}, {', '.join(said)}"
        )
        self._check("as the service's user", "user voicebox" in done.stderr, words(done))
        self._running("and the service runs again", OWN)

    def button(self) -> None:
        """Of the machine's being switched off only the last step is left out."""
        override = Path("/etc/systemd/system/voicebox-shutdown.service.d/here.conf")
        override.parent.mkdir()
        override.write_text("[Service]\nExecStart=\nExecStart=rm /run/voicebox/shut-down\nExecStart=touch /run/off\n")
        run("systemctl", "daemon-reload")
        as_user("touch", "/run/voicebox/shut-down")
        self._wait(Path("/run/off").exists, 10)
        self._check("a button can switch the machine off", Path("/run/off").exists(), "the unit for it was started")
        shutil.rmtree(override.parent)

    def disabled(self) -> None:
        """What its owner has switched off stays off."""
        run("systemctl", "disable", "--now", UNIT)
        done = install("--wheels", WHEELS)
        state = (shown("ActiveState"), run("systemctl", "is-enabled", UNIT).stdout.strip())
        self._check("a disabled service stays as it is", state == ("inactive", "disabled"), f"{state}, {words(done)}")
        run("systemctl", "enable", "--now", UNIT)
        self._running("and can be enabled again", target("current"))

    def again(self) -> None:
        """The same version once more, as after a git pull that did not change its number."""
        settings = (ETC / "conf.d" / "machine.toml").read_text()
        with (ETC / "voicebox.toml").open("a") as mine:
            mine.write("# mine\n")
        done = install("--wheels", WHEELS)
        self._check("the same version again", done.returncode == 0, words(done))
        self._running("it runs from a directory of its own", f"{OWN}-2")
        kept = (
            "# mine" in (ETC / "voicebox.toml").read_text()
            and settings == (ETC / "conf.d" / "machine.toml").read_text()
        )
        self._check("settings are not overwritten", kept, "as they were")

    def upgrade(self) -> None:
        before = target("current")
        done = upgrade_to(make(WORK / "next", WHEELS, "90.0"))
        self._check("upgrade", done.returncode == 0, words(done))
        self._running("the new version runs", "90.0")
        good = target("previous") == before and versions() == sorted([before, "90.0"])
        self._check("the one before is kept, older ones are gone", good, f"previous -> {before}, {versions()}")

    def power_cut(self) -> None:
        """In the midst of it, and a second one meanwhile."""
        tree = make(WORK / "cut", WHEELS, "91.0")
        process = self._begin(tree)
        self._wait(lambda: any((OPT / "91.0").glob("lib/python3*/site-packages/*")))
        second = upgrade_to(tree)
        self._check(
            "a second one at the same time", second.returncode == 1 and "another" in second.stderr, words(second)
        )
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._wait(lambda: not _lives(process.pid))  # its helpers hold the lock until they have ended, too
        self._running("killed in the midst: the old one runs", "90.0")
        done = upgrade_to(tree)
        self._check("what was left is removed", done.returncode == 0 and "interrupted" in done.stderr, words(done))
        self._running("and it is upgraded", "91.0")

    def _begin(self, tree: Path) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [tree / "scripts" / "install", "--wheels", tree / "wheels"]
        return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _wait(self, happened: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not happened() and time.monotonic() < end:
            time.sleep(0.05)

    def crashes(self) -> None:
        before = target("current")
        begun = time.monotonic()
        done = upgrade_to(make(WORK / "crashes", WHEELS, "92.0", CRASHES))
        took = f"{time.monotonic() - begun:.0f} s"
        told = "broken on purpose" in done.stderr and "version 92.0 was not installed" in done.stderr
        good = done.returncode == 1 and told
        self._check("a version that crashes is taken back, and why is said", good, f"{took}, {words(done)}")
        self._running("the old one runs", before)
        left = f"previous -> {target('previous')}, {versions()}"
        self._check("of the new one nothing is left", "92.0" not in versions(), left)

    def deaf(self) -> None:
        before = target("current")
        done = upgrade_to(make(WORK / "deaf", WHEELS, "94.0", DEAF))
        told = "deaf on purpose" in done.stderr and "version 94.0 was not installed" in done.stderr
        self._check("a version that has lost the microphone is taken back", done.returncode == 1 and told, words(done))
        self._running("the old one runs", before)

    def hangs(self) -> None:
        before = target("current")
        tree = make(WORK / "hangs", WHEELS, "93.0", HANGS)
        begun = time.monotonic()
        done = upgrade_to(tree)
        took = time.monotonic() - begun
        good = done.returncode == 1 and took > 90
        self._check("a version that is not ready in 90 s is taken back", good, f"{took:.0f} s, {words(done)}")
        self._running("the old one runs", before)
        process = self._begin(tree)
        self._wait(lambda: target("current") == "93.0" and shown("ActiveState") == "activating")
        os.killpg(process.pid, signal.SIGINT)
        status = process.wait(timeout=120)
        self._running(f"Ctrl-C while it is tried (status {status}): the old one runs", before)

    def settings(self) -> None:
        before, there = target("current"), versions()
        file = ETC / "conf.d" / "wrong.toml"
        file.write_text("nonsense = 1\n")
        done = install("--wheels", WHEELS)
        file.unlink()
        told = "does not accept" in done.stderr and "wrong.toml:1" in done.stderr
        self._check("settings the new version does not accept", done.returncode == 1 and told, words(done))
        self._running("nothing was changed", before)
        self._check("of the new version nothing is left", versions() == there, str(versions()))

    def roll_back(self) -> None:
        later, earlier = target("current"), target("previous")
        done = install("--roll-back")
        self._check("--roll-back", done.returncode == 0, words(done))
        self._running("the version before runs", earlier)
        done = run("/opt/voicebox/current/tree/scripts/install", "--roll-back")
        self._check("and forth again, by the installed script", done.returncode == 0, words(done))
        self._running("the later version runs", later)

    def bare(self) -> None:
        """The virtual machine, in which it has been installed already."""
        WORK.mkdir()
        shutil.copytree(TREE / "wheels", WHEELS)
        run("systemctl", "start", UNIT)
        self._running("it runs", OWN)

    def leave(self) -> None:
        done = run("/opt/voicebox/current/tree/scripts/install", "--uninstall", "--purge")
        self._check("--uninstall --purge, by the installed script", done.returncode == 0, words(done))
        gone = (shown("LoadState"), run("pgrep", "-x", "voicebox").stdout)
        self._check("systemd knows it no more", gone == ("not-found", ""), gone[0])
        names = [path for path in map(Path, ("/etc", "/opt", "/usr/local", "/var", "/run")) for path in walk(path)]
        left = [str(path) for path in names if "voicebox" in str(path) and not path.is_relative_to(THE_MACHINES)]
        user = run("getent", "passwd", "voicebox").returncode == 0 or run("getent", "group", "voicebox").returncode == 0
        seen = ", ".join(left) or f"nothing is called so; the user is {'there' if user else 'gone'}"
        self._check("no file and no user of its name", not left and not user, seen)


def _lives(group: int) -> bool:
    """Whether any process of this process group does."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


STAGES = {
    "unbooted": "refusals packages fresh purge offline",
    "booted": "boots secrets doctor button again upgrade power_cut crashes deaf hangs settings roll_back disabled "
    "leave clean",
    "machine": "bare upgrade crashes roll_back leave",
}


if __name__ == "__main__":
    sys.exit(go_through(STAGES[sys.argv[1]], Check))
