"""One HTTP exchange of a service, made with care. The only client of httpx, which is loaded when first needed."""

import asyncio
import importlib
import logging
import ssl
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voicebox import clock
from voicebox.core.events import Category
from voicebox.redial import explain
from voicebox.services.base import HttpAnswer, HttpRequest

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT = 5.0
TIMEOUT = 15.0
"""Seconds for the whole exchange."""
MAX_BODY = 64 * 1024
"""Bytes of an answer we are willing to read."""

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


async def exchange(request: HttpRequest) -> HttpAnswer:
    """Make the request; the answer's ``status`` is 0 where there was none, and ``text`` then says why, without secrets.

    Encrypted, or to this machine itself. Redirects are not followed: they would carry the token to whomever they name.
    """
    scheme, local = _look_at(request.url)
    if scheme != "https" and not local:
        return HttpAnswer(0, "the address is not an encrypted one (https://)")
    library = await asyncio.get_running_loop().run_in_executor(None, _load)  # so much code would hold the loop up
    try:
        async with asyncio.timeout(TIMEOUT), _client(library, local=local) as client:
            return await _ask(client, request)
    except TimeoutError:
        return HttpAnswer(0, "no answer in time")
    except (library.HTTPError, library.InvalidURL, OSError, ValueError) as error:
        cause = _cause(error)
        category = Category.CLOCK if clock.to_blame(cause) else Category.NETWORK
        return HttpAnswer(0, explain(cause), category=category)


def _look_at(url: str) -> tuple[str, bool]:
    """The address's scheme, and whether it is unencrypted and this machine's own."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", False
    return parts.scheme, parts.scheme == "http" and parts.hostname in _LOOPBACK


@lru_cache(maxsize=1)
def _load() -> Any:  # noqa: ANN401  # a module
    for name in ("httpx", "httpcore"):  # they show addresses and headers, the token among them
        logging.getLogger(name).setLevel(logging.WARNING)
    return importlib.import_module("httpx")


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    """The system's: the WebSocket trusts the same."""
    return ssl.create_default_context()


def _client(library: Any, *, local: bool) -> "httpx.AsyncClient":  # noqa: ANN401  # a module
    client: httpx.AsyncClient = library.AsyncClient(
        timeout=library.Timeout(TIMEOUT, connect=CONNECT_TIMEOUT),
        follow_redirects=False,
        verify=False if local else _certificates(),  # only http:// is local here
        trust_env=not local,  # no proxy stands between us and ourselves
        headers={"Accept-Encoding": "identity"},  # a compressed bomb would cost us memory
    )
    return client


async def _ask(client: "httpx.AsyncClient", request: HttpRequest) -> HttpAnswer:
    headers = dict(request.headers)
    async with client.stream(request.method, request.url, headers=headers, json=request.json) as response:
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > MAX_BODY:
                return HttpAnswer(0, f"the answer is longer than {MAX_BODY // 1024} KiB")
        return HttpAnswer(response.status_code, body.decode("utf-8", "replace"), dict(response.headers))


def _cause(error: Exception) -> Exception:
    """The system's own error, if there is one behind what the libraries make of it."""
    return next((inner for inner in reversed([*_chain(error)]) if isinstance(inner, OSError)), error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
