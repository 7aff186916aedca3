"""LIKU-54: every fault of the table that only LIKU can have does what the table says."""

import json
from collections.abc import Awaitable, Callable

from tests.simulator.liku_client import LikuClient, connection_data, init, liku_client_of, login, save, token
from voicebox.simulator import Simulator

Check = Callable[[Simulator], Awaitable[None]]
CHECKS: dict[str, Check] = {}


def proves(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


async def turn(simulator: Simulator) -> LikuClient:
    """A whole turn goes well."""
    async with liku_client_of(simulator) as client:
        await client.ask(simulator)
        await client.until("assistant_transcript", 5)
        assert len(client.audio()) > 48_000
    return client


async def refused_with(simulator: Simulator, code: int) -> None:
    async with liku_client_of(simulator) as client:
        await client.enter(simulator)
        assert await client.close_code(1) == code


@proves
async def login_no_token(simulator: Simulator) -> None:
    answer = await login(simulator)
    assert answer.status == 200
    assert "token_key" not in json.loads(answer.text)


@proves
async def token_expired(simulator: Simulator) -> None:
    old = await token(simulator)
    assert (await init(simulator, token=old, topic_id="55")).status == 401
    assert (await init(simulator, token=old, topic_id="55")).status == 401
    assert await token(simulator) != old
    await turn(simulator)


@proves
async def unknown_topic(simulator: Simulator) -> None:
    answer = await init(simulator, token=await token(simulator), topic_id="55")
    assert (answer.status, json.loads(answer.text)) == (400, {"detail": "No such topic."})


@proves
async def plain_errors(simulator: Simulator) -> None:
    answer = await init(simulator, topic_id="55")
    assert (answer.status, answer.text) == (401, "<html>sorry</html>")


async def takes_back_only_what_is_inside(simulator: Simulator, key: str | None) -> None:
    body = await connection_data(simulator)
    inside = json.loads(body)[key] if key else json.loads(body)
    async with liku_client_of(simulator) as client:
        await client.send({"connection_data": body})
        assert await client.close_code(1) == 4000
    async with liku_client_of(simulator) as client:
        await client.send({"connection_data": inside})
        assert await client.silence(2) == []
    await turn(simulator)


@proves
async def init_quoted(simulator: Simulator) -> None:
    await takes_back_only_what_is_inside(simulator, None)


@proves
async def init_object(simulator: Simulator) -> None:
    await takes_back_only_what_is_inside(simulator, "connection_data")


@proves
async def close_4000(simulator: Simulator) -> None:
    await refused_with(simulator, 4000)
    await turn(simulator)


@proves
async def close_1008_at_once(simulator: Simulator) -> None:
    await refused_with(simulator, 1008)
    await turn(simulator)


@proves
async def save_refused(simulator: Simulator) -> None:
    key = await token(simulator)
    assert (await save(simulator, key)).status == 401
    assert (await save(simulator, key)).status == 200


@proves
async def partials(simulator: Simulator) -> None:
    client = await turn(simulator)
    partial, whole = [got.message for got in client.got if got.kind == "user_transcript"]
    assert partial["message_id"] == whole["message_id"]
    assert (partial["status"], whole["status"]) == ("in_progress", "completed")
    assert whole["text"].startswith(partial["text"])


@proves
async def markers(simulator: Simulator) -> None:
    client = await turn(simulator)
    (written,) = [got.message for got in client.got if got.kind == "assistant_message"]
    assert written["text"].endswith(" [[EMAIL]]")
