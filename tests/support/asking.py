"""Asking a running box over its socket, in virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.house import House, living
from voicebox import control
from voicebox.control import socket_path
from voicebox.errors import VoiceboxError

BRIEF = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "2"}


@asynccontextmanager
async def asked(**more: Any) -> AsyncIterator[House]:
    async with living(options=BRIEF, **more) as house:
        yield house


async def ask(house: House, do: str, **more: Any) -> dict[str, Any]:
    return await control.ask(socket_path(house.app.environ), {"do": do, **more})


async def refused(house: House, do: str, **more: Any) -> str:
    with pytest.raises(VoiceboxError) as error:
        await ask(house, do, **more)
    return str(error.value)
