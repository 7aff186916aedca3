"""The pins of a sound card on the header (I2S) are refused while it is in use, and warned of otherwise."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from tests.settings.conftest import Box
from tests.support.gpio import manual_loop, mock_pins
from voicebox import cli, parts, pins
from voicebox.buttons import Button, ButtonOptions
from voicebox.errors import DeviceError
from voicebox.lights.base import Apa102, LightOptions, open_light
from voicebox.lights.lamp import PinLamp

PI4, PI5 = "soc/i2s@7e203000", "axi/pcie@120000/rp1/i2s@a0000"


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    with mock_pins() as factory:
        yield factory


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device tree of our own."""
    monkeypatch.setattr(pins, "DEVICE_TREE", tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def put(tree: Path, node: str, status: bytes) -> None:
    (tree / node).mkdir(parents=True)
    (tree / node / "status").write_bytes(status)


@pytest.mark.parametrize("node", [PI4, PI5])
@pytest.mark.parametrize(("status", "in_use"), [(b"okay\0", True), (b"disabled\0", False)])
def test_the_device_tree_says_whether_the_pins_are_sound(tree: Path, node: str, status: bytes, in_use: bool) -> None:
    put(tree, node, status)
    assert pins.i2s_in_use() is in_use


def test_a_machine_without_a_device_tree_has_no_such_card(tree: Path) -> None:
    assert not tree.exists()
    assert not pins.i2s_in_use()


@pytest.mark.usefixtures("factory")
def test_light_lamp_and_button_refuse_the_cards_pins(tree: Path) -> None:
    put(tree, PI4, b"okay\0")
    loop = manual_loop()
    with pytest.raises(DeviceError, match=r"light on GPIO18 .*sound card on the header \(I2S\) needs GPIO18"):
        open_light("gpio", LightOptions(led=18), loop)
    with pytest.raises(DeviceError, match="needs GPIO19"):
        open_light("rgb", LightOptions(rgb=(5, 19, 6)), loop)
    with pytest.raises(DeviceError, match="needs GPIO20"):
        open_light("apa102", LightOptions(apa102=Apa102(power=20)), loop)
    with pytest.raises(DeviceError, match="needs GPIO21"):
        PinLamp(21, active_high=True)
    with pytest.raises(DeviceError, match=r"button on GPIO18 cannot be used.*button.pin = false"):
        Button(ButtonOptions(pin=18), position=lambda: 0, dispatch=lambda _: None, loop=loop)


def test_other_pins_and_machines_without_the_card_are_free(tree: Path, factory: MockFactory) -> None:
    open_light("gpio", LightOptions(led=18), manual_loop()).close()
    put(tree, PI4, b"okay\0")
    open_light("gpio", LightOptions(led=17), manual_loop()).close()
    assert {info.name for info in factory.pins} == {"GPIO17", "GPIO18"}


def test_check_tells_a_conflict_from_what_may_become_one(
    tree: Path, box: Box, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CHECKS", [parts._check_pins])
    box.write("button.pin = 19")
    assert cli.main(["check", "--config", str(box.file)]) == 0
    assert f"warning: {box.file}:1: button.pin uses GPIO19, which most sound cards" in capsys.readouterr().out
    put(tree, PI4, b"okay\0")
    assert cli.main(["check", "--config", str(box.file)]) == 78
    assert capsys.readouterr().out == (
        f"{box.file}:1: button.pin uses GPIO19, which the sound card on the header has (I2S); choose another\n"
    )
