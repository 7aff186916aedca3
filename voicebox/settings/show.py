"""The settings in effect as TOML, each with the place it comes from; secrets masked."""

from collections.abc import Iterator

from pydantic import BaseModel

from voicebox.redact import redact
from voicebox.settings.schema import Settings
from voicebox.settings.text import to_key, to_toml


def render(settings: Settings) -> str:
    """``voicebox config show``: valid TOML that gives the same settings again."""
    fields = type(settings).model_fields
    sections = [name for name in fields if isinstance(getattr(settings, name), BaseModel)]
    lines = [_line(settings, (name,), getattr(settings, name)) for name in fields if name not in sections]
    for name in sections:
        lines += ["", f"[{name}]", *_section(settings, name)]
        if name == "mqtt":
            lines += _secrets(settings, settings.mqtt.SECRETS, "not set")
        if name in settings.services:
            lines += _secrets(settings, settings.services[name].SECRETS, "missing")
            lines += _secrets(settings, settings.services[name].SECRETS_ANY, "not set")
    return "\n".join(lines) + "\n"


def _section(settings: Settings, name: str) -> Iterator[str]:
    section = getattr(settings, name)
    for key in type(section).model_fields:
        yield _line(settings, (name, key), getattr(section, key))


def _line(settings: Settings, path: tuple[str, ...], value: object) -> str:
    origin = type(settings).layers.origin(path) or "default"
    return f"{to_key(path[-1])} = {redact(to_toml(_plain(value)))}  # {origin}"


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return {key: getattr(value, key) for key in type(value).model_fields}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _secrets(settings: Settings, names: tuple[str, ...], otherwise: str) -> Iterator[str]:
    for name in names:
        where = settings.credentials.where(name)
        yield f"# {name}: " + (f"set (from {where})" if where else otherwise)
