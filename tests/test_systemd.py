"""Readiness, status and watchdog against a fake notify socket; how the journal is recognised."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM
from socket import socket as plain_socket

import pytest

from tests.support.notify import NotifySocket
from voicebox import systemd
from voicebox.systemd import Notifier, Watchdog

Make = Callable[..., Notifier]


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(tmp_path) as notify:
        yield notify


@pytest.fixture
def make(socket: NotifySocket) -> Make:
    return lambda **more: Notifier({**socket.environ, **more})


class Health:
    """Answers one after another."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)

    def __call__(self) -> str | None:
        return self.answers.pop(0)


def test_messages_arrive_in_order(socket: NotifySocket, make: Make) -> None:
    notifier = make()
    notifier.status("loading the wake word")
    notifier.ready()
    notifier.reloading()
    notifier.stopping()
    messages = socket.messages
    assert messages[:3] == ["STATUS=loading the wake word", "READY=1", "RELOADING=1"]
    assert messages[3].startswith("MONOTONIC_USEC=")
    assert messages[4:] == ["STOPPING=1"]


def test_status_is_one_line(socket: NotifySocket, make: Make) -> None:
    make().status("two\nREADY=1")
    assert socket.messages == ["STATUS=two READY=1"]


def test_without_systemd_nothing_is_sent(socket: NotifySocket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(socket.path))
    notifier = Notifier({})
    for call in (notifier.ready, notifier.stopping, notifier.reloading, notifier.watchdog):
        call()
    notifier.status("idle")
    assert socket.messages == []


def test_without_the_library_there_is_no_journal_but_readiness_is_told(
    socket: NotifySocket, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "systemd", None)
    make().ready()
    assert socket.messages == ["READY=1"]
    assert systemd.journal_send() is None


def test_a_full_queue_delays_nobody_and_loses_nothing(socket: NotifySocket, make: Make) -> None:
    """Nobody reads: with a send that waits this test would never end."""
    other = make()
    other.ready()
    while not other._unsent:
        other.status("working")
    notifier = make()
    notifier.ready()
    notifier.status("idle")
    assert list(notifier._unsent) == ["READY=1", "STATUS=idle"]
    taken = len(socket.messages)
    notifier.watchdog()
    assert socket.messages[taken:] == ["READY=1", "STATUS=idle", "WATCHDOG=1"]


def test_nobody_ever_reads_and_memory_does_not_grow(make: Make) -> None:
    notifier = make()
    for number in range(2000):
        notifier.status(f"step {number}")
    assert len(notifier._unsent) == systemd._MOST_UNSENT
    assert notifier._unsent[-1] == "STATUS=step 1999"


def test_a_socket_in_the_abstract_namespace() -> None:
    with plain_socket(AF_UNIX, SOCK_DGRAM) as receiver:
        receiver.bind("")  # the kernel chooses an abstract name
        receiver.setblocking(False)
        name = receiver.getsockname()
        assert name.startswith(b"\0")
        Notifier({"NOTIFY_SOCKET": "@" + name[1:].decode()}).ready()
        assert receiver.recv(100) == b"READY=1"


def test_a_socket_of_another_kind_is_said_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).ready()
    assert "vsock:2:1234" in caplog.text


def test_a_vanished_socket_is_survived(make: Make, socket: NotifySocket) -> None:
    notifier = make()
    notifier.ready()
    socket.path.unlink()
    notifier.status("idle")
    assert socket.messages == ["READY=1"]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_interval_is_half_of_what_the_unit_allows(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ).watchdog_interval == interval


def test_the_watchdog_is_fed_only_while_healthy(
    socket: NotifySocket, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    notifier = make(WATCHDOG_USEC="30000000")
    notifier.ready()
    notifier.status("idle")
    watchdog = Watchdog(notifier, Health(None, "no sound for 10 s", "no sound for 10 s", None))
    for _ in range(4):
        watchdog.check()
    assert socket.messages[2:] == ["WATCHDOG=1", "STATUS=not well: no sound for 10 s", "WATCHDOG=1", "STATUS=idle"]
    assert [r.levelname for r in caplog.records] == ["ERROR", "INFO"]  # once each, not at every check


def test_while_starting_a_sign_of_life_asks_for_time(socket: NotifySocket, make: Make) -> None:
    notifier = make(WATCHDOG_USEC="30000000")
    Watchdog(notifier, Health(None)).check()
    assert socket.messages == ["EXTEND_TIMEOUT_USEC=60000000"]


def test_the_watchdog_runs_at_its_interval(socket: NotifySocket, make: Make) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    notifier = make(WATCHDOG_USEC="8000000")
    notifier.ready()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Watchdog(notifier, lambda: None, sleep).run())
    assert slept == [4.0, 4.0, 4.0]
    assert socket.messages == ["READY=1"] + ["WATCHDOG=1"] * 3


def test_without_a_watchdog_run_ends(make: Make) -> None:
    asyncio.run(Watchdog(make(), Health()).run())  # an answer asked of Health() would raise


def test_the_journal_is_recognised_by_device_and_inode(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as ours, (tmp_path / "b").open("w") as other:
        status = os.fstat(ours.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert systemd.is_journal(environ, ours.fileno())
        assert not systemd.is_journal(environ, other.fileno())
        assert not systemd.is_journal({}, ours.fileno())
        assert not systemd.is_journal(environ, -1)
