"""A real mosquitto, and somebody who watches it. A process, port and files of its own: the system's does not matter."""

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE = 10.0
USER, PASSWORD = "box", "correct-horse-7c1"
WATCHER = "watcher"


class Mosquitto:
    """``with Mosquitto(directory) as broker``. ``login``: only those with a password; ``tls``: with a certificate for
    ``localhost`` of a CA made here (``ca``). It has no memory: started anew it has forgotten what it kept."""

    def __init__(self, directory: Path, *, login: bool = False, tls: bool = False, extra: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self._directory = directory
        self._login, self._tls = login, tls
        self.ca = directory / "ca.pem"
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "user root", "set_tcp_nodelay true", extra]
        lines.append("allow_anonymous true" if not login else f"allow_anonymous false\npassword_file {self._users()}")
        if tls:
            key, certificate = self._certificate()
            lines.append(f"cafile {self.ca}\nkeyfile {key}\ncertfile {certificate}")
        self._config = directory / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Returns once it takes connections."""
        environ = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        log = (self._directory / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                ["mosquitto", "-c", str(self._config)], env=environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                assert self._process.poll() is None, (self._directory / "log").read_text()
                time.sleep(0.01)
            else:
                return
        raise AssertionError("mosquitto does not answer")

    def kill(self) -> None:
        """As a power cut does: no goodbye. Safe to call twice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """From now on it keeps its connections, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def watch(self, *topics: str) -> "Watcher":
        return Watcher(self.port, topics or ("#",), self.ca if self._tls else None, login=self._login)

    def _users(self) -> Path:
        file = self._directory / "users"
        file.touch(0o600)
        for name in (USER, WATCHER):
            _run("mosquitto_passwd", "-b", str(file), name, PASSWORD)
        return file

    def _certificate(self) -> tuple[Path, Path]:
        """(key, certificate) for localhost, signed by ``ca``."""
        ca_key, key, certificate = (self._directory / name for name in ("ca.key", "key.pem", "cert.pem"))
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        _run("openssl", "req", "-x509", *new, "-keyout", str(ca_key), "-out", str(self.ca), "-subj", "/CN=test CA")
        signed = ("-CA", str(self.ca), "-CAkey", str(ca_key), "-addext", "subjectAltName=DNS:localhost")
        _run(
            "openssl", "req", "-x509", *new, *signed, "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=box"
        )
        return key, certificate


class Watcher:
    """Somebody else on the broker. ``seen`` holds (topic, payload, kept) in order."""

    def __init__(self, port: int, topics: tuple[str, ...], ca: Path | None, *, login: bool) -> None:
        self.seen: list[tuple[str, str, bool]] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._topics = topics
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if login:
            self._client.username_pw_set(WATCHER, PASSWORD)
        if ca is not None:
            self._client.tls_set_context(ssl.create_default_context(cafile=ca))
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._client.connect("localhost" if ca else "127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(topic, 1) for topic in self._topics])

    def _message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.seen.append((message.topic, message.payload.decode("utf-8", "replace"), message.retain))
            self._changed.notify_all()

    def ask(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Publish; returns once the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE)

    def forget(self) -> None:
        with self._changed:
            self.seen.clear()

    def last(self, topic: str) -> str | None:
        return next((payload for name, payload, _ in reversed(self.seen) if name == topic), None)

    def until(self, happened: Callable[[], bool]) -> None:
        """Blocks. ``happened`` looks at ``seen``."""
        with self._changed:
            assert self._changed.wait_for(happened, PATIENCE), self.seen

    def wait_for(self, topic: str, payload: str) -> None:
        self.until(lambda: self.last(topic) == payload)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
