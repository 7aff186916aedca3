"""Finding a sound card by what its owner calls it. Pure: PortAudio's list and /proc/asound/cards go in as values."""

import re
from dataclasses import dataclass

from voicebox.audio.base import DeviceInfo
from voicebox.errors import ConfigError

_HW = re.compile(r"\((?:plug)?hw:(\d+),(\d+)\)")  # how PortAudio names a card's device, at the end of its name
_WANTED = re.compile(r"(?:plug)?hw:(?:CARD=)?([^,]+)(?:,(?:DEV=)?(\d+))?(?:,(?:SUBDEV=)?\d+)?", re.IGNORECASE)
_CARD = re.compile(r"^\s*(\d+)\s+\[(\S+)\s*\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Port:
    """One device of PortAudio's list. ``index`` is valid for one PyAudio instance only and never leaves the room."""

    index: int
    name: str
    inputs: int
    outputs: int
    rate: int

    def channels(self, *, capture: bool) -> int:
        return self.inputs if capture else self.outputs


class NotFound(Exception):  # noqa: N818  # not an error: the card may still come
    """No device of that name is there now. The text is for the owner."""


def parse_cards(text: str) -> dict[str, str]:
    """/proc/asound/cards as {card number: card id}."""
    return dict(_CARD.findall(text))


def aliases(port: Port, cards: dict[str, str]) -> tuple[str, ...]:
    """Stable names of a card's device: its card id where there is only device 0, and its ALSA name."""
    match = _HW.search(port.name)
    if match is None or match[1] not in cards:
        return ()
    card = cards[match[1]]
    return (*((card,) if match[2] == "0" else ()), f"hw:{card},{match[2]}")


def describe(ports: list[Port], cards: dict[str, str]) -> list[DeviceInfo]:
    return [DeviceInfo(p.name, p.inputs, p.outputs, p.rate, aliases(p, cards)) for p in ports]


def check_name(name: str, setting: str) -> None:
    """Raises ConfigError for a name that no device can ever have."""
    if not name.strip() or name.strip().isdigit():
        raise ConfigError(
            f'{setting} = "{name}" names no device: card numbers change between boots. Give "default", an ALSA name '
            f'("hw:CARD,0"), a card id or a part of a device\'s name; "voicebox devices" lists them.'
        )


def find(name: str, ports: list[Port], cards: dict[str, str], *, capture: bool, setting: str) -> Port:
    """The device an owner means by ``name``. Raises ConfigError if several fit, NotFound if none is there now."""
    usable = [port for port in ports if port.channels(capture=capture)]
    wanted = name.strip().casefold()
    exact = [port for port in usable if wanted == port.name.casefold() or _is_hardware(wanted, port, cards)]
    found = exact or [port for port in usable if wanted in port.name.casefold()]
    if len(found) > 1:
        raise ConfigError(f'{setting} = "{name}" fits several devices; name one of them: {_names(found, cards)}')
    if found:
        return found[0]
    kind = "microphone" if capture else "speaker"
    listing = _names(usable, cards) or "none at all"
    raise NotFound(f'{setting} = "{name}": no such {kind} now, waiting for it. There are: {listing}.')


def _is_hardware(wanted: str, port: Port, cards: dict[str, str]) -> bool:
    """Whether ``wanted`` is the card's id, or its ALSA name in any of the usual spellings."""
    match = _HW.search(port.name)
    if match is None:
        return False
    ids = (match[1], cards.get(match[1], "").casefold())
    named = _WANTED.fullmatch(wanted)
    card, device = (named[1], named[2]) if named else (wanted, None)
    return card in (ids if named else ids[1:]) and (device or "0") == match[2]


def _names(ports: list[Port], cards: dict[str, str]) -> str:
    return ", ".join(f'"{(aliases(port, cards) or (port.name,))[-1]}"' for port in ports)
