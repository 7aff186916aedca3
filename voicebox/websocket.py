"""A WebSocket to a service, opened with care and measured in seconds. The only client of websockets."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohappyeyeballs import start_connection
from websockets import http11
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CTRL_OPCODES, Frame
from websockets.protocol import Event
from websockets.proxy import get_proxy
from websockets.uri import WebSocketURI, parse_uri

from voicebox import clock
from voicebox.core.events import Category
from voicebox.redial import essence, explain
from voicebox.services.base import Dial

__all__ = ["CannotConnect", "Connection", "ConnectionClosed", "Refused", "dial"]

SEND_TIMEOUT_MS = 5_000
"""Unacknowledged data older than this breaks the link (TCP_USER_TIMEOUT)."""
NEXT_ADDRESS = 0.25
"""Seconds after which the next of a server's addresses is tried beside the one that does not answer (RFC 8305)."""

PIECE = 4096
"""Bytes that are parsed before we look at what they were: a quarter of a megabyte of empty frames would hold the loop
up for a second."""
MOST_EMPTY = 100
"""Pings, and messages without content, within a second: nobody has so little to say so often."""

http11.MAX_BODY_SIZE = 64 * 1024  # of a page that somebody shows us instead of opening the WebSocket

_log = logging.getLogger(__name__).getChild("library")
_log.setLevel(logging.WARNING)  # below that it shows every header and message, the token among them


class Refused(Exception):  # noqa: N818  # an answer, not an error
    """The server answered with this HTTP status instead of opening the WebSocket."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers


class CannotConnect(Exception):  # noqa: N818  # reads well where it is raised
    """Nobody answered, or somebody else did; the text is for the owner. ``server_side``: the server's machine was
    reached and would not have us, as it happens to all boxes while a service is down."""

    def __init__(self, why: str, category: Category = Category.NETWORK, *, server_side: bool = False) -> None:
        super().__init__(why)
        self.category = category
        self.server_side = server_side


class Connection(ClientConnection):
    """Breaks off where the server breaks the protocol or floods us with nothing: a polite close would read on for as
    long as it cares to send."""

    abuse = ""
    """Why we broke off, for the owner; empty: we did not."""
    _empty = 0  # frames without content since ``_since``
    _since = 0.0  # loop time

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            super().data_received(data[at : at + PIECE])
            if (broken := self.protocol.parser_exc or self.protocol.handshake_exc) is not None:
                self.abuse = f"the service breaks the protocol: {broken}"
            if self.abuse:
                self.transport.abort()
                return

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and (event.opcode in CTRL_OPCODES or not event.data):
            self._count_empty()
        super().process_event(event)

    def _count_empty(self) -> None:
        now = self.loop.time()
        if now - self._since > 1.0:
            self._since, self._empty = now, 0
        self._empty += 1
        if self._empty > MOST_EMPTY:
            self.abuse = f"the service sends more than {MOST_EMPTY} messages a second that hold nothing"

    @property
    def cut_off(self) -> bool:
        """It was ended from the other side, and without a word: a server that crashed, not a link that went."""
        said = self.protocol.close_rcvd is not None or self.protocol.close_sent is not None
        return not (said or self.abuse) and (
            self.connection_exc is None or isinstance(self.connection_exc, ConnectionResetError)
        )


class _Connect(connect):
    """Follows no redirects: the token must not be carried to another host."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def _turned_away(error: Exception) -> bool:
    if isinstance(error, socket.gaierror):  # a name server that knows no such name is asked by all boxes, too
        return error.errno == socket.EAI_NONAME
    return isinstance(error, ConnectionRefusedError | ConnectionResetError)


async def _reach(server: WebSocketURI) -> socket.socket:
    """Connected with the first of its addresses that answers. Not by ``create_connection``, which forgets to close what
    it has connected if it is cancelled then (seen with Python 3.11)."""
    addresses = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    return await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS)


async def dial(target: Dial, *, max_size: int, timeout: float, close_timeout: float) -> Connection:  # noqa: ASYNC109  # the library's own
    """Open the WebSocket within ``timeout`` seconds. Raises Refused or CannotConnect."""
    try:
        server = parse_uri(target.url)
        proxy = get_proxy(server) if server.secure else None  # unencrypted is for this machine only
        async with asyncio.timeout(timeout):
            way: dict[str, Any] = {"happy_eyeballs_delay": NEXT_ADDRESS} if proxy else {"sock": await _reach(server)}
            connection = await _Connect(
                target.url,
                additional_headers=dict(target.headers),
                compression=None,  # a compressed bomb would cost us memory, and speech does not compress
                max_size=max_size,
                ping_interval=None,  # the session's own find a dead link sooner
                open_timeout=None,
                close_timeout=close_timeout,
                proxy=proxy,
                logger=_log,
                create_connection=Connection,
                **way,
            )
    except InvalidStatus as error:
        raise Refused(error.response.status_code, dict(error.response.headers.raw_items())) from None
    except (OSError, WebSocketException, ValueError, ImportError) as raised:  # ImportError: a SOCKS proxy is set
        failure = essence(raised)
        category = Category.CLOCK if clock.to_blame(failure) else Category.NETWORK
        raise CannotConnect(explain(failure), category, server_side=_turned_away(failure)) from None
    assert isinstance(connection, Connection)  # noqa: S101  # for the type checker
    with suppress(OSError):  # it has broken already: the first read will say so
        raw = connection.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SEND_TIMEOUT_MS)
    return connection
