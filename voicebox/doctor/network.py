"""From the server's name to one authenticated handshake, step by step: the first that fails names the cause."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from voicebox import clock, keepsakes, parts, web
from voicebox.core.events import Event, SessionEnded, SessionLost, SessionReady, SessionWarning
from voicebox.doctor.base import Case, Finding, left_out, note, well, wrong
from voicebox.errors import AuthError
from voicebox.pumps import Surroundings
from voicebox.redact import redact
from voicebox.redial import explain
from voicebox.services.base import Adapter, Dial, HttpRequest, discover
from voicebox.session import Session
from voicebox.settings import SIMULATOR, Settings

STEP = 10.0
"""Seconds a name, a connection or a certificate may take."""
HANDSHAKE = 20.0
"""Seconds until the session must be ready."""
_PORTAL = "somebody else answers in the server's name: a Wi-Fi that wants you to log in, or a firewall that listens in"


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    encrypted: bool


async def check(case: Case) -> AsyncIterator[Finding]:
    settings = case.settings
    if settings is None:
        yield left_out("which service is meant is not known while the settings are wrong")
        return
    if settings.service == SIMULATOR:
        yield well("no service is chosen: the box answers by itself and needs no network")
        return
    try:
        adapter, credentials = _adapter(case, settings)
        server = _server(adapter, credentials())
    except AuthError as error:
        yield wrong(redact(str(error)), "docs/services.md says where it comes from and how to store it")
        return
    async for finding in _reach(server):
        yield finding
        if finding.fix:
            return
    if case.status is not None and case.status.get("connected"):
        yield well(f"the running box has a session with {settings.service} open: its token is right")
        return
    async for finding in _shake_hands(case, settings, adapter, credentials):
        yield finding


def _adapter(case: Case, settings: Settings) -> tuple[Adapter, Callable[[], Mapping[str, str]]]:
    kept = _kept(case)
    adapter: Adapter = discover()[settings.service].Service(settings.service_settings)
    return adapter, lambda: kept.recall() | settings.credentials.read(settings.secrets)


def _kept(case: Case) -> keepsakes.Keepsakes:
    """What services gave the box to keep: a login renewed here must not be lost there."""
    return keepsakes.Keepsakes(case.state / keepsakes.FILE)


def _server(adapter: Adapter, credentials: Mapping[str, str]) -> Server:
    """Who is spoken to first. Raises AuthError."""
    step, _ = adapter.dial(credentials, time.time())
    assert isinstance(step, Dial | HttpRequest)  # noqa: S101  # a verdict needs somebody who answered
    parts_ = urlsplit(step.url)
    encrypted = parts_.scheme in ("wss", "https")
    return Server(parts_.hostname or "", parts_.port or (443 if encrypted else 80), encrypted)


async def _reach(server: Server) -> AsyncIterator[Finding]:
    """Name, connection, certificate; ends with the first that fails (the one with a ``fix``)."""
    loop, began = asyncio.get_running_loop(), time.monotonic()
    try:
        async with asyncio.timeout(STEP):
            found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        yield wrong(
            f"{server.host}: {explain(error)}",
            "is the network up (ip addr)? is the url right? does resolvectl query answer?",
        )
        return
    yield well(f"{server.host} is found: {len(found)} addresses, {_since(began)}")
    began = time.monotonic()
    context = ssl.create_default_context() if server.encrypted else None
    try:
        async with asyncio.timeout(STEP):
            _, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        yield _certificate(error)
        return
    except ssl.SSLError as error:
        yield wrong(f"no encrypted connection: {explain(error)}", f"{_PORTAL}? open a web page in that network")
        return
    except (OSError, TimeoutError) as error:
        yield wrong(
            f"port {server.port} of {server.host}: {explain(error)}", "does a firewall forbid it? is the service down?"
        )
        return
    writer.transport.abort()
    yield well(
        f"port {server.port} answers{', and its certificate is valid' if server.encrypted else ''}: {_since(began)}"
    )


def _certificate(error: ssl.SSLCertVerificationError) -> Finding:
    if clock.to_blame(error):
        return wrong(
            f"this box's clock is wrong: it says {time.strftime('%Y-%m-%d %H:%M')}",
            "timedatectl; sudo timedatectl set-ntp true",
        )
    return wrong(explain(error), f"{_PORTAL}. Open a web page in that network")


def _since(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.0f} ms"


async def _shake_hands(
    case: Case, settings: Settings, adapter: Adapter, credentials: Callable[[], Mapping[str, str]]
) -> AsyncIterator[Finding]:
    """One session, opened with the real credentials and closed at once; no sound is sent."""
    news: asyncio.Queue[Event] = asyncio.Queue()
    session = Session(
        adapter,
        parts.uplink(settings),
        news.put_nowait,
        credentials=credentials,
        around=Surroundings(remember=_kept(case).remember),
        exchange=web.exchange,
    )
    running = asyncio.ensure_future(session.run())
    session.open()
    try:
        async with asyncio.timeout(HANDSHAKE):
            while (finding := judge(settings.service, session, await news.get())) is None or finding.mark != "ok":
                if finding is not None:
                    yield finding
                    if finding.mark == "WRONG":
                        return
        yield finding
    except TimeoutError:
        yield wrong(
            f"{settings.service} did not open a session within {HANDSHAKE:.0f} s",
            "try again; is the service in trouble?",
        )
    finally:
        session.leave()
        try:
            async with asyncio.timeout(2.0):
                await session.closed()
        except TimeoutError:
            pass
        running.cancel()


def judge(service: str, session: Session, event: Event) -> Finding | None:
    """What an event of the session means; None: nothing yet."""
    match event:
        case SessionReady():
            return well(
                f"{service} opened a session with this token, {session.connect_seconds * 1000:.0f} ms; closed again"
            )
        case SessionEnded():
            return wrong(
                f"{service} refuses: {redact(event.message)}", "docs/services.md: how to get and store its credentials"
            )
        case SessionLost():
            return wrong(f"{service}: {redact(event.message)}", "try again in a minute; is the url right?")
        case SessionWarning():
            return note(redact(event.message))
    return None
