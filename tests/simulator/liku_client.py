"""A client of the simulated LIKU that does nothing by itself, and the HTTP steps that lead to it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlencode

from websockets.asyncio.client import connect

from tests.simulator.client import QUESTION, SILENCE, Client
from voicebox import web
from voicebox.services.base import HttpAnswer, HttpRequest
from voicebox.simulator import Simulator
from voicebox.wire import liku as wire

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
CHUNK = 4096


async def post(simulator: Simulator, path: str, body: Mapping[str, Any], **headers: str) -> HttpAnswer:
    section, _ = simulator.access
    return await web.exchange(HttpRequest("post", "POST", section["api_url"] + path, JSON | headers, body))


async def login(simulator: Simulator, **changes: str) -> HttpAnswer:
    _, secrets = simulator.access
    account = {"email": secrets["liku_email"], "password": secrets["liku_password"]} | changes
    return await post(simulator, wire.LOGIN_PATH, account)


async def token(simulator: Simulator) -> str:
    return str(json.loads((await login(simulator)).text)["token_key"])


async def init(simulator: Simulator, **query: str) -> HttpAnswer:
    section, _ = simulator.access
    url = f"{section['api_url']}{wire.INIT_PATH}?{urlencode(query)}"
    return await web.exchange(HttpRequest("init", "GET", url))


async def connection_data(simulator: Simulator) -> str:
    """As the text of the answer."""
    answer = await init(simulator, token=await token(simulator), topic_id="55")
    assert answer.status == 200
    return answer.text


async def save(simulator: Simulator, key: str, **changes: Any) -> HttpAnswer:
    body = {"connection_data": "x", "topic_id": "55", "conversation_id": "c1"} | changes
    return await post(simulator, wire.SAVE_PATH, body, Authorization=f"Token {key}")


class LikuClient(Client):
    async def enter(self, simulator: Simulator) -> Self:
        """Send good connection data."""
        body = await connection_data(simulator)
        await self.send({"connection_data": wire.unwrapped(body) or body})
        return self

    async def ask(self, simulator: Simulator) -> Self:
        """A question, and the quiet that ends it."""
        await self.enter(simulator)
        await self.speak(QUESTION + SILENCE, chunk=CHUNK)
        return self

    async def close_code(self, within: float = 60) -> int:
        closed = await self.until_closed(within)
        return closed.rcvd.code if closed.rcvd else 1006


@asynccontextmanager
async def liku_client_of(simulator: Simulator, query: str = "") -> AsyncIterator[LikuClient]:
    async with connect(simulator.url + query, ping_interval=None, compression=None, close_timeout=0.5) as socket:
        yield LikuClient(socket)
