"""The only reader of configuration files, the environment and credentials. Hands out frozen values.

``load`` gives the settings or one ConfigError with everything that is wrong; ``problems`` gives the same as a list, and
what the hooks of ``voicebox check`` find beside; ``render`` is ``voicebox config show``.

In rising order a value comes from its default, the board's preset, voicebox.toml, conf.d/*.toml (by name), the
environment. Secrets are no settings: ``Settings.credentials`` reads them anew whenever they are needed.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ValidationError

from voicebox.errors import ConfigError
from voicebox.services.base import ServiceSettings, discover
from voicebox.settings import boards, checks, explain, sources
from voicebox.settings.checks import pins, warnings
from voicebox.settings.credentials import Credentials
from voicebox.settings.schema import SIMULATOR, Settings, schema, secret_names
from voicebox.settings.show import render
from voicebox.settings.sources import Layer, Layers

__all__ = [
    "SIMULATOR",
    "Credentials",
    "Settings",
    "load",
    "main_file",
    "pins",
    "problems",
    "render",
    "secret_names",
    "to_value",
    "warnings",
]

Services = Mapping[str, type[ServiceSettings]]
Hook = Callable[[Settings], Iterable[str]]


def load(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    services: Services | None = None,
    files: Sequence[Layer] | None = None,
) -> Settings:
    """The settings in effect. ``config`` None: VOICEBOX_CONFIG or /etc/voicebox/voicebox.toml, which may be missing.

    ``environ`` and ``services`` (section models by name) default to the real ones; ``files`` take the place of what the
    files say (see lastgood.py). Raises ConfigError.
    """
    settings, found = _read(config, os.environ if environ is None else environ, _sections(services), files)
    if found:
        raise ConfigError(*found)
    return settings


def problems(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    hooks: Iterable[Hook] = (),
    services: Services | None = None,
) -> list[str]:
    """Everything that is wrong, one line each; secrets that the service needs are among it.

    A hook gets the settings (defaults in place of what is wrong) and returns problems of its own.
    """
    settings, found = _read(config, os.environ if environ is None else environ, _sections(services))
    found += settings.credentials.problems(settings.all_secrets)
    return found + [problem for hook in hooks for problem in hook(settings)]


def main_file(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """The settings file that ``load`` reads."""
    return sources.main_file(config, os.environ if environ is None else environ)[0]


def to_value(key: str, text: str, services: Services | None = None) -> tuple[tuple[str, ...], object]:
    """What somebody means by ``wake.preroll_ms`` and ``1200``: (path, value as TOML knows it). Raises ConfigError."""
    keys = {".".join(path): (path, is_text) for path, is_text in _variables(schema(_sections(services))).values()}
    if key not in keys:
        raise ConfigError(f"{key} is unknown{explain.nearest(key, list(keys))} (voicebox config show lists all)")
    path, is_text = keys[key]
    return path, sources.to_value(text, is_text=is_text())


def _sections(services: Services | None) -> Services:
    return {name: module.Settings for name, module in discover().items()} if services is None else services


def _read(
    config: Path | None, environ: Mapping[str, str], services: Services, given: Sequence[Layer] | None = None
) -> tuple[Settings, list[str]]:
    """The settings, wrong values left at their defaults, and all problems."""
    model = schema(services)
    secrets = secret_names(services)
    file, named = sources.main_file(config, environ)
    files, found = (list(given), []) if given is not None else sources.read_files(file, required=named)
    layers = Layers(tuple(reversed(files)))
    misplaced = checks.secrets_in_files(layers, secrets)
    keys = _variables(model)
    layers = Layers((sources.read_environment(environ, keys), *layers.without(misplaced).highest_first))
    if preset := boards.layer(layers.value(("board",), None)):
        layers = Layers((*layers.highest_first, preset))
    found += misplaced.values()
    known = [*keys, *(f"{sources.PREFIX}{name.upper()}" for name in secrets)]
    for name in sources.foreign_variables(environ, known):
        found.append(f"environment: {name} is unknown{explain.nearest(name, known)}")
    settings, wrong = _validate(model, layers)
    alternatives = [section.SECRETS_ANY for section in services.values()]
    settings._credentials = Credentials(environ, file.parent / "credentials", alternatives)  # noqa: SLF001  # a private field of ours
    found += [*wrong, *checks.pins_used_twice(layers), *checks.no_hold_possible(layers)]
    return settings, [*found, *checks.contradictions(settings)]


def _variables(model: type[Settings]) -> dict[str, tuple[tuple[str, ...], sources.IsText]]:
    """Environment variable -> (path, taken as text) for every key there is."""
    found: dict[tuple[str, ...], sources.IsText] = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            found |= {(name, key): partial(explain.takes_text, section, key) for key in section.model_fields}
        else:
            found[(name,)] = partial(explain.takes_text, model, name)
    return {sources.variable(path): (path, is_text) for path, is_text in found.items()}


def _validate(model: type[Settings], layers: Layers) -> tuple[Settings, list[str]]:
    model.layers = layers
    try:
        return model(), []
    except ValidationError as error:
        wrong = explain.explain(error, model, layers)
    model.layers = layers.without(wrong)
    return model(), list(wrong.values())
