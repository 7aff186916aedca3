"""Whether the clock is to blame for a certificate whose dates do not fit: with real certificates, and by the rule."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.support.session import Line, Tcp, listening, running
from voicebox import clock, web
from voicebox.clock import EXPIRED, NOT_YET_VALID, is_wrong
from voicebox.core.events import Category, SessionLost
from voicebox.services.base import HttpRequest
from voicebox.virtualtime import run_virtual

INSTALLED = 1_800_000_000.0
DAY = 86_400.0
AUTHORITY = """
[ca]
default_ca = ours
[ours]
dir = {place}
new_certs_dir = {place}
database = {place}/index
serial = {place}/serial
default_md = sha256
policy = any
x509_extensions = name
[any]
commonName = supplied
[name]
subjectAltName = IP:127.0.0.1
"""


@pytest.mark.parametrize(
    ("code", "now", "unset", "wrong"),
    [
        (NOT_YET_VALID, INSTALLED + DAY, False, True),
        (EXPIRED, INSTALLED + DAY, False, False),  # the server's own fault
        (EXPIRED, INSTALLED + DAY, True, True),  # nobody has set the clock yet
        (EXPIRED, INSTALLED - 2 * DAY, False, True),  # before this program was there
        (EXPIRED, INSTALLED - 0.5 * DAY, False, False),  # time zones, copied files
        (18, 0.0, True, False),  # self-signed: a true clock would not help
    ],
)
def test_the_rule(code: int, now: float, unset: bool, wrong: bool) -> None:
    assert is_wrong(code, now, INSTALLED, unset=unset) is wrong


def test_other_failures_are_no_matter_of_the_clock() -> None:
    assert not clock.to_blame(TimeoutError())
    assert not clock.to_blame(ssl.SSLError("wrong version number"))


def test_the_program_knows_when_it_was_installed() -> None:
    files = [path.stat().st_mtime for path in Path(clock.__file__).parent.glob("*.py")]
    assert clock._installed() == max(files)


def certificate(place: Path, first: str, last: str) -> Path:
    """One for 127.0.0.1, valid between these moments (YYYYMMDD), with its key."""
    (place / "index").touch()
    (place / "serial").write_text("01\n")
    (place / "authority").write_text(AUTHORITY.format(place=place))
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{place}/key"]
    run("req", *key, "-subj", "/CN=127.0.0.1", "-out", place / "request")
    dates = ["-startdate", f"{first}000000Z", "-enddate", f"{last}000000Z"]
    signed = ["-selfsign", "-keyfile", f"{place}/key", "-in", f"{place}/request", "-out", f"{place}/signed"]
    run("ca", "-batch", "-notext", "-config", place / "authority", *dates, *signed)
    both = place / "certificate.pem"
    both.write_text((place / "key").read_text() + (place / "signed").read_text())
    return both


def run(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(params=[("20900101", "20910101", Category.CLOCK), ("20000101", "20010101", Category.NETWORK)])
def dated(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Category]:
    """A certificate we trust but for its dates, and who is to blame."""
    first, last, blamed = request.param
    path = certificate(tmp_path, first, last)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "signed"))
    monkeypatch.setattr(clock, "_TIMESYNC", tmp_path / "nothing")
    web._certificates.cache_clear()
    return path, blamed


def served(certificate: Path) -> ssl.SSLContext:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's side of a refused handshake
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_websocket_tells_a_wrong_clock_from_a_stale_certificate(dated: tuple[Path, Category]) -> None:
    path, blamed = dated

    async def main() -> SessionLost:
        async with listening(Tcp(), ssl=served(path)) as port, running(Line(f"wss://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            return await line.until(SessionLost)

    lost = run_virtual(main())
    assert lost.category is blamed
    assert "certificate" in lost.message


def test_so_does_an_http_exchange(dated: tuple[Path, Category]) -> None:
    path, blamed = dated

    async def main() -> tuple[int, Category]:
        async with listening(Tcp(), ssl=served(path)) as port:
            answer = await web.exchange(HttpRequest("test", "GET", f"https://127.0.0.1:{port}/"))
            return answer.status, answer.category

    try:
        assert run_virtual(main()) == (0, blamed)
    finally:
        web._certificates.cache_clear()
