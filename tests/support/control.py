"""A control socket whose box can do three things: answer, tell a secret, refuse."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from voicebox.control import Control
from voicebox.errors import ConfigError

SECRET = "canary-control-4711-zkq"  # noqa: S105  # made up, to be looked for where it must not be

Act = Callable[[Mapping[str, Any]], dict[str, Any]]


def refuse(request: Mapping[str, Any]) -> dict[str, Any]:
    raise ConfigError(f"no {request.get('what')} here, not with {SECRET}")


ACTIONS: dict[str, Act] = {
    "hello": lambda request: {"echo": request.get("what", "")},
    "secret": lambda _: {"token": SECRET, "text": f"it is {SECRET}"},
    "refuse": refuse,
}


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Control]:
    server = Control(path, ACTIONS)
    await server.start()
    try:
        yield server
    finally:
        async with asyncio.timeout(1):
            await server.stop()


def with_server(path: Path, test: Callable[[Control], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            async with serving(path) as server:
                await test(server)

    asyncio.run(main())


async def until(happened: Callable[[], bool]) -> None:
    """The other side, in the same loop, has its turns until this is so."""
    while not happened():  # noqa: ASYNC110  # what is waited for says nothing when it happens
        await asyncio.sleep(0)
