"""What the bundle holds: one row for each file. To have something in it, it must stand here."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voicebox import parts, settings
from voicebox.commands import running
from voicebox.core.state import Fault, Link, Phase
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.redact import redact
from voicebox.services.base import discover
from voicebox.settings import reference
from voicebox.settings.sealed import Store
from voicebox.settings.text import to_toml
from voicebox.support import mask
from voicebox.support.machine import UNIT, Machine
from voicebox.support.sentences import rebuilt

LINES = 2_000
"""Of the log, at most."""
LOUDEST = 6
"""The journal's priority "info": with log.level = "debug" what is said stands below it."""
OF_THE_STATUS = (
    *("version", "service", "phase", "link", "muted", "fault", "connected", "connect_ms", "rtt_ms", "latency_ms"),
    *("minutes_today", "minutes_left", "uplink", "volume", "lead_ms", "underruns", "echo", "up_s"),
)
BUILT_IN = {"hey_jarvis", "alexa", "hey_mycroft", "default", "auto", "software", ""}
"""Text that may stand in settings because it is the program's."""
NAMES_OF_CARDS = {"audio.input", "audio.output", "playback.mixer"}
"""Settings whose text may be told: sound.txt names the cards as well."""


@dataclass(frozen=True, slots=True)
class Box:
    """What is asked."""

    config: Path | None = None
    machine: Machine = field(default_factory=Machine)
    ask: Callable[[Mapping[str, Any]], dict[str, Any] | None] = running.ask


def log(box: Box) -> Iterator[str]:
    command = ["journalctl", f"--unit={UNIT}", f"--lines={LINES}", "--output=json", f"--priority={LOUDEST}"]
    lines = box.machine.run([*command, "--output-fields=MESSAGE,PRIORITY,LOGGER,CODE_LINE"]).splitlines()
    yield from filter(None, map(_entry, lines))
    if not lines:
        yield "nothing could be read: this needs root, or the group systemd-journal (sudo voicebox support-bundle)"


def _entry(line: str) -> str | None:
    """A line of the log as far as the program wrote it (sentences.py); None for what may not be seen at all."""
    try:
        entry = json.loads(line)
        priority, message = int(entry["PRIORITY"]), entry["MESSAGE"]
        seconds = int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000
    except (ValueError, KeyError, TypeError):
        return None
    if priority > LOUDEST or not isinstance(message, str):
        return None
    return f"{mask.time(seconds)} <{priority}> {mask.module(entry)} {rebuilt(message)}"


def status(box: Box) -> Iterator[str]:
    try:
        answer = box.ask({"do": "status"})
    except VoiceboxError:
        answer = None
    if answer is None:
        yield "no box answers: it is not running, or this user may not ask it"
        return
    for name in OF_THE_STATUS:
        if name in answer:
            yield f"{name}: {_value(answer[name])}"


def _value(value: Any) -> str:  # noqa: ANN401  # whatever a status holds
    """Numbers, switches, and the words of the program."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items() if str(name).isidentifier())
    if value is None or isinstance(value, bool | int | float):
        return "-" if value is None else str(value).lower()
    return mask.word(str(value), {*Phase, *Fault, *Link, *discover(), settings.SIMULATOR})


def chosen(box: Box) -> Iterator[str]:
    """Each setting that is not its default. Text is told only where it is one of the program's own words."""
    try:
        loaded = settings.load(box.config)
    except ConfigError as error:
        yield f"{len(error.problems)} mistakes, so these are not in effect; voicebox check tells them to the owner"
        yield from (f"mistake in {mask.place(problem)}" for problem in error.problems)
        return
    for warning in parts.warnings(loaded):
        yield f"warning: {rebuilt(warning)}"
    changed = False
    used = {loaded.service, *type(loaded).model_fields} - (set(loaded.services) - {loaded.service})
    for key in reference.every_key():
        value = to_toml(reference.plain(_setting(loaded, key)))
        if value != key.default and (not key.section or key.section in used):
            changed = True
            yield f"{key.path} = {_told(key, _setting(loaded, key))}"
    if not changed:
        yield "all are as by default"


def _setting(loaded: settings.Settings, key: reference.Key) -> object:
    return getattr(getattr(loaded, key.section) if key.section else loaded, key.name)


def _told(key: reference.Key, value: object) -> str:
    if key.is_plain or key.path in NAMES_OF_CARDS:
        return to_toml(reference.plain(value))
    return to_toml(_without_text(reference.plain(value)))


def _without_text(value: object) -> object:
    """Text of the owner's becomes its length; tables of theirs, whose keys are text as well, the number of keys."""
    if isinstance(value, str):
        return value if value in BUILT_IN else f"({len(value)} characters)"
    if isinstance(value, list):
        return [_without_text(inner) for inner in value]
    if isinstance(value, dict):
        known = {name for model in reference.TABLES for name in model.model_fields}
        return {name: _without_text(inner) for name, inner in value.items() if name in known} or f"({len(value)} keys)"
    return value if value is None or isinstance(value, bool | int | float) else f"({len(str(value))} characters)"


def secrets(box: Box) -> Iterator[str]:
    """Which there are, and since when."""
    try:
        stored = list(Store(settings.main_file(box.config)).all())
    except VoiceboxError:
        yield "could not be read: this needs root"
        return
    known = settings.secret_names({name: module.Settings for name, module in discover().items()})
    for secret in stored:
        yield f"{secret.name if secret.name in known else 'one that nothing needs'}: {secret.age / 86_400:.0f} days old"
    if not stored:
        yield "none are stored, or this user may not see them"


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the bundle: ``words`` tell the owner what is in it."""

    name: str
    words: str
    lines: Callable[[Box], Iterator[str]]


ITEMS = (
    Item("machine.txt", "board, system, versions, memory, space, heat, power", lambda box: box.machine.system()),
    Item("service.txt", "what systemd says of the service", lambda box: box.machine.unit()),
    Item("sound.txt", "the sound cards", lambda box: box.machine.sound()),
    Item("network.txt", "wired or Wi-Fi, signal, clock; no names, no addresses", lambda box: box.machine.network()),
    Item("secrets.txt", "which secrets are stored; not the secrets", secrets),
    Item("settings.txt", "settings that differ from the defaults; of your texts only their length", chosen),
    Item("status.txt", "figures of the running box", status),
    Item("log.txt", "the log, as far as its sentences are the program's own; not what was said", log),
)


def gather(box: Box) -> dict[str, str]:
    """Each file's text. Whatever else it may be, it has gone through ``redact`` and holds no address."""
    return {item.name: mask.addresses(redact("\n".join(item.lines(box)))) + "\n" for item in ITEMS}
