"""The settings that worked last, kept as text, so that a box whose file got broken starts all the same."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from voicebox.settings.schema import Settings
from voicebox.settings.sources import Layer
from voicebox.settings.text import Path


def dump(settings: Settings) -> str:
    """What the files said: JSON. Holds no secrets, which no settings file may."""
    layers = [layer for layer in reversed(type(settings).layers.highest_first) if layer.is_file]
    return json.dumps([{"name": layer.name, "values": layer.values} for layer in layers], indent=1) + "\n"


def parse(text: str) -> list[Layer] | None:
    """The files' layers, in rising order; None if the text is not what ``dump`` wrote."""
    try:
        layers = [_layer(str(item["name"]), item["values"]) for item in json.loads(text)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return layers


def _layer(name: str, values: Any) -> Layer:  # noqa: ANN401  # whatever JSON holds
    if not isinstance(values, dict):
        raise TypeError(name)
    origin = f"{name} as it was when it last worked"
    return Layer(values, dict.fromkeys(_paths(values), origin), origin)


def _paths(values: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, Mapping):
            yield from _paths(value, (*above, key))
