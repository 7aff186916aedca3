"""Finding a sound card by what its owner calls it, never by its number: that changes at the next boot. Pure but for
``read_cards``: PortAudio's list and the kernel's cards go in as values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voicebox.audio.base import DeviceInfo
from voicebox.errors import ConfigError

_HW = re.compile(r"\s*\((?:plug)?hw:(\d+),(\d+)\)")  # how PortAudio names a card's device, at the end of its name
_WANTED = re.compile(r"(?:plug)?hw:(?:CARD=)?([^,]+)(?:,(?:DEV=)?(\d+))?(?:,(?:SUBDEV=)?\d+)?", re.IGNORECASE)
_USB = re.compile(r"usb:([^,]+)(?:,(\d+))?", re.IGNORECASE)
_NUMBERED = re.compile(r"(?:plug)?hw:\d+(?:,.*)?|\d+|.*\((?:plug)?hw:\d+,\d+\)", re.IGNORECASE)
_CARD = re.compile(r"^\s*(\d+)\s+\[(\S+)\s*\]", re.MULTILINE)
_INTERFACE = re.compile(r"(\d+-[\d.]+):\d+\.\d+")  # the kernel's name of a USB device's interface: socket, then number


@dataclass(frozen=True, slots=True)
class Card:
    """What stays the same of a card. ``socket`` is where it is plugged in ("1-1.2"), ``product`` its vendor and product
    number ("0d8c:0014"); both "" of a card that is not USB."""

    id: str
    socket: str = ""
    product: str = ""

    @property
    def usb(self) -> tuple[str, ...]:
        return tuple(f"usb:{name}" for name in (self.product, self.socket) if name)


Cards = Mapping[str, Card]
"""By card number, which is valid now and never leaves the room."""


@dataclass(frozen=True, slots=True)
class Port:
    """One device of PortAudio's list. ``index`` is valid for one PyAudio instance only and never leaves the room."""

    index: int
    name: str
    inputs: int
    outputs: int
    rate: int

    @property
    def title(self) -> str:
        """Its name without the card's number."""
        return _HW.sub("", self.name)

    @property
    def card(self) -> str:
        """The number of its card; "" if it is none of the kernel's."""
        match = _HW.search(self.name)
        return match[1] if match else ""

    def channels(self, *, capture: bool) -> int:
        return self.inputs if capture else self.outputs


class NotFound(Exception):  # noqa: N818  # not an error: the card may still come
    """No device of that name is there now. The text is for the owner."""


def read_cards(proc: Path = Path("/proc/asound/cards"), system: Path = Path("/sys/class/sound")) -> Cards:
    """The cards the kernel has now; none where no sound driver is loaded."""
    try:
        listing = proc.read_text(encoding="utf-8")
    except OSError:
        return {}
    return {number: _card(name, system / f"card{number}" / "device") for number, name in _CARD.findall(listing)}


def _card(name: str, device: Path) -> Card:
    interface = device.resolve()
    socket = _INTERFACE.fullmatch(interface.name)
    if socket is None:
        return Card(name)
    try:
        numbers = [(interface.parent / file).read_text("ascii").strip() for file in ("idVendor", "idProduct")]
    except (OSError, UnicodeDecodeError):  # it is being unplugged
        numbers = []
    return Card(name, socket[1], ":".join(numbers))


def aliases(port: Port, cards: Cards) -> tuple[str, ...]:
    """Stable names of a card's device, the surest last: of two alike the id tells only which came first, and the socket
    which is which."""
    match = _HW.search(port.name)
    if match is None or match[1] not in cards:
        return ()
    card, device = cards[match[1]], match[2]
    if device == "0":
        return (card.id, f"hw:{card.id},0", *card.usb)
    return (f"hw:{card.id},{device}", *(f"{name},{device}" for name in card.usb))


def mixer(port: Port, cards: Cards) -> str:
    """ALSA's name of what has this device's volume: its card, or where it is none (a sound server, a plugin) the
    default."""
    match = _HW.search(port.name)
    return f"hw:{cards[match[1]].id}" if match and match[1] in cards else "default"


def describe(ports: list[Port], cards: Cards) -> list[DeviceInfo]:
    return [DeviceInfo(p.title, p.inputs, p.outputs, p.rate, aliases(p, cards)) for p in ports]


def check_name(name: str, setting: str) -> None:
    """Raises ConfigError for a name that no device can ever have."""
    if not name.strip() or _NUMBERED.fullmatch(name.strip()):
        raise ConfigError(
            f'{setting} = "{name}" names no device for good: card numbers change between boots. Give "default", a card '
            f'id, an ALSA name with it ("hw:CARD,0"), where it is plugged in ("usb:1-1.2"), its vendor and product '
            f'("usb:0d8c:0014") or a part of its name; "voicebox devices" lists them.'
        )


def find(name: str, ports: list[Port], cards: Cards, *, capture: bool, setting: str) -> Port:
    """The device an owner means by ``name``. Raises ConfigError if several fit, NotFound if none is there now."""
    usable = [port for port in ports if port.channels(capture=capture)]
    wanted = name.strip().casefold()
    exact = [port for port in usable if wanted == port.title.casefold() or _is_hardware(wanted, port, cards)]
    found = exact or [port for port in usable if wanted in port.title.casefold()]
    if len(found) > 1:
        raise ConfigError(f'{setting} = "{name}" fits several devices; name one of them: {_names(found, cards)}')
    if found:
        return found[0]
    kind = "microphone" if capture else "speaker"
    if any(_is_card(wanted, card) for card in cards.values()):
        raise NotFound(
            f'{setting} = "{name}" is there, but no {kind}: has it one, does another program hold it, or may this user'
            " not use it (group audio)?"
        )
    listing = _names(usable, cards) or "none at all"
    raise NotFound(f'{setting} = "{name}": no such {kind} now, waiting for it. There are: {listing}.')


def _is_hardware(wanted: str, port: Port, cards: Cards) -> bool:
    """Whether ``wanted`` names this device of a card: by the card's id, its ALSA name in any of the usual spellings, or
    its USB socket or product."""
    match = _HW.search(port.name)
    if match is None or match[1] not in cards:
        return False
    return _is_card(wanted, cards[match[1]]) and (_parts(wanted)[1] or "0") == match[2]


def _is_card(wanted: str, card: Card) -> bool:
    return _parts(wanted)[0] in {name.casefold() for name in (card.id, *card.usb)}


def _parts(wanted: str) -> tuple[str, str | None]:
    """(card, device) that an owner means; the card is an id or begins with "usb:"."""
    usb, named = _USB.fullmatch(wanted), _WANTED.fullmatch(wanted)
    if usb:
        return f"usb:{usb[1]}", usb[2]
    return (named[1], named[2]) if named else (wanted, None)


def _names(ports: list[Port], cards: Cards) -> str:
    return ", ".join(f'"{(aliases(port, cards) or (port.title,))[-1]}"' for port in ports)
