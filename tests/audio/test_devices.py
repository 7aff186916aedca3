"""Sound cards are found by name, and never by a number that changes at the next boot."""

import pytest

from voicebox.audio.devices import NotFound, Port, check_name, describe, find, parse_cards
from voicebox.errors import ConfigError

CARDS = """ 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
10 [MicLoop        ]: Loopback - Loopback
                      Loopback 1
 2 [Device         ]: USB-Audio - USB Audio Device
"""
PORTS = [
    Port(0, "bcm2835 Headphones: - (hw:0,0)", 0, 8, 44_100),
    Port(1, "Loopback: PCM (hw:10,0)", 32, 32, 44_100),
    Port(2, "Loopback: PCM (hw:10,1)", 32, 32, 44_100),
    Port(3, "USB Audio Device: - (hw:2,0)", 1, 2, 48_000),
    Port(4, "pulse", 32, 32, 44_100),
    Port(5, "default", 32, 32, 44_100),
]


def index(name: str, *, capture: bool = False) -> int:
    return find(name, PORTS, parse_cards(CARDS), capture=capture, setting="audio.output").index


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("default", 5),
        ("pulse", 4),
        ("MicLoop", 1),
        ("micloop", 1),
        ("hw:MicLoop", 1),
        ("hw:MicLoop,1", 2),
        ("hw:MicLoop,0,0", 1),
        ("plughw:MicLoop,0", 1),
        ("hw:CARD=MicLoop,DEV=1", 2),
        ("hw:10,1", 2),
        ("usb audio", 3),
        ("Headphones", 0),
    ],
)
def test_names_an_owner_may_give(name: str, expected: int) -> None:
    assert index(name) == expected


def test_ambiguous_name_says_which_there_are_and_which_setting() -> None:
    with pytest.raises(ConfigError) as caught:
        index("loopback")
    assert 'audio.output = "loopback" fits several' in str(caught.value)
    assert '"hw:MicLoop,0", "hw:MicLoop,1"' in str(caught.value)


def test_missing_device_lists_those_of_its_kind() -> None:
    with pytest.raises(NotFound) as caught:
        find("Jabra", PORTS, parse_cards(CARDS), capture=True, setting="audio.input")
    assert 'audio.input = "Jabra"' in str(caught.value)
    assert "hw:Device,0" in str(caught.value)
    assert "Headphones" not in str(caught.value)  # it cannot record


@pytest.mark.parametrize("name", ["", "  ", "3"])
def test_names_no_device_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match=r"audio\.input"):
        check_name(name, "audio.input")


def test_listing_gives_stable_aliases() -> None:
    listed = {device.name: device.aliases for device in describe(PORTS, parse_cards(CARDS))}
    assert listed["USB Audio Device: - (hw:2,0)"] == ("Device", "hw:Device,0")
    assert listed["pulse"] == ()
