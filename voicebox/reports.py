"""The box in the smart home, as the settings say."""

import re
import socket
from typing import TYPE_CHECKING

from voicebox import __version__, remote
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


def _password(settings: Settings) -> str | None:
    """Raises AuthError if there is a user, but no password."""
    wanted = settings.mqtt
    return settings.credentials.read(wanted.SECRETS)[wanted.SECRETS[0]] if wanted.has_password else None


def _host_name() -> str:
    """As far as it can be part of a topic."""
    return re.sub("[^A-Za-z0-9_-]", "-", socket.gethostname().split(".")[0])[:64] or "voicebox"
