"""HTTP exchanges: limits, redirects, secrets, and errors in words (LIKU-14)."""

import asyncio
import logging
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.session import Tcp, listening
from voicebox import web
from voicebox.services.base import HttpAnswer, HttpRequest
from voicebox.virtualtime import run_virtual

CANARY = "canary-web-5Tz8"


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def against(server: Tcp, act: Callable[[str], Awaitable[HttpAnswer]]) -> HttpAnswer:
    """What comes of it, at the server's address."""

    async def main() -> HttpAnswer:
        async with listening(server) as port:
            return await act(f"http://127.0.0.1:{port}")

    return run_virtual(main())


def get(server: Tcp, path: str = "/", **more: Any) -> HttpAnswer:
    return against(server, lambda base: web.exchange(HttpRequest("test", "GET", base + path, **more)))


def test_get_brings_status_text_and_headers() -> None:
    server = Tcp(answer("grüße".encode(), "201 Created", "Retry-After: 7"))
    got = get(server, f"/a?token={CANARY}&b=%20", headers={"Accept": "text/x"})
    assert (got.status, got.text, got.headers["retry-after"]) == (201, "grüße", "7")
    request = server.requests[0]
    assert request.startswith(f"GET /a?token={CANARY}&b=%20 HTTP/1.1\r\n".encode())
    assert b"accept: text/x" in request.lower()


def test_post_sends_json_and_the_headers_given_once() -> None:
    server = Tcp(answer(b"{}"))
    headers = {"Content-Type": "application/json", "Authorization": f"Token {CANARY}"}
    request = HttpRequest("test", "POST", "", headers, {"email": "é", "n": 1})

    async def post(base: str) -> HttpAnswer:
        return await web.exchange(HttpRequest("test", "POST", base + "/x/", request.headers, request.json))

    assert against(server, post).status == 200
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /x/ HTTP/1.1\r\n")
    assert head.lower().count(b"content-type:") == 1
    assert f"Authorization: Token {CANARY}".encode() in head
    assert body == '{"email":"é","n":1}'.encode()


def test_an_answer_that_is_no_text_is_survived() -> None:
    assert get(Tcp(answer(b"\xff\xfe"))).text == "\ufffd\ufffd"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_liku_14_a_redirect_is_not_followed(status: int) -> None:
    server = Tcp(answer(b"", f"{status} Elsewhere", "Location: http://127.0.0.1:1/steal"))
    assert get(server, f"/?token={CANARY}").status == status
    assert server.connections == 1


@pytest.mark.parametrize(
    "url", ["http://x.example/", "ftp://x.example/", "x.example", "http://127.0.0.1.x.example/", "http://192.168.1.2/"]
)
def test_com_01_what_is_not_encrypted_stays_in_this_machine(url: str) -> None:
    got = run_virtual(web.exchange(HttpRequest("test", "GET", url)))
    assert (got.status, "https" in got.text) == (0, True)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_liku_14_liku_39_it_waits_15_seconds_in_all(sent: bytes) -> None:
    async def main() -> float:
        async with listening(Tcp(sent)) as port:
            began = asyncio.get_running_loop().time()
            got = await web.exchange(HttpRequest("test", "GET", f"http://127.0.0.1:{port}/"))
            assert got == HttpAnswer(0, "no answer in time")
            return asyncio.get_running_loop().time() - began

    assert run_virtual(main()) == pytest.approx(web.TIMEOUT, abs=0.1)
    assert (web.CONNECT_TIMEOUT, web.TIMEOUT) == (5.0, 15.0)


def test_liku_14_also_where_bytes_drip_in() -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await asyncio.sleep(1)

    async def main() -> float:
        dripping: set[asyncio.Task[None]] = set()
        listener = await asyncio.start_server(
            lambda r, w: dripping.add(asyncio.ensure_future(drip(r, w))), "127.0.0.1", 0
        )
        port = listener.sockets[0].getsockname()[1]
        began = asyncio.get_running_loop().time()
        got = await web.exchange(HttpRequest("test", "GET", f"http://127.0.0.1:{port}/"))
        took = asyncio.get_running_loop().time() - began
        assert got == HttpAnswer(0, "no answer in time")
        for task in dripping:
            task.cancel()
        listener.close()
        return took

    assert run_virtual(main()) == pytest.approx(web.TIMEOUT, abs=0.1)


@pytest.mark.parametrize("size", [web.MAX_BODY, web.MAX_BODY + 1, 40 * web.MAX_BODY])
def test_no_more_is_read_than_64_kib(size: int) -> None:
    got = get(Tcp(answer(b"x" * size)))
    if size == web.MAX_BODY:
        assert (got.status, len(got.text)) == (200, size)
    else:
        assert (got.status, "64 KiB" in got.text) == (0, True)


def test_compressed_answers_are_not_unpacked() -> None:
    server = Tcp(answer(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip"))
    assert get(server).text == "\x1f\ufffd"
    assert b"accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize(
    "garbage", [b"hello\r\n\r\n", b"HTTP/9 x\r\n\r\n", b"\0" * 100, b"HTTP/1.1 200\xff OK\r\n\r\n"]
)
def test_an_answer_that_is_no_http_is_told_in_words(garbage: bytes) -> None:
    got = get(Tcp(garbage), f"/?token={CANARY}")
    assert (got.status, bool(got.text), CANARY in got.text) == (0, True, False)


def test_nobody_there_is_told_in_words() -> None:
    async def main() -> HttpAnswer:
        async with listening(Tcp()) as port:
            pass
        return await web.exchange(HttpRequest("test", "GET", f"http://127.0.0.1:{port}/?token={CANARY}"))

    assert run_virtual(main()) == HttpAnswer(0, "nobody answers at the server's address (connection refused)")


@pytest.mark.parametrize(
    "url", ["https://[half", "https://x:port/", "https://127.0.0.1\r\n/", "https:///", "https://\x00/"]
)
def test_an_address_that_is_none_is_told_in_words(url: str) -> None:
    got = run_virtual(web.exchange(HttpRequest("test", "GET", url)))
    assert (got.status, bool(got.text)) == (0, True)


def test_liku_14_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """COM-01"""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    certify = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*certify, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = Tcp(answer(b"hello"))

    async def main() -> HttpAnswer:
        async with listening(server, ssl=context) as port:
            return await web.exchange(HttpRequest("test", "GET", f"https://localhost:{port}/?token={CANARY}"))

    got = run_virtual(main())
    assert (got.status, "certificate" in got.text) == (0, True)
    assert server.requests == []


def test_liku_48_no_library_writes_down_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """COM-02"""
    caplog.set_level(logging.DEBUG)
    server = Tcp(answer(b"{}"))
    got = get(server, f"/?token={CANARY}", headers={"Authorization": f"Token {CANARY}"})
    assert got.status == 200
    assert CANARY.encode() in server.requests[0]
    assert CANARY not in caplog.text


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert get(Tcp(answer(b"direct"))).text == "direct"


def test_it_can_be_cancelled() -> None:
    async def main() -> None:
        server = Tcp()
        async with listening(server) as port:
            asking = asyncio.ensure_future(web.exchange(HttpRequest("test", "GET", f"http://127.0.0.1:{port}/")))
            await server.came.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    run_virtual(main())


def test_a_box_that_needs_no_http_does_not_load_the_library() -> None:
    check = "import sys, voicebox.web; sys.exit('httpx' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
