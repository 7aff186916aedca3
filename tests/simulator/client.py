"""A client of the simulated Lira that does nothing by itself: what a test sees is what was on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from voicebox.assets import speech
from voicebox.simulator import Simulator

RATE = 16_000
SILENCE = bytes(2 * RATE)  # one second
QUESTION = speech("ask_time").tobytes()


@dataclass(frozen=True)
class Got:
    at: float
    message: Any  # bytes, a JSON value, or a str that is not JSON

    @property
    def kind(self) -> str:
        if isinstance(self.message, bytes):
            return "audio"
        return str(self.message.get("type", "?")) if isinstance(self.message, dict) else "?"

    @property
    def fields(self) -> dict[str, Any]:
        return next((self.message[key] for key in ("data", "payload") if key in self.message), self.message)


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.got: list[Got] = []
        self.closed: ConnectionClosed | None = None

    async def send(self, message: dict[str, Any] | bytes | str) -> None:
        await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    async def speak(self, pcm: bytes = QUESTION, *, live: bool = False, chunk: int = 3200) -> None:
        """Send audio in messages of 100 ms: as a backlog in one burst, or in real time."""
        for start in range(0, len(pcm), chunk):
            await self.send(pcm[start : start + chunk])
            if live:
                await asyncio.sleep(chunk / 2 / RATE)

    async def next(self) -> Got:
        message = await self.socket.recv()
        with suppress(ValueError, RecursionError):
            message = message if isinstance(message, bytes) else json.loads(message)
        self.got.append(Got(asyncio.get_running_loop().time(), message))
        return self.got[-1]

    async def until(self, kind: str, within: float = 60) -> Got:
        """The next message of this kind; fails if none comes in this many (virtual) seconds."""
        async with asyncio.timeout(within):
            while (got := await self.next()).kind != kind:
                pass
        return got

    async def silence(self, seconds: float) -> list[Got]:
        """All that comes within this time."""
        before = len(self.got)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.next()
        return self.got[before:]

    async def until_closed(self, within: float = 60) -> ConnectionClosed:
        async with asyncio.timeout(within):
            while True:
                try:
                    await self.next()
                except ConnectionClosed as closed:
                    return closed

    @property
    def kinds(self) -> list[str]:
        """The kinds of all messages so far, stretches of audio as one."""
        kinds = [got.kind for got in self.got]
        return [kind for at, kind in enumerate(kinds) if kind != "audio" or kinds[at - 1 : at] != ["audio"]]

    def audio(self, since: int = 0) -> bytes:
        return b"".join(got.message for got in self.got[since:] if got.kind == "audio")

    async def join(self, simulator: Simulator) -> Self:
        await self.send({"type": "join", "meetingId": simulator.meeting_id})
        await self.until("participant_event")
        return self

    async def listen(self, simulator: Simulator) -> Self:
        await self.join(simulator)
        await self.send({"type": "audio_start"})
        return self


@asynccontextmanager
async def client_of(simulator: Simulator, token: str | None = None) -> AsyncIterator[Client]:
    url = f"{simulator.url}?token={simulator.token if token is None else token}"
    async with connect(url, ping_interval=None, compression=None, close_timeout=0.5) as socket:
        yield Client(socket)


def noise(seconds: float, level: float) -> bytes:
    """White noise of this RMS level in dBFS, s16le mono 16 kHz."""
    samples = np.random.default_rng(1).normal(0, 32768 * 10 ** (level / 20), round(seconds * RATE))
    return np.clip(samples, -32768, 32767).astype("<i2").tobytes()
