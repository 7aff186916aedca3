"""Discovery against what Home Assistant documents; states and commands as they are written on the wire."""

import json
from typing import Any

import pytest

from tests.mqtt.conftest import KITCHEN
from voicebox.core.events import Category, Device, DeviceLost, Event, ServiceError, SessionLost, Transcript
from voicebox.core.state import Fault, State
from voicebox.errors import VoiceboxError
from voicebox.mqtt import homeassistant
from voicebox.mqtt.base import Message
from voicebox.mqtt.homeassistant import LONGEST_STATE, Node

# The configuration variables that the documentation of each MQTT platform lists: those required, and those allowed.
COMMON = {
    "availability",
    "availability_mode",
    "availability_template",
    "availability_topic",
    "default_entity_id",
    "device",
    "enabled_by_default",
    "encoding",
    "entity_category",
    "entity_picture",
    "icon",
    "json_attributes_template",
    "json_attributes_topic",
    "name",
    "object_id",
    "origin",
    "payload_available",
    "payload_not_available",
    "qos",
    "unique_id",
}
SENSOR = {"device_class", "expire_after", "force_update", "state_topic", "value_template"}
COMMANDED = {"command_template", "command_topic", "retain"}
PLATFORMS: dict[str, tuple[set[str], set[str]]] = {
    "sensor": ({"state_topic"}, SENSOR | {"unit_of_measurement"}),
    "binary_sensor": ({"state_topic"}, SENSOR | {"off_delay", "payload_on", "payload_off"}),
    "event": ({"state_topic", "event_types"}, {"device_class", "event_types", "state_topic", "value_template"}),
    "switch": (
        {"command_topic"},
        COMMANDED
        | {
            "device_class",
            "optimistic",
            "payload_on",
            "payload_off",
            "state_on",
            "state_off",
            "state_topic",
            "value_template",
        },
    ),
    "number": (
        {"command_topic"},
        COMMANDED
        | {"device_class", "min", "max", "mode", "optimistic", "payload_reset", "state_topic", "step"}
        | {"unit_of_measurement", "value_template"},
    ),
    "button": ({"command_topic"}, COMMANDED | {"device_class", "payload_press"}),
    "text": ({"command_topic"}, COMMANDED | {"max", "min", "mode", "pattern", "state_topic", "value_template"}),
}
DEVICE = {
    "configuration_url",
    "connections",
    "hw_version",
    "identifiers",
    "manufacturer",
    "model",
    "model_id",
    "name",
    "serial_number",
    "suggested_area",
    "sw_version",
    "via_device",
}
ORIGIN = {"name", "sw_version", "support_url"}


def described(node: Node) -> dict[tuple[str, str], dict[str, Any]]:
    """(platform, entity) -> what is published of it; empty: it is taken away."""
    found = {}
    for message in homeassistant.discovery(node):
        prefix, platform, name, entity, last = message.topic.split("/")
        assert (prefix, name, last) == ("homeassistant", node.id, "config")
        assert message.kept
        found[platform, entity] = json.loads(message.payload) if message.payload else {}
    return found


@pytest.mark.parametrize("node", [KITCHEN, Node("x", transcripts=True), Node("a_b-9", prefix="home/voice")])
def test_discovery_is_as_home_assistant_documents_it(node: Node) -> None:
    for (platform, entity), payload in described(node).items():
        required, allowed = PLATFORMS[platform]
        assert required <= set(payload) <= COMMON | allowed or not payload, entity
        if not payload:
            continue
        assert set(payload["device"]) <= DEVICE
        assert payload["device"]["identifiers"]
        assert "name" in payload["origin"]
        assert set(payload["origin"]) <= ORIGIN
        assert payload.get("entity_category", "diagnostic") == "diagnostic"  # the only one a sensor may have
        assert payload["icon"].startswith("mdi:")
        for topic in ("state_topic", "command_topic", "availability_topic"):
            assert payload.get(topic, node.topic("")).startswith(f"{node.prefix}/{node.id}/")


def test_all_that_a_box_has_is_discovered_under_names_of_its_own() -> None:
    found = described(KITCHEN)
    assert [key for key, payload in found.items() if payload] == [
        ("sensor", "phase"),
        ("switch", "mute"),
        ("number", "volume"),
        ("event", "wake"),
        ("binary_sensor", "problem"),
        ("sensor", "last_error"),
        ("sensor", "version"),
        ("button", "talk"),
        ("button", "stop"),
        ("button", "restart_session"),
        ("text", "say"),
    ]
    ids = [payload["unique_id"] for node in (KITCHEN, Node("hall")) for payload in described(node).values() if payload]
    assert len(set(ids)) == len(ids)


def test_every_state_topic_is_told_and_every_command_topic_obeyed() -> None:
    payloads = described(KITCHEN).values()
    states = {message.topic for message in homeassistant.first(KITCHEN, State(), 50)} | {KITCHEN.topic("wake")}
    assert {payload["state_topic"] for payload in payloads if "state_topic" in payload} == states
    asked = {payload["command_topic"] for payload in payloads if "command_topic" in payload}
    assert asked == set(homeassistant.commands(KITCHEN))


def test_what_this_box_cannot_do_is_neither_shown_nor_obeyed() -> None:
    mute = Node("kitchen", writes=False)
    assert described(mute)["text", "say"] == {}
    assert mute.command("say") not in homeassistant.commands(mute)


def test_without_discovery_there_is_none() -> None:
    assert list(homeassistant.discovery(Node("kitchen", discovery=None))) == []


def news(event: Event, *, fault: Fault | None = None, node: Node = KITCHEN) -> dict[str, str]:
    after = State(fault=fault)
    return {m.topic.rpartition("/")[2]: m.payload for m in homeassistant.news(node, State(), event, after)}


@pytest.mark.parametrize(
    ("event", "fault", "words"),
    [
        (SessionLost("no answer in time", 1.0), Fault.OFFLINE, "service cannot be reached: no answer in time"),
        (DeviceLost(Device.SPEAKER, "unplugged"), Fault.NO_SPEAKER, "no speaker: unplugged"),
        (ServiceError(Category.SERVER, "500", "cannot answer: my secret diary"), Fault.BUSY, "the service is busy"),
    ],
)
def test_a_fault_is_told_without_what_a_service_might_quote(event: Event, fault: Fault, words: str) -> None:
    assert news(event, fault=fault) == {"problem": "ON", "last_error": words}


def test_an_error_is_never_longer_than_a_state() -> None:
    assert len(news(SessionLost("x" * 999, 1.0), fault=Fault.OFFLINE)["last_error"]) == LONGEST_STATE


def test_the_last_error_outlives_the_problem() -> None:
    messages = list(homeassistant.news(KITCHEN, State(fault=Fault.BUSY), SessionLost("", 1.0), State()))
    assert messages == [Message("voicebox/kitchen/problem", "OFF")]


def test_what_was_said_is_told_only_where_the_owner_wants_it() -> None:
    said = Transcript("user", "my secret diary")
    assert news(said) == {}
    open_book = Node("kitchen", transcripts=True)
    assert news(said, node=open_book) == {"transcript": '{"role": "user", "text": "my secret diary"}'}
    assert news(Transcript("user", "my sec", final=False), node=open_book) == {}
    (message,) = homeassistant.news(open_book, State(), said, State())
    assert not message.kept


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("mute", b"on"),
        ("mute", b""),
        ("volume", b"-1"),
        ("volume", b"40.5"),
        ("volume", b"99999999999999999999"),
        ("volume", b"nan"),
        ("say", b"\xc3\x28"),
        ("stop", b"PRESS!"),
    ],
)
def test_what_is_no_command_is_an_error_in_words(name: str, payload: bytes) -> None:
    with pytest.raises(VoiceboxError, match="the payload "):
        homeassistant.request(name, payload)


def test_numbers_are_read_as_home_assistant_writes_them() -> None:
    assert homeassistant.request("volume", b"40.0") == homeassistant.request("volume", b" 40\n")
