"""What the machine tells of itself, read for the doctor and the support bundle alike."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from voicebox.support.machine import Machine

THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def machine(root: Path, said: str = "", **files: str) -> Machine:
    """With these files, and programs that all say the same."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)

    def run(_: Sequence[str]) -> str:
        return said

    return Machine(root, run)


@pytest.mark.parametrize(
    ("said", "bits"),
    [
        ("throttled=0x0\n", 0),
        ("throttled=0x50005\n", 0x50005),
        ("throttled=0x80008 and more", 0x80008),
        ("", None),
        ("VCHI initialization failed", None),
        ("decided otherwise", None),
    ],
)
def test_the_firmwares_bits_by_its_program(said: str, bits: int | None, tmp_path: Path) -> None:
    assert machine(tmp_path, said).throttled() == bits


@pytest.mark.parametrize(("told", "bits"), [("0\n", 0), ("50005\n", 0x50005)])
def test_the_kernel_is_asked_first(told: str, bits: int, tmp_path: Path) -> None:
    assert machine(tmp_path, "throttled=0x8", **{THROTTLED: told}).throttled() == bits


@pytest.mark.parametrize(("told", "degrees"), [("48312\n", 48.312), ("-500\n", -0.5), ("?\n", None), ("", None)])
def test_heat(told: str, degrees: float | None, tmp_path: Path) -> None:
    assert machine(tmp_path, **{"sys/class/thermal/thermal_zone0/temp": told}).heat() == degrees


def test_wireless_interfaces_are_found(tmp_path: Path) -> None:
    (tmp_path / "sys/class/net/wlan1/wireless").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0").mkdir()
    assert machine(tmp_path).wireless() == ["wlan1"]


@pytest.mark.parametrize(
    ("said", "sleeps"),
    [("Power save: on\nmore", True), ("Power save: off\n", False), ("", None), ("no such device", None)],
)
def test_whether_one_sleeps(said: str, sleeps: bool | None, tmp_path: Path) -> None:
    assert machine(tmp_path, said).sleeps("wlan0") is sleeps
