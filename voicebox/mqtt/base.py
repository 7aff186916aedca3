"""What the files of this room say to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Request = Mapping[str, Any]
"""As over the control socket: ``{"do": "mute"}``."""


@dataclass(frozen=True, slots=True)
class Address:
    """A broker, and as whom we come. ``ca_file``: who signed its certificate; None: whom the system trusts."""

    host: str
    port: int
    tls: bool = False
    ca_file: Path | None = None
    username: str = ""
    client_id: str = "voicebox"


@dataclass(frozen=True, slots=True)
class Message:
    """A state is kept by the broker for whoever comes later; what just happens is not."""

    topic: str
    payload: str
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection is over, in the owner's words. ``patience``: seconds to leave the broker alone at least."""

    why: str
    patience: float = 0.0
