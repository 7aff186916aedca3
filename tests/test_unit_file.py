"""systemd/voicebox.service: accepted without a word by systemd, safe, and agreeing with the code."""

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from voicebox import errors
from voicebox.errors import AuthError, ConfigError, VoiceboxError
from voicebox.inputs import SHUT_DOWN
from voicebox.settings.sealed import PLAIN, PREFIX, SEALED

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "systemd" / "voicebox.service"
UNITS = ["voicebox.service", "voicebox-shutdown.path", "voicebox-shutdown.service"]
PROGRAM = "/opt/voicebox/current/bin/voicebox"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)


def analyze(directory: Path, *arguments: str, also: str = "") -> subprocess.CompletedProcess[str]:
    """Run on copies whose program exists: that the box is not installed here is no fault of the units."""
    for unit in map(UNIT.with_name, UNITS):
        text = unit.read_text()
        assert unit != UNIT or PROGRAM in text
        (directory / unit.name).write_text(text.replace(PROGRAM, "/bin/true"))
    command = ["systemd-analyze", *arguments, *(str(directory / name) for name in (UNIT.name, also) if name)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_systemd
def test_systemd_accepts_the_units_without_a_word(tmp_path: Path) -> None:
    done = analyze(tmp_path, "verify", "--man=no", also="voicebox-shutdown.path")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_the_exposure_stays_at_one_and_a_half_or_less(tmp_path: Path) -> None:
    """On systemd's scale of 0 to 10; docs/configuration.md names the figure."""
    done = analyze(tmp_path, "security", "--offline=yes", "--threshold=15", "--no-pager")
    assert done.returncode == 0, done.stdout[-400:]


def test_a_box_without_a_network_does_not_wait_for_one() -> None:
    assert "network-online.target" not in " ".join(values("Wants") + values("After") + values("Requires"))


def test_it_is_restarted_unless_that_cannot_help() -> None:
    assert values("Restart") == ["always"]
    assert values("RestartPreventExitStatus") == [f"{AuthError.exit_code} {ConfigError.exit_code}"]
    assert values("StartLimitIntervalSec") == ["0"]


def test_it_speaks_the_notify_protocol_that_systemd_252_knows() -> None:
    assert values("Type") == ["notify"]
    assert values("ExecReload") == ["kill -HUP $MAINPID"]
    assert values("WatchdogSec") == ["30"]


def test_it_may_reach_sound_and_gpio_and_nothing_else() -> None:
    assert values("DevicePolicy") == ["closed"]
    assert values("DeviceAllow") == ["char-alsa rw", "char-gpiochip rw", "char-spi rw"]
    assert values("PrivateDevices") == values("ProcSubset") == []  # would hide the cards, or the board from gpiozero


def test_no_group_that_a_system_may_lack_can_fail_it() -> None:
    """Its user is a member of those there are instead."""
    assert values("User") == ["voicebox"]
    assert values("SupplementaryGroups") == values("Group") == []
    users = (UNIT.parent / "voicebox.sysusers").read_text()
    assert re.findall(r"^m voicebox (\w+)$", users, re.MULTILINE) == ["audio", "gpio", "spi"]


def test_what_is_in_its_memory_and_state_stays_there() -> None:
    """Secrets, and what was said."""
    assert values("LimitCORE") == ["0"]
    assert values("StateDirectoryMode") == ["0700"]
    assert values("UMask") == ["0077"]


def test_lgpio_may_write_in_the_working_directory() -> None:
    assert values("WorkingDirectory") == [f"%t/{values('RuntimeDirectory')[0]}"]


def test_the_unit_holds_no_secret() -> None:
    """LIKU-05: neither in the environment nor in the command line."""
    assert values("Environment") == values("EnvironmentFile") == []
    assert values("ExecStart") == [f"{PROGRAM} run"]
    assert values("SetCredential") == ["voicebox:none", "sealed:none"]


def test_secrets_are_handed_over_from_where_they_are_stored() -> None:
    assert values("LoadCredential") == [f"voicebox:/etc/voicebox/{PLAIN}"]
    assert values("LoadCredentialEncrypted") == [f"{PREFIX.rstrip('_')}:/etc/voicebox/{SEALED}"]


def test_the_button_can_switch_the_machine_off() -> None:
    path = (UNIT.parent / "voicebox-shutdown.path").read_text()
    assert f"\nPathExists=/run/{values('RuntimeDirectory')[0]}/{SHUT_DOWN}\n" in path


def test_exit_codes_are_documented() -> None:
    """docs/configuration.md lists every error with its code."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    raised = {
        kind.exit_code for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, VoiceboxError)
    }
    assert raised <= documented


def test_the_sound_callbacks_may_run_before_ordinary_work() -> None:
    """The priority that the audio room asks for is the one that the unit allows."""
    source = (ROOT / "voicebox" / "audio" / "alsa.py").read_text()
    asked = re.findall(r"sched_param\((\d+)\)", source)
    assert values("LimitRTPRIO") == asked
    assert values("RestrictRealtime") == []
    assert "sched_setscheduler" in values("SystemCallFilter")
