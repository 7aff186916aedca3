"""What the box tells of itself: to the smart home and to the diary, as the settings say; what it hears, to whoever
looks; how its wake word does."""

import asyncio
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from voicebox import __version__, remote
from voicebox.advice import Advice
from voicebox.diary import Diary
from voicebox.meters import Meters
from voicebox.settings import Settings

if TYPE_CHECKING:
    from voicebox.app import App
    from voicebox.mqtt.task import Mqtt


def open_mqtt(app: "App") -> "Mqtt | None":
    """The task that talks to the broker, told from now on of all that happens; None where nobody wants it."""
    wanted = app.settings.mqtt
    if not wanted.enabled:
        return None
    from voicebox.mqtt.base import Address  # noqa: PLC0415  # only a box in a smart home needs it
    from voicebox.mqtt.homeassistant import Node  # noqa: PLC0415  # as above
    from voicebox.mqtt.task import Mqtt  # noqa: PLC0415  # as above

    name = wanted.node or _host_name()
    node = Node(
        name,
        prefix=wanted.topic_prefix,
        discovery=wanted.discovery_prefix,
        version=__version__,
        writes=app.adapter.capabilities.text_input,
        transcripts=wanted.transcripts,
    )
    port = wanted.port or (8883 if wanted.tls else 1883)
    mqtt = Mqtt(
        Address(wanted.host, port, wanted.tls, wanted.ca_file, wanted.username, client_id=f"voicebox-{name}"),
        node,
        password=lambda: _password(app.settings),
        actions=remote.actions(app),
        state=app.box.state,
        volume=app.volume.level,
    )
    app.box.observers.append(lambda step: mqtt.follow(step.before, step.event, step.after))
    app.volume.observers.append(mqtt.volume)
    return mqtt


def open_diary(app: "App", directory: Path) -> Diary | None:
    """What is said is written from now on; None where nobody wants that."""
    wanted = app.settings.diary
    if not wanted.enabled:
        return None
    diary = Diary(directory, wanted.days)
    app.box.observers.append(lambda step: diary.note(step.event))
    return diary


def open_advice(app: "App", path: Path) -> Advice:
    """Counts from now on, in the file ``path``, how the wake word does."""
    advice = Advice(path, asyncio.get_running_loop())
    if app.listener is not None:
        app.listener.scored.append(advice.heard)
    app.box.observers.append(lambda step: advice.follow(step.before, step.event, step.after))
    return advice


def meters(app: "App") -> Meters:
    scored = app.listener.scored if app.listener is not None else []
    return Meters(app.hearing, scored, lambda: remote.glance(app))


def _password(settings: Settings) -> str | None:
    """Raises AuthError if there is a user, but no password."""
    wanted = settings.mqtt
    return settings.credentials.read(wanted.SECRETS)[wanted.SECRETS[0]] if wanted.has_password else None


def _host_name() -> str:
    """As far as it can be part of a topic."""
    return re.sub("[^A-Za-z0-9_-]", "-", socket.gethostname().split(".")[0])[:64] or "voicebox"
