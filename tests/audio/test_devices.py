"""Sound cards are found by name, and never by a number that changes at the next boot."""

from pathlib import Path

import pytest

from voicebox.audio.devices import Card, Cards, NotFound, Port, check_name, describe, find, read_cards
from voicebox.errors import ConfigError

CARDS = """ 0 [Headphones     ]: bcm2835_headpho - bcm2835 Headphones
                      bcm2835 Headphones
 3 [Device_1       ]: USB-Audio - USB Audio Device
10 [MicLoop        ]: Loopback - Loopback
                      Loopback 1
 2 [Device         ]: USB-Audio - USB Audio Device
"""
PORTS = [
    Port(0, "bcm2835 Headphones: - (hw:0,0)", 0, 8, 44_100),
    Port(1, "Loopback: PCM (hw:10,0)", 32, 32, 44_100),
    Port(2, "Loopback: PCM (hw:10,1)", 32, 32, 44_100),
    Port(3, "USB Audio Device: - (hw:2,0)", 1, 2, 48_000),
    Port(6, "USB Audio Device: - (hw:3,0)", 1, 2, 48_000),
    Port(7, "USB Audio Device: #1 (hw:3,1)", 0, 2, 48_000),
    Port(4, "pulse", 32, 32, 44_100),
    Port(5, "default", 32, 32, 44_100),
]
SOCKETS = {2: "1-1.2", 3: "1-1.3"}


@pytest.fixture
def cards(tmp_path: Path) -> Cards:
    """As the kernel shows them: two USB sticks of one kind, and cards that are none."""
    listing = tmp_path / "cards"
    listing.write_text(CARDS, "utf-8")
    for number, socket in SOCKETS.items():
        usb = tmp_path / "devices" / "usb1" / socket
        interface = usb / f"{socket}:1.0"
        interface.mkdir(parents=True)
        (usb / "idVendor").write_text("0d8c\n", "ascii")
        (usb / "idProduct").write_text("0014\n", "ascii")
        card = tmp_path / "sound" / f"card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(interface)
    platform = tmp_path / "devices" / "platform" / "bcm2835-audio"
    platform.mkdir(parents=True)
    (tmp_path / "sound" / "card0").mkdir()
    (tmp_path / "sound" / "card0" / "device").symlink_to(platform)
    return read_cards(listing, tmp_path / "sound")


def index(name: str, cards: Cards, *, capture: bool = False) -> int:
    return find(name, PORTS, cards, capture=capture, setting="audio.output").index


def test_the_kernel_is_asked_what_stays_the_same_of_a_card(cards: Cards) -> None:
    assert cards == {
        "0": Card("Headphones"),
        "3": Card("Device_1", "1-1.3", "0d8c:0014"),
        "10": Card("MicLoop"),
        "2": Card("Device", "1-1.2", "0d8c:0014"),
    }


def test_a_card_that_is_being_unplugged_and_a_kernel_without_sound(tmp_path: Path) -> None:
    listing = tmp_path / "cards"
    assert read_cards(listing, tmp_path) == {}
    listing.write_text(CARDS, "utf-8")
    assert read_cards(listing, tmp_path)["2"] == Card("Device")
    interface = tmp_path / "1-1:1.0"
    interface.mkdir()
    (tmp_path / "card2").mkdir()
    (tmp_path / "card2" / "device").symlink_to(interface)
    assert read_cards(listing, tmp_path)["2"] == Card("Device", "1-1")


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
        ("bcm2835 headphones: -", 0),
        ("Device", 3),
        ("Device_1", 6),
        ("usb:1-1.2", 3),
        ("usb:1-1.3", 6),
        ("USB:1-1.3,1", 7),
        ("#1", 7),
        ("Headphones", 0),
    ],
)
def test_names_an_owner_may_give(name: str, expected: int, cards: Cards) -> None:
    assert index(name, cards) == expected


def test_a_card_is_found_again_under_another_number(cards: Cards) -> None:
    """A39: Fault 39"""
    swapped = {"2": cards["3"], "3": cards["2"]}
    assert (index("usb:1-1.2", swapped), index("usb:1-1.3", swapped)) == (6, 3)
    assert (index("Device", swapped), index("hw:Device_1", swapped)) == (6, 3)


def test_of_two_alike_the_socket_tells_which_is_which(cards: Cards) -> None:
    for name in ("usb:0d8c:0014", "usb audio"):
        with pytest.raises(ConfigError, match=r'"usb:1-1\.2", "usb:1-1\.3"'):
            index(name, cards, capture=True)
    assert index("usb:0d8c:0014", {"2": cards["2"]}) == 3


def test_a_number_in_a_name_is_no_part_of_it(cards: Cards) -> None:
    with pytest.raises(NotFound):
        index("hw:2", cards)


def test_a_card_that_another_program_holds_is_said_to_be_there(cards: Cards) -> None:
    """PortAudio lists no device that it could not open."""
    ports = [port for port in PORTS if "hw:2" not in port.name]
    with pytest.raises(NotFound, match=r"usb:1-1\.2.* is there, but no microphone: .* another program"):
        find("usb:1-1.2", ports, cards, capture=True, setting="audio.input")


def test_ambiguous_name_says_which_there_are_and_which_setting(cards: Cards) -> None:
    with pytest.raises(ConfigError) as caught:
        index("loopback", cards)
    assert 'audio.output = "loopback" fits several' in str(caught.value)
    assert '"hw:MicLoop,0", "hw:MicLoop,1"' in str(caught.value)


def test_missing_device_lists_those_of_its_kind(cards: Cards) -> None:
    with pytest.raises(NotFound) as caught:
        find("Jabra", PORTS, cards, capture=True, setting="audio.input")
    assert 'audio.input = "Jabra"' in str(caught.value)
    assert "usb:1-1.2" in str(caught.value)
    assert "hw:MicLoop,0" in str(caught.value)
    assert "Headphones" not in str(caught.value)  # it cannot record


@pytest.mark.parametrize("name", ["", "  ", "3", "hw:1", "hw:10,1", "PlugHW:0,0", "Loopback: PCM (hw:10,1)"])
def test_names_no_device_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match=r"audio\.input"):
        check_name(name, "audio.input")


def test_listing_gives_stable_aliases(cards: Cards) -> None:
    listed = {device.name: device.aliases for device in describe(PORTS, cards)}
    assert listed["USB Audio Device: #1"] == ("hw:Device_1,1", "usb:0d8c:0014,1", "usb:1-1.3,1")
    assert listed["bcm2835 Headphones: -"] == ("Headphones", "hw:Headphones,0")
    assert listed["pulse"] == ()
