"""A certificate authority of a test's own, and servers' certificates that are good or bad as wanted."""

import ssl
import subprocess
from pathlib import Path

_CONFIG = """
[ca]
default_ca = ours
[ours]
new_certs_dir = {place}
database = {place}/index
serial = {place}/serial
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Its files are in ``place``; ``ca`` is what whoever trusts it needs."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._place = place
        self.ca = place / "ca.pem"
        (place / "index").touch()
        (place / "serial").write_text("01\n")
        (place / "config").write_text(_CONFIG.format(place=place))
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", *usage, "-subj", "/CN=test CA", *self._out("ca.key", self.ca.name)
        )

    def certificate(
        self, name: str = "localhost", *, first: str = "20200101", last: str = "20990101", signed: bool = True
    ) -> Path:
        """For a server of that name, valid between these days; with its key. Unsigned: it vouches for itself."""
        stem = f"{name}-{first}-{last}-{signed}"
        both = self._place / f"{stem}.pem"
        if both.exists():
            return both
        named = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
        out = self._out(f"{stem}.key", f"{stem}.crt")
        if signed:
            _openssl("req", *_KEY, *named, *self._out(f"{stem}.key", f"{stem}.csr"))
            by = ("-keyfile", self._place / "ca.key", "-cert", self.ca, "-config", self._place / "config")
            dates = ("-startdate", f"{first}000000Z", "-enddate", f"{last}000000Z")
            request = ("-in", self._place / f"{stem}.csr", "-out", self._place / f"{stem}.crt")
            _openssl("ca", "-batch", "-notext", *by, *dates, *request)
        else:
            _openssl("req", "-x509", *_KEY, "-days", "2", *named, *out)
        both.write_text((self._place / f"{stem}.key").read_text() + (self._place / f"{stem}.crt").read_text())
        return both

    def _out(self, key: str, other: str) -> tuple[str, Path, str, Path]:
        return "-keyout", self._place / key, "-out", self._place / other


def served(certificate: Path) -> ssl.SSLContext:
    """What a server with this certificate speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
