"""What no single key can tell: pins used twice, keys that contradict each other, secrets in the wrong place."""

from collections.abc import Iterable, Iterator, Mapping

from voicebox.lights.base import discover
from voicebox.settings.explain import dotted
from voicebox.settings.schema import Lights, Press, Settings
from voicebox.settings.sources import Layers
from voicebox.settings.text import Path

_PINS = range(28)


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
        name = dotted(path)
        if pin in owners:
            words = f"{name} uses pin {pin}, which {owners[pin]} uses already; choose another, or set one to false"
            problems.append(f"{layers.origin(path) or 'default'}: {words}")
        owners.setdefault(pin, name)
    return problems


_PIN_KEYS: tuple[tuple[Path, str | None], ...] = (
    (("button", "pin"), None),
    (("mute_switch", "pin"), None),
    (("lights", "privacy"), None),
    (("lights", "led"), "gpio"),
    (("lights", "rgb"), "rgb"),
    (("lights", "apa102", "power"), "apa102"),
    (("lights", "apa102", "data"), "apa102"),
    (("lights", "apa102", "clock"), "apa102"),
)
"""Every key that names pins, and the kind of light that must be chosen for them to be used (None: always)."""


def _pins(layers: Layers) -> Iterator[tuple[int, Path]]:
    backend = layers.value(("lights", "backend"), "gpio")
    if backend == "apa102" and layers.value(("lights", "apa102", "data"), False) is False:
        select = layers.value(("lights", "apa102", "select"), 0)
        yield from ((pin, ("lights", "apa102")) for pin in (9, 10, 11, 7 if select == 1 else 8))  # SPI 0's
    for path, needed in _PIN_KEYS:
        if needed not in (None, backend):
            continue
        value = layers.value(path, _default(path))
        for pin in value if isinstance(value, list | tuple) else (value,):
            if isinstance(pin, int) and not isinstance(pin, bool) and pin in _PINS:
                yield pin, path
    yield from _button_pins(layers.value(("buttons",), ()))


def _button_pins(buttons: object) -> Iterator[tuple[int, Path]]:
    for index, button in enumerate(buttons if isinstance(buttons, list | tuple) else ()):
        pin = button.get("pin") if isinstance(button, Mapping) else None
        if isinstance(pin, int) and not isinstance(pin, bool) and pin in _PINS:
            yield pin, ("buttons", index, "pin")


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
    return _heard_by_itself(settings)


def _heard_by_itself(settings: Settings) -> list[str]:
    """Speech is to interrupt where the loudspeaker's own is not kept away from the microphone."""
    path = ("interruption", "by")
    echo_free = settings.audio.duplex == "full" or settings.audio.echo_cancellation
    if "speech" not in settings.interruption.by or echo_free:
        return []
    words = "the box may take its own answers for somebody speaking, and interrupt itself"
    return [f'{type(settings).layers.origin(path) or "default"}: interruption.by has "speech": {words}']


def _default(path: Path) -> object:
    value: object = Settings()
    for part in path:
        value = getattr(value, str(part))
    return value


def pins(settings: Settings) -> list[tuple[int, str]]:
    """All pins in use by BCM number, and where each was set: ``voicebox.toml:12: lights.led``."""
    layers = type(settings).layers
    return [(pin, f"{layers.origin(path) or 'default'}: {'.'.join(map(str, path))}") for pin, path in _pins(layers)]


def contradictions(settings: Settings) -> list[str]:
    """What single keys permit and all of them together do not."""
    layers = type(settings).layers
    about_lights = [
        f"{layers.origin(('lights', key)) or layers.origin(('lights', 'backend')) or 'default'}: lights.{key} {words}"
        for key, words in _about_lights(settings.lights)
    ]
    presses = [(("button",), settings.button), *((("buttons", n), b) for n, b in enumerate(settings.buttons))]
    about_presses = [
        f"{layers.origin((*path, key)) or layers.origin(path) or 'default'}: {dotted(path)}.{key} {words}"
        for path, press in presses
        for key, words in _about_press(press)
    ]
    return about_lights + about_presses


def _about_press(press: Press) -> Iterator[tuple[str, str]]:
    if press.long_hold and press.hold == "push_to_talk":
        yield "long_hold", "cannot be told from a long push-to-talk: set hold to something else, or long_hold = false"
    if press.long_hold and press.long_hold_s * 1000 <= press.hold_ms:
        yield "long_hold_s", f"= {press.long_hold_s:g} is no longer than a hold (hold_ms = {press.hold_ms})"
    if press.long_hold and press.long_hold_s >= press.max_hold_s:
        yield (
            "long_hold_s",
            f"= {press.long_hold_s:g}: the button counts as stuck before (max_hold_s = {press.max_hold_s:g})",
        )


def _about_lights(wanted: Lights) -> Iterator[tuple[str, str]]:
    if wanted.backend == "rgb" and wanted.rgb is None:
        yield "rgb", 'must name the pins of red, green and blue for lights.backend = "rgb"'
    if wanted.backend == "gpio" and wanted.rgb is not None:
        yield "rgb", 'is shown with lights.backend = "rgb"; "gpio" is for one LED'
    if (wanted.apa102.data is None) is not (wanted.apa102.clock is None):
        yield "apa102", "needs data and clock, or neither (then it is on SPI: data 10, clock 11)"
    if wanted.night is not None and wanted.night.start == wanted.night.end:
        yield "night", "begins when it ends: set start and end apart, or lights.brightness instead"
    able = [name for name, light in discover().items() if getattr(light, "TELLS_SENDING", False)]
    if wanted.privacy is True and wanted.backend not in able:
        yield "privacy", f"= true is for lights with colours ({', '.join(able)}); give it a pin of its own"
    if wanted.privacy_required and wanted.privacy is None:
        yield "privacy_required", "= true needs a lamp: set lights.privacy"
