"""Plain HTTP beside the WebSocket, on the same port: the steps that some services want before and after it. The only
importer of h11.

WebSockets begin with GET, so a GET goes to their own protocol, which can answer it too; any other request is answered
here, one to a connection.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakSet

import h11

from voicebox.simulator.base import HttpAnswer, Request

TIMEOUT = 5.0
"""Seconds for a whole exchange, and for the first bytes of any connection."""
MAX_HEAD = 16 * 1024
MAX_BODY = 64 * 1024

_GET = b"GET "

Answer = Callable[[Request], HttpAnswer | None]


class Door(asyncio.Protocol):
    """Looks at the first bytes of a connection and hands it to the protocol that speaks so."""

    def __init__(self, websocket: asyncio.Protocol, answer: Answer, guests: WeakSet[asyncio.Transport]) -> None:
        """``answer`` as a simulated service's ``answer_http``: None means that only a WebSocket is served there. Each
        connection is added to ``guests``."""
        self._websocket = websocket
        self._answer = answer
        self._guests = guests
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type checker
        self._transport = transport
        self._guests.add(transport)
        self._patience = asyncio.get_running_loop().call_later(TIMEOUT, transport.abort)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if _GET.startswith(self._seen):
            return  # not enough to tell
        self._patience.cancel()
        speaker = self._websocket if self._seen.startswith(_GET) else Exchange(self._answer)
        self._transport.set_protocol(speaker)
        speaker.connection_made(self._transport)
        speaker.data_received(self._seen)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # nobody has said anything yet
        self._patience.cancel()


class Exchange(asyncio.Protocol):
    """Reads one request, answers it, closes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._request: h11.Request | None = None
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type checker
        self._transport = transport
        self._patience = asyncio.get_running_loop().call_later(TIMEOUT, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # clients come and go
        self._patience.cancel()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            self._http.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self._respond(HttpAnswer(error.error_status_hint, "this is not HTTP\n"))

    def _read(self) -> None:
        while not self._transport.is_closing():
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > MAX_BODY:
                    self._respond(HttpAnswer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "far too long\n"))
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                self._respond(self._answer(_read_request(self._request, bytes(self._body))))
            else:
                return

    def _respond(self, answer: HttpAnswer | None) -> None:
        answer = answer or HttpAnswer(HTTPStatus.METHOD_NOT_ALLOWED, "there is only a WebSocket here\n")
        body = answer.text.encode()
        headers = {"Content-Length": str(len(body)), "Content-Type": "text/plain", "Connection": "close"}
        response = h11.Response(
            status_code=answer.status,
            headers=[*(headers | dict(answer.headers)).items()],
            reason=HTTPStatus(answer.status).phrase.encode(),
        )
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self._transport.write(self._http.send(event) or b"")
        self._transport.close()


def _read_request(request: h11.Request, body: bytes) -> Request:
    parts = urlsplit(request.target.decode("ascii", "replace"))
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
    return Request(parts.path, dict(parse_qsl(parts.query)), headers, request.method.decode("ascii"), body)
