"""Puts what is wrong with a setting into words: where, what was given, what is allowed, what was probably meant."""

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from voicebox.redact import redact
from voicebox.settings.sources import Layers
from voicebox.settings.text import Path, to_toml

_LONGEST = 60


def dotted(path: Path) -> str:
    """``wake.phrases[1].model``; lists count from 1, as people do."""
    text = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(word: str, choices: list[str]) -> str:
    """A hint at what was probably meant, or nothing."""
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def explain(error: ValidationError, model: type[BaseModel], layers: Layers) -> dict[Path, str]:
    """One readable line for each wrong key."""
    problems: dict[Path, str] = {}
    for item in error.errors(include_url=False):
        path, section = _resolve(model, item["loc"])
        match item["type"]:
            case "extra_forbidden":
                path = (*path, item["loc"][len(path)])
                words = _unknown(path, section)
            case "missing" if isinstance(item["loc"][-1], str):
                path = path if path[-1:] == item["loc"][-1:] else (*path, item["loc"][-1])
                words = f"{dotted(path)} is missing; it takes {allowed(section, str(path[-1]))}"
            case _:
                path = path if item["type"] != "missing" else path[:-1]
                words = _wrong(path, item, section)
        problems.setdefault(path, f"{layers.origin(path) or 'default'}: {words}")
    return problems


def _resolve(model: type[BaseModel], loc: Path) -> tuple[Path, type[BaseModel]]:
    """The part of ``loc`` that is a real key (pydantic appends members of unions), and the section it is in."""
    section, inner = model, model
    path: Path = ()
    for part in loc:
        if isinstance(part, str):
            if part not in inner.model_fields:
                return path, section if inner is BaseModel else inner
            section, annotation = inner, inner.model_fields[part].annotation
            inner = _model_in(annotation) or BaseModel
        path += (part,)
    return path, section


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model in ``Model`` or ``tuple[Model, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, getattr(annotation, "__args__", ())) if m), None)


def _unknown(path: Path, section: type[BaseModel]) -> str:
    keys = sorted(section.model_fields)
    where = f"[{dotted(path[:-1])}] knows" if len(path) > 1 else "there are"
    return f"{dotted(path)} is unknown{nearest(str(path[-1]), keys)} ({where}: {', '.join(keys)})"


def _wrong(path: Path, item: ErrorDetails, section: type[BaseModel]) -> str:
    name = next(str(part) for part in reversed(path) if isinstance(part, str))
    secret = "Secret" in repr(section.model_fields[name].annotation)
    given = "a hidden value" if secret else _shorten(redact(to_toml(item["input"])))
    if item["type"] == "value_error":
        return f"{dotted(path)} = {given}: {redact(str(item['ctx']['error']))}"
    choices = [str(choice) for member in _members(section, name) for choice in member.get("enum", ())]
    hint = nearest(item["input"], choices) if isinstance(item["input"], str) else ""
    return f"{dotted(path)} = {given} is not allowed; it takes {allowed(section, name)}{hint}"


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


# --- what is allowed -----------------------------------------------------------------------------------------------


def allowed(section: type[BaseModel], name: str) -> str:
    """The type and range of a setting in words."""
    members = sorted(_members(section, name), key=lambda member: member.get("type") != "null")
    return " or ".join(dict.fromkeys(_words(member) for member in members))


def takes_text(section: type[BaseModel], name: str) -> bool:
    """Whether the setting is text of any kind, so that a value from the environment is left as it is."""
    kinds = {member.get("type") for member in _members(section, name)}
    return "string" in kinds and kinds <= {"string", "null"}


def _members(section: type[BaseModel], name: str) -> list[Mapping[str, Any]]:
    """The JSON schemas of which a value must meet one."""
    whole = _schema(section)
    mine = whole["properties"][name]
    return [
        whole["$defs"][member["$ref"].rpartition("/")[2]] if "$ref" in member else member
        for member in mine.get("anyOf", (mine,))
    ]


@cache
def _schema(section: type[BaseModel]) -> Mapping[str, Any]:
    """Takes milliseconds to make on a PC, and each variable of the environment asks for it."""
    return section.model_json_schema()


def _words(schema: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return " or ".join(to_toml(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return _list_words(schema)
    words = {
        "integer": "a whole number" + _range(schema),
        "number": "a number" + _range(schema),
        "boolean": "true or false",
        "null": "false",
        "string": "text in double quotes" + (", not empty" if schema.get("minLength") else ""),
    }
    return words.get(schema.get("type", "object"), "a table")


def _list_words(schema: Mapping[str, Any]) -> str:
    members = schema.get("prefixItems", ())
    each = members[0] if members else schema.get("items", {})
    return f"a list of {len(members) or 'any length'}, each {_words(each)}"


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    above = "above" if "exclusiveMinimum" in schema else "from"
    if low is None:
        return "" if high is None else f" up to {high:g}"
    return f" {above} {low:g}" + ("" if high is None else f" to {high:g}")
