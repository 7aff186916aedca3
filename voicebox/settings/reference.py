"""Every key there is, and what it takes: for docs/settings.md, and to tell which values say nothing of anybody."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from voicebox.services.base import ServiceSettings, discover
from voicebox.settings import explain, sources
from voicebox.settings.schema import ExtraButton, LedRow, Night, Settings, WakePhrase, schema
from voicebox.settings.text import to_toml

TABLES = (WakePhrase, LedRow, Night, ExtraButton)
"""Models of tables that stand within a key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. ``section``: "" for those at the top of the file; ``takes`` in words; ``default`` as TOML.

    ``is_plain``: its value is a switch, a number or one of the words the program knows, so it tells nothing of anybody.
    """

    section: str
    name: str
    takes: str
    default: str
    variable: str
    is_plain: bool

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}".removeprefix(".")


def every_key(services: Mapping[str, type[ServiceSettings]] | None = None) -> list[Key]:
    """In the order of the model; ``services`` by name default to the real ones."""
    found = {name: module.Settings for name, module in discover().items()} if services is None else services
    return list(_keys(schema(found)))


def _keys(model: type[Settings]) -> Iterator[Key]:
    tables: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            tables.append((name, section))
        else:
            yield _key("", model, name)
    for title, section in tables:
        for name in section.model_fields:
            yield _key(title, section, name)


def _key(title: str, section: type[BaseModel], name: str) -> Key:
    field = section.model_fields[name]
    return Key(
        title,
        name,
        explain.allowed(section, name),
        to_toml(plain(field.get_default(call_default_factory=True))),
        sources.variable((title, name) if title else (name,)),
        is_plain(field.annotation),
    )


def plain(value: object) -> object:
    """A value as TOML knows it."""
    if isinstance(value, BaseModel):
        return {key: plain(getattr(value, key)) for key in type(value).model_fields}
    return [plain(v) for v in value] if isinstance(value, tuple) else value


def is_plain(annotation: object) -> bool:
    """Whether values of this type are switches, numbers, words of a list, or made of nothing else."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal or annotation in (bool, int, float, type(None), ...):
        return True
    if origin is Annotated:
        return is_plain(inner[0])
    if origin in (tuple, Union, UnionType):
        return all(map(is_plain, inner))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return all(is_plain(field.annotation) for field in annotation.model_fields.values())
    return False
