"""Who answers instead of the service: redirects, portals, certificates, servers that are none or that say no."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.support.session import Line, Tcp, listening, now, running
from voicebox.core.events import Category, Event, SessionEnded, SessionLost
from voicebox.virtualtime import run_virtual

# --- portals, redirects, certificates ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_never_followed(status: int) -> None:
    """Nobody else gets the token."""

    async def main() -> tuple[Line, Tcp]:
        thief = Tcp()
        async with listening(thief) as thief_port:
            location = f"ws://127.0.0.1:{thief_port}/ws"
            answer = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            async with listening(Tcp(answer.encode())) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
                line.session.open()
                await line.until(SessionLost)
                await asyncio.sleep(1)
                return line, thief

    line, thief = run_virtual(main())
    assert thief.connections == 0
    assert line.of(SessionLost)[0].category is Category.NETWORK  # somebody on the way, not the service
    assert str(status) in line.of(SessionLost)[0].message


def test_a_captive_portal_that_answers_200_is_told_apart_from_the_service() -> None:
    async def main() -> Line:
        page = b"<html>please log in</html>"
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page)
        async with listening(Tcp(answer)) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            await line.until(SessionLost)
            return line

    (lost,) = run_virtual(main()).of(SessionLost)
    assert "200" in lost.message


def answered(answer: bytes, kind: type[Event]) -> Event:
    async def main() -> Event:
        async with listening(Tcp(answer)) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            return await line.until(kind)

    return run_virtual(main())


def test_a_service_that_wants_a_newer_voicebox_is_not_asked_again() -> None:
    ended = answered(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", SessionEnded)
    assert isinstance(ended, SessionEnded)
    assert ended.category is Category.UPDATE
    assert "update" in ended.message


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_is_busy_is_told_from_a_network_that_is_down(status: int) -> None:
    lost = answered(f"HTTP/1.1 {status} Busy\r\nContent-Length: 0\r\n\r\n".encode(), SessionLost)
    assert isinstance(lost, SessionLost)
    assert lost.category is Category.SERVER


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"\x00" * 10_000,
        b"HTTP/1.1 abc\r\n",
    ],
    ids=["ssh", "bare 101", "zeros", "bad status"],
)
def test_a_server_that_is_none_is_retried_with_a_reason(answer: bytes) -> None:
    async def main() -> Line:
        async with listening(Tcp(answer)) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            await line.until(SessionLost)
            assert now() < 1
            return line

    (lost,) = run_virtual(main()).of(SessionLost)
    assert lost.message


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate with its key, for 127.0.0.1."""
    path = tmp_path_factory.mktemp("tls") / "self-signed.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(["openssl", "req", "-x509", *key, *name, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def test_a_self_signed_server_is_refused_and_gets_no_token(certificate: Path) -> None:
    async def main() -> tuple[Line, Tcp]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = Tcp()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of a refused handshake
        async with listening(server, ssl=context) as port, running(Line(f"wss://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            await line.until(SessionLost)
            return line, server

    line, server = run_virtual(main())
    assert not any(server.requests)
    assert "certificate" in line.of(SessionLost)[0].message
    assert "clock" in line.of(SessionLost)[0].message
