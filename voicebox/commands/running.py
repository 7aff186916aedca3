"""The running box, if there is one."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from voicebox import control
from voicebox.errors import DeviceError


def ask(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Its answer; None if no box is running. Raises VoiceboxError if it refuses."""
    try:
        return asyncio.run(control.ask(control.find_socket(os.environ), request))
    except DeviceError:
        return None
