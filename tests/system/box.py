"""The installed box as it is seen from outside, and the script that makes it."""

import subprocess
from pathlib import Path

from tests.system.versions import TREE

OPT = Path("/opt/voicebox")
ETC = Path("/etc/voicebox")
STATE = Path("/var/lib/voicebox")
UNIT = "voicebox.service"

Done = subprocess.CompletedProcess[str]


def run(*command: str | Path, tree: Path = TREE) -> Done:
    return subprocess.run([*map(str, command)], cwd=tree, capture_output=True, text=True, timeout=900, check=False)


def install(*arguments: str | Path, tree: Path = TREE) -> Done:
    return run(tree / "scripts" / "install", *arguments, tree=tree)


def upgrade_to(tree: Path) -> Done:
    return install("--wheels", tree / "wheels", tree=tree)


def words(done: Done) -> str:
    """The last line it said, for the report."""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return f"status {done.returncode}, {lines[-1] if lines else 'without a word'}"


def target(name: str) -> str:
    link = OPT / name
    return str(link.readlink()) if link.is_symlink() else "none"


def versions() -> list[str]:
    return sorted(path.name for path in OPT.iterdir() if not path.is_symlink()) if OPT.exists() else []


def shown(name: str) -> str:
    return run("systemctl", "show", f"--property={name}", "--value", UNIT).stdout.strip()


def as_user(*command: str) -> Done:
    return run(
        "setpriv",
        "--reuid=voicebox",
        "--regid=voicebox",
        "--init-groups",
        "env",
        "-i",
        "PATH=/usr/local/bin:/usr/bin",
        *command,
    )
