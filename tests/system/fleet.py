"""config/ansible/ against booted Debians, by scripts/fleet-check:
``python3 -m tests.system.fleet WORK WHEELS PORT BOX…``. They listen on PORT and those above it, one for each box.

A broker runs beside them. Prints a line for each thing that had to happen.
"""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.system.report import Report
from tests.system.versions import CRASHES, TREE, make, version_of

BROKER_PORT = 18830
USER, PASSWORD = "box", "canary-9f31-password"
OWN, NEXT, BROKEN, LATER = version_of(TREE), "90.0", "91.0", "92.0"
SETTINGS = f"""\
[audio]
backend = "wav" # there are no sound cards
[wake]
enabled = false
[button]
pin = false
[lights]
backend = "none"
[mqtt]
enabled = true
host = "127.0.0.1"
port = {BROKER_PORT}
username = "{USER}"
"""
Done = subprocess.CompletedProcess[str]


class Fleet:
    """The boxes, their broker, and the directory from which they are ruled."""

    def __init__(self, work: Path, wheels: Path, port: int, boxes: list[str]) -> None:
        self.work = work
        self.wheels = wheels
        self.boxes = boxes
        self.home = work / "fleet"
        self.output = ""
        self._ports = dict(zip(boxes, range(port, port + len(boxes)), strict=True))
        self._set_up()

    def _set_up(self) -> None:
        """As docs/fleet.md says: a copy of config/ansible with an inventory, settings and secrets of one's own."""
        shutil.copytree(TREE / "config" / "ansible", self.home)
        hosts = "".join(f"    {box}: {{ ansible_port: {port} }}\n" for box, port in self._ports.items())
        variables = {
            "ansible_host": "127.0.0.1",
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.work / "key"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        }
        lines = "".join(f'    {name}: "{value}"\n' for name, value in variables.items())
        (self.home / "inventory.yml").write_text(f"boxes:\n  hosts:\n{hosts}  vars:\n{lines}")
        (self.home / "settings" / "all.toml").write_text(SETTINGS)
        secrets = self.home / "group_vars" / "boxes" / "secrets.yml"
        secrets.write_text(f"voicebox_secrets:\n  mqtt_password: {PASSWORD}\n")
        (self.work / "vault").write_text("the vault's\n")
        self.run("ansible-vault", "encrypt", "--vault-password-file", str(self.work / "vault"), str(secrets))

    def broker(self) -> subprocess.Popen[bytes]:
        directory = self.work / "broker"
        directory.mkdir()
        self.run("mosquitto_passwd", "-b", "-c", str(directory / "users"), USER, PASSWORD)
        configuration = (
            f"listener {BROKER_PORT} 127.0.0.1\nallow_anonymous false\npassword_file {directory}/users\nuser root\n"
        )
        (directory / "conf").write_text(configuration)
        return subprocess.Popen(["mosquitto", "-c", directory / "conf"], stderr=subprocess.DEVNULL)

    def run(self, *command: str, cwd: Path | None = None) -> Done:
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=1500, check=False)

    def play(self, book: str = "boxes.yml", tree: Path = TREE, wheels: Path | None = None, *more: str) -> Done:
        """A playbook, as docs/fleet.md runs it; in four waves of which the last is two boxes."""
        places = (
            f'{{"voicebox_tree": "{tree}", "voicebox_wheels": "{wheels or self.wheels}", "voicebox_waves": [1, 1, 2]}}'
        )
        vault = ["--vault-password-file", str(self.work / "vault")]
        done = self.run("ansible-playbook", book, "--extra-vars", places, *vault, *more, cwd=self.home)
        self.output += done.stdout + done.stderr
        return done

    def on(self, box: str, command: str) -> str:
        """What a command prints there."""
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        address = ["-i", str(self.work / "key"), "-p", str(self._ports[box]), "root@127.0.0.1"]
        return self.run("ssh", *options, *address, command).stdout.strip()

    def reported(self) -> dict[str, str]:
        """Versions, as each box has told the broker; only of those that are there."""
        command = ["mosquitto_sub", "-p", str(BROKER_PORT), "-u", USER, "-P", PASSWORD, "-W", "3", "-v"]
        lines = self.run(*command, "-t", "voicebox/+/version", "-t", "voicebox/+/availability").stdout.splitlines()
        told = {tuple(line.split()[0].split("/")[1:]): line.split()[1] for line in lines}
        there = [box for box, what in told if what == "availability" and told[box, what] == "online"]
        return {box: told.get((box, "version"), "") for box in sorted(there)}

    def wait(self) -> None:
        """Until they have booted."""
        end = time.monotonic() + 120
        while [box for box in self.boxes if self.on(box, "echo there") != "there"] and time.monotonic() < end:
            time.sleep(1)


class Check:
    def __init__(self, report: Report, fleet: Fleet) -> None:
        self._check = report.check
        self._tell = report.tell
        self._fleet = fleet
        self._next = make(fleet.work / "next", fleet.wheels, NEXT)

    def _are(self, what: str, *versions: str) -> None:
        """What runs on each box, and what each has told the broker, which may take a moment."""
        fleet = self._fleet
        wanted = dict(zip(fleet.boxes, versions, strict=True))
        end = time.monotonic() + 30
        while (told := fleet.reported()) != wanted and time.monotonic() < end:
            time.sleep(1)
        running = {box: fleet.on(box, "voicebox --version").removeprefix("voicebox ") for box in fleet.boxes}
        self._check(what, told == wanted == running, f"the broker knows {told}")

    def _recap(self, done: Done, *, quietly: bool = False) -> str:
        """Counts of each box, and what Ansible says of those that failed."""
        lines = [" ".join(line.split()) for line in done.stdout.splitlines() if re.search(r" : ok=\d+", line)]
        for line in [] if quietly and not done.returncode else lines:
            self._tell("recap", re.sub(r" (skipped|rescued|ignored|unreachable)=0", "", line))
        for why in re.findall(r"^fatal: (.*?)(?=^\S|\Z)", done.stdout, re.MULTILINE | re.DOTALL):
            self._tell("fatal", " ".join(why.split())[:900])
        return f"status {done.returncode}, {sum('failed=0' not in line for line in lines)} failed"

    def make(self) -> None:
        fleet = self._fleet
        begun = time.monotonic()
        done = fleet.play()
        took = f"{time.monotonic() - begun:.0f} s"
        self._check("four new boxes", done.returncode == 0, f"{took}, {self._recap(done)}")
        self._are("each is called as in the inventory, runs, and reports to the broker", *[OWN] * 4)
        names = [fleet.on(box, "hostname") for box in fleet.boxes]
        self._check("host names", names == fleet.boxes, ", ".join(names))
        waves = re.findall(r"Packing|PLAY \[(Boxes)\]", done.stdout)
        self._check("in waves", len(waves) == 3, f"{len(waves)} waves for {len(fleet.boxes)} boxes")

    def again(self) -> None:
        done = self._fleet.play()
        changed = re.findall(r" changed=(\d+)", done.stdout)
        self._check(
            "again: nothing changes", done.returncode == 0 and set(changed) == {"0"}, self._recap(done, quietly=True)
        )

    def settings(self) -> None:
        """A file for one box: it takes it without a restart, the others are left alone."""
        fleet = self._fleet
        before = [fleet.on(box, "systemctl show --property=MainPID voicebox") for box in fleet.boxes]
        (fleet.home / "settings" / "hall.toml").write_text("[conversation]\nfollow_up_s = 3.0\n")
        done = fleet.play()
        shown = fleet.on("hall", "voicebox config show | grep follow_up_s")
        after = [fleet.on(box, "systemctl show --property=MainPID voicebox") for box in fleet.boxes]
        recap = re.findall(r"^(\w+) .* changed=([1-9])", done.stdout.partition("PLAY RECAP")[2], re.MULTILINE)
        self._check(
            "a setting of one box", "20-box.toml" in shown and before == after, f"{shown}; no box was restarted"
        )
        self._check("only that box was changed", [box for box, _ in recap] == ["hall"], str(recap))

    def upgrade(self) -> None:
        done = self._fleet.play("boxes.yml", self._next, self._next / "wheels")
        self._check("upgrade in waves", done.returncode == 0, self._recap(done))
        self._are(f"all have {NEXT}", *[NEXT] * 4)

    def broken(self) -> None:
        """The first box takes it back, and no other is touched."""
        fleet = self._fleet
        tree = make(fleet.work / "broken", fleet.wheels, BROKEN, CRASHES)
        before = [fleet.on(box, "systemctl show --property=MainPID voicebox") for box in fleet.boxes[1:]]
        done = fleet.play("boxes.yml", tree, tree / "wheels")
        told = "going back to version 90.0" in done.stdout
        self._check("a broken version stops at the first wave", done.returncode != 0 and told, self._recap(done))
        after = [fleet.on(box, "systemctl show --property=MainPID voicebox") for box in fleet.boxes[1:]]
        self._check("the other boxes did not notice", before == after, "the same processes run")
        self._are(f"all have {NEXT}, the first again", *[NEXT] * 4)

    def second_wave(self) -> None:
        """A good version that one box of the second wave does not accept."""
        fleet = self._fleet
        fleet.on("hall", "echo 'nonsense = 1' > /etc/voicebox/conf.d/99-mine.toml")
        tree = make(fleet.work / "later", fleet.wheels, LATER)
        done = fleet.play("boxes.yml", tree, tree / "wheels")
        told = "99-mine.toml:1" in done.stdout
        self._check("a wave that fails is the last", done.returncode != 0 and told, self._recap(done))
        self._are("the first wave has it, the others are as they were", LATER, NEXT, NEXT, NEXT)
        fleet.on("hall", "rm /etc/voicebox/conf.d/99-mine.toml")
        done = fleet.play("boxes.yml", tree, tree / "wheels")
        self._check("mended, it goes on", done.returncode == 0, self._recap(done, quietly=True))
        self._are(f"all have {LATER}", *[LATER] * 4)

    def back(self) -> None:
        done = self._fleet.play("roll-back.yml")
        self._check("roll-back.yml", done.returncode == 0, self._recap(done, quietly=True))
        self._are(f"all have {NEXT} again", *[NEXT] * 4)

    def secrets(self) -> None:
        """The password is where it belongs and nowhere else."""
        fleet = self._fleet
        found = [
            line
            for box in fleet.boxes
            for line in fleet.on(box, f"grep -rlF {PASSWORD} /etc /var /root /opt").splitlines()
        ]
        outside = [path for path in found if not path.startswith("/etc/voicebox/credentials/")]
        self._check(
            "the secret is in no other file of the boxes, nor in their journals", not outside, str(sorted(set(found)))
        )
        self._check("and in no output of Ansible's", PASSWORD not in fleet.output, f"{len(fleet.output)} characters")

    def run(self) -> None:
        for part in (
            self.make,
            self.again,
            self.settings,
            self.upgrade,
            self.broken,
            self.second_wave,
            self.back,
            self.secrets,
        ):
            part()


def main(work: str, wheels: str, port: str, *boxes: str) -> int:
    report = Report()
    fleet = Fleet(Path(work), Path(wheels), int(port), list(boxes))
    broker = fleet.broker()
    try:
        fleet.wait()
        Check(report, fleet).run()
    finally:
        broker.terminate()
        broker.wait()
        Path(work, "ansible.log").write_text(fleet.output)
    return report.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
