"""What no single key can tell: pins used twice, secrets in the wrong place, times that contradict each other."""

from collections.abc import Iterable, Iterator

from voicebox.settings.schema import Settings
from voicebox.settings.sources import Layers
from voicebox.settings.text import Path

_PINS = range(28)
_I2S = range(18, 22)


def secrets_in_files(layers: Layers, names: Iterable[str]) -> dict[Path, str]:
    """Secrets written where everybody may read them, with the place they belong to. Shows no value."""
    found = {}
    for layer in layers.highest_first:
        for path, origin in layer.origins.items():
            name = _secret(path, frozenset(names))
            if name:
                found[path] = (
                    f"{origin}: the secret {name} does not belong into a settings file: delete this line, put "
                    f"the value into credentials/{name} beside voicebox.toml, and: sudo chmod 600 credentials/{name}"
                )
    return found


def _secret(path: Path, names: frozenset[str]) -> str | None:
    """The secret that a key is meant to be: ``lira_token`` anywhere, or ``token`` in [lira]."""
    spellings = (str(path[-1]), "_".join(str(part) for part in path))
    return next((spelling for spelling in spellings if spelling in names), None)


def pins_used_twice(layers: Layers) -> list[str]:
    """Read unchecked, so that they are found beside other mistakes."""
    owners: dict[int, str] = {}
    problems = []
    for pin, path in _pins(layers):
        name = ".".join(str(part) for part in path)
        if pin in owners:
            words = f"{name} uses pin {pin}, which {owners[pin]} uses already; choose another, or set one to false"
            problems.append(f"{layers.origin(path) or 'default'}: {words}")
        owners.setdefault(pin, name)
    return problems


def _pins(layers: Layers) -> Iterator[tuple[int, Path]]:
    fields = Settings.model_fields
    for section, key in (("button", "pin"), ("lights", "led"), ("lights", "rgb")):
        default = getattr(fields[section].default, key)
        value = layers.value((section, key), default)
        backend = layers.value(("lights", "backend"), "gpio")
        if section == "lights" and backend != "gpio":
            continue
        for pin in value if isinstance(value, list | tuple) else (value,):
            if isinstance(pin, int) and not isinstance(pin, bool) and pin in _PINS:
                yield pin, (section, key)


def no_hold_possible(layers: Layers) -> list[str]:
    """A button that counts as stuck before its press counts as a hold."""
    paths = ("button", "hold_ms"), ("button", "max_hold_s")
    hold, longest = (layers.value(path, getattr(Settings.model_fields["button"].default, path[1])) for path in paths)
    if not isinstance(hold, int | float) or not isinstance(longest, int | float) or longest * 1000 > hold:
        return []
    where = next(filter(None, (layers.origin(path) for path in reversed(paths))), "default")
    words = f"button.max_hold_s = {longest} is over before a press counts as a hold (button.hold_ms = {hold})"
    return [f"{where}: {words}; make it longer, e.g. 60.0"]


def warnings(settings: Settings) -> list[str]:
    """What is allowed but seldom meant."""
    layers = type(settings).layers
    return _heard_by_itself(settings) + [
        f"{layers.origin(path) or 'default'}: {'.'.join(map(str, path))} uses pin {pin}, "
        f"which most sound cards on the header need for I2S (18 to 21)"
        for pin, path in _pins(layers)
        if pin in _I2S
    ]


def _heard_by_itself(settings: Settings) -> list[str]:
    """Speech is to interrupt where the loudspeaker's own is not kept away from the microphone."""
    path = ("interruption", "by")
    if "speech" not in settings.interruption.by or settings.audio.duplex == "full":
        return []
    words = "the box may take its own answers for somebody speaking, and interrupt itself"
    return [f'{type(settings).layers.origin(path) or "default"}: interruption.by has "speech": {words}']
