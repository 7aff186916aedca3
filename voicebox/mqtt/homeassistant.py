"""What Home Assistant is told and may ask: topics, discovery, payloads. Pure.

Discovery is by one message for each entity (``<prefix>/<component>/<node>/<entity>/config``): unlike the newer one for
whole devices, every version of Home Assistant knows it, and so do openHAB and others.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicebox.core.events import DeviceLost, Event, SessionEnded, SessionLost, Transcript, WakeDetected
from voicebox.core.state import State
from voicebox.errors import VoiceboxError
from voicebox.mqtt.base import Message, Request
from voicebox.redact import redact

ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
PRESS = "PRESS"
NO_ERROR = "none"
LONGEST_STATE = 255
"""Characters that Home Assistant takes for a state."""


@dataclass(frozen=True, slots=True)
class Node:
    """One box. ``id``: letters, digits, ``_`` and ``-``; ``discovery`` None: no discovery."""

    id: str
    prefix: str = "voicebox"
    discovery: str | None = "homeassistant"
    version: str = ""
    writes: bool = True  # the service takes written turns
    transcripts: bool = False  # what was said may be published

    def topic(self, name: str) -> str:
        return f"{self.prefix}/{self.id}/{name}"

    def command(self, name: str) -> str:
        return self.topic(f"{name}/set")

    @property
    def availability(self) -> str:
        return self.topic("availability")

    def state(self, name: str, payload: str) -> Message:
        return Message(self.topic(name), payload)


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that Home Assistant shows. ``more``: keys of the discovery message that only this one has."""

    component: str
    id: str
    name: str
    icon: str
    more: Mapping[str, Any] = field(default_factory=dict)
    tells: bool = True  # has a state
    asks: bool = False  # takes commands
    wanted: Callable[[Node], bool] = lambda _: True


_DIAGNOSTIC = {"entity_category": "diagnostic"}
_SPOKEN = {"value_template": "{{ value_json.text[:255] }}"}

ENTITIES = (
    Entity("sensor", "phase", "Phase", "mdi:account-voice"),
    Entity("switch", "mute", "Mute", "mdi:microphone-off", {"payload_on": ON, "payload_off": OFF}, asks=True),
    Entity(
        "number",
        "volume",
        "Volume",
        "mdi:volume-high",
        {"min": 0, "max": 100, "step": 1, "mode": "slider", "unit_of_measurement": "%"},
        asks=True,
    ),
    Entity("event", "wake", "Wake word", "mdi:ear-hearing", {"event_types": ["wake"]}),
    Entity("binary_sensor", "problem", "Problem", "mdi:alert", {"device_class": "problem", **_DIAGNOSTIC}),
    Entity("sensor", "last_error", "Last error", "mdi:alert-circle-outline", _DIAGNOSTIC),
    Entity("sensor", "version", "Version", "mdi:tag-outline", _DIAGNOSTIC),
    Entity("button", "talk", "Talk", "mdi:microphone-message", {"payload_press": PRESS}, tells=False, asks=True),
    Entity("button", "stop", "Stop", "mdi:stop", {"payload_press": PRESS}, tells=False, asks=True),
    Entity(
        "button", "restart_session", "Restart session", "mdi:restart", {"payload_press": PRESS}, tells=False, asks=True
    ),
    Entity(
        "text",
        "say",
        "Say",
        "mdi:message-text",
        {"min": 1, "max": 255},
        tells=False,
        asks=True,
        wanted=lambda n: n.writes,
    ),
    Entity(
        "sensor",
        "transcript",
        "Transcript",
        "mdi:text-box-outline",
        _SPOKEN,
        wanted=lambda node: node.transcripts,
    ),
)


# --- what it is told -----------------------------------------------------------------------------------------------


def discovery(node: Node) -> Iterator[Message]:
    """One message for each entity; an empty one takes away what an earlier setting or service had."""
    for entity in ENTITIES if node.discovery else ():
        payload = json.dumps(_described(node, entity)) if entity.wanted(node) else ""
        yield Message(f"{node.discovery}/{entity.component}/{node.id}/{entity.id}/config", payload)


def _described(node: Node, entity: Entity) -> dict[str, Any]:
    topics = {"state_topic": node.topic(entity.id)} if entity.tells else {}
    if entity.asks:
        topics["command_topic"] = node.command(entity.id)
    return {
        "name": entity.name,
        "unique_id": f"voicebox_{node.id}_{entity.id}",
        "icon": entity.icon,
        "availability_topic": node.availability,
        **topics,
        **entity.more,
        "device": {
            "identifiers": [f"voicebox_{node.id}"],
            "name": node.id,
            "manufacturer": "voicebox",
            "model": "voicebox",
            "sw_version": node.version,
        },
        "origin": {"name": "voicebox", "sw_version": node.version},
    }


def first(node: Node, state: State, volume: int) -> Iterator[Message]:
    """All states there are, of a box that has just been put together."""
    yield node.state("version", node.version)
    yield node.state("phase", state.phase)
    yield node.state("mute", ON if state.muted else OFF)
    yield node.state("volume", str(volume))
    yield node.state("problem", OFF if state.fault is None else ON)
    yield node.state("last_error", NO_ERROR)


def news(node: Node, before: State, event: Event, after: State) -> Iterator[Message]:
    """What one step changes for those who watch."""
    if before.phase is not after.phase:
        yield node.state("phase", after.phase)
    if before.muted is not after.muted:
        yield node.state("mute", ON if after.muted else OFF)
    if before.fault is not after.fault:
        yield node.state("problem", OFF if after.fault is None else ON)
        if after.fault is not None:
            yield node.state("last_error", _in_words(after.fault, event))
    if isinstance(event, WakeDetected):
        wake = {"event_type": "wake", "model": event.model, "score": round(event.score, 3)}
        yield Message(node.topic("wake"), json.dumps(wake), kept=False)
    if node.transcripts and isinstance(event, Transcript) and event.final:
        said = {"role": event.role, "text": event.text}
        yield Message(node.topic("transcript"), redact(json.dumps(said)), kept=False)


def _in_words(fault: str, event: Event) -> str:
    """Beside the fault itself only what we or the network say: a service's complaint might quote what was said."""
    why = event.message if isinstance(event, SessionLost | SessionEnded | DeviceLost) else ""
    return redact(f"{fault}: {why}" if why else str(fault))[:LONGEST_STATE]


# --- what it may ask -----------------------------------------------------------------------------------------------


def commands(node: Node) -> dict[str, str]:
    """Topic -> name of all that can be asked of this box."""
    return {node.command(entity.id): entity.id for entity in ENTITIES if entity.asks and entity.wanted(node)}


def request(name: str, payload: bytes) -> Request:
    """What a command means, as over the control socket. Raises VoiceboxError if it means nothing."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise VoiceboxError("the payload is no UTF-8 text") from None
    return _MEANINGS[name](text.strip())


def _mute(text: str) -> Request:
    names = {ON: "mute", OFF: "unmute"}
    if text not in names:
        raise VoiceboxError(f"the payload must be {ON} or {OFF}")
    return {"do": names[text]}


def _volume(text: str) -> Request:
    whole = text.removesuffix(".0")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 3):
        raise VoiceboxError("the payload must be a whole number from 0 to 100")
    return {"do": "volume", "level": int(whole)}


def _press(name: str) -> Callable[[str], Request]:
    def meaning(text: str) -> Request:
        if text != PRESS:
            raise VoiceboxError(f"the payload must be {PRESS}")
        return {"do": name}

    return meaning


_MEANINGS: Mapping[str, Callable[[str], Request]] = {
    "mute": _mute,
    "volume": _volume,
    "say": lambda text: {"do": "say", "text": text},
    "talk": _press("talk"),
    "stop": _press("stop"),
    "restart_session": _press("session.restart"),
}
