"""A client of the simulated NextEVI that does nothing by itself: what a test sees is what was on the wire."""

import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.simulator.client import QUESTION, Client
from voicebox.audio.pcm import from_bytes, resample, to_bytes
from voicebox.simulator import Simulator
from voicebox.simulator.nextevi import api_key
from voicebox.wire import Message, wav
from voicebox.wire import nextevi as wire

RATE = 24_000
CHUNK = 5_760  # bytes
SILENCE_24K = bytes(2 * RATE)  # one second
QUESTION_24K = to_bytes(resample(from_bytes(QUESTION), 16_000, RATE))
SETTINGS = wire.SessionSettings()


class EviClient(Client):
    """The same for NextEVI's messages."""

    async def say(self, message: Message, dialect: wire.Dialect = "documented") -> None:
        await self.send(wire.encode(message, dialect, str(uuid.uuid4()), 1_700_000_000.5))

    async def begin(self, dialect: wire.Dialect = "documented") -> Self:
        """Until it is ready."""
        await self.until("connection_metadata", 1)
        await self.say(SETTINGS, dialect)
        await self.until("status", 1)
        return self

    async def talk(self, pcm: bytes = QUESTION_24K + SILENCE_24K, *, binary: bool = True, chunk: int = CHUNK) -> None:
        """Speech at 24 kHz, as a backlog in one burst: no more than 100 messages."""
        for start in range(0, len(pcm), chunk):
            piece = pcm[start : start + chunk]
            if binary:
                await self.send(piece)
            else:
                await self.say(wire.AudioInput(audio=base64.b64encode(piece).decode(), chunk_id=f"c{start}"))

    def sounds(self, since: int = 0) -> list[bytes]:
        """What each ``tts_chunk`` holds."""
        chunks = [got.message for got in self.got[since:] if got.kind == "tts_chunk"]
        return [base64.b64decode(chunk["content"]) for chunk in chunks if not chunk["content"].startswith("%")]

    def reply(self, since: int = 0) -> bytes:
        """The sound of replies, without headers: s16le mono 24 kHz."""
        return b"".join(wav.read(sound).data for sound in self.sounds(since))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [got.fields for got in self.got if got.kind == kind]


def address(simulator: Simulator, **changes: str | None) -> str:
    """Where a box would connect; ``changes`` to the query, None leaves one out. ``connection`` is the path's end."""
    connection = changes.pop("connection", None) or str(uuid.uuid4())
    query: dict[str, str | None] = {"api_key": api_key(simulator._setup), "config_id": simulator.meeting_id}
    asked = [f"{name}={quote(value, safe='')}" for name, value in (query | changes).items() if value is not None]
    return f"{simulator.url}/{connection}?{'&'.join(asked)}"


@asynccontextmanager
async def evi_client_of(
    simulator: Simulator, headers: dict[str, str] | None = None, **changes: str | None
) -> AsyncIterator[EviClient]:
    url = address(simulator, **changes)
    async with connect(
        url, ping_interval=None, compression=None, close_timeout=0.5, additional_headers=headers
    ) as socket:
        yield EviClient(socket)


async def status_of(simulator: Simulator, headers: dict[str, str] | None = None, **changes: str | None) -> int:
    """101 if it let us in."""
    try:
        async with evi_client_of(simulator, headers, **changes):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
