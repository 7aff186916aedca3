"""Logging: readable, without secrets, and never in the way."""

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from voicebox import logs, systemd
from voicebox.errors import DeviceError
from voicebox.redact import remember

SECRET = "open-sesame-4711"  # noqa: S105  # opens nothing
log = logging.getLogger("voicebox.test")


@pytest.fixture(autouse=True)
def _remember() -> None:
    remember(SECRET)


def raised(error: Exception) -> Exception:
    """The error with a traceback."""
    try:
        raise error
    except type(error) as caught:
        return caught


class Logged:
    """The log written so far, complete once ``text`` has been asked for."""

    def __init__(self, level: str = "info") -> None:
        self.stream = io.StringIO()
        self.stop = logs.setup(level, environ={}, stream=self.stream)

    @property
    def text(self) -> str:
        self.stop()
        return self.stream.getvalue()


@pytest.fixture
def logged() -> Iterator[Logged]:
    logged = Logged()
    yield logged
    logged.stop()


def test_a_line_has_time_level_and_message(logged: Logged) -> None:
    log.warning("the card %s is gone", "hw:1")
    time, level, message = logged.text.rstrip("\n").split(maxsplit=2)
    assert (len(time), level, message) == (len("12:00:00.000"), "WARNING", "the card hw:1 is gone")


def test_level_is_for_voicebox_and_libraries_start_at_warning() -> None:
    logged = Logged("debug")
    log.debug("ours")
    logging.getLogger("websockets.client").info("theirs")
    logging.getLogger("websockets.client").warning("their warning")
    assert [line.split(maxsplit=2)[2] for line in logged.text.splitlines()] == ["ours", "their warning"]


def test_secrets_never_reach_the_log(logged: Logged) -> None:
    """LIRA-03: messages, arguments, exception texts and tracebacks."""
    log.info("dialling wss://host/?token=%s", SECRET)
    log.error("failed with %s", SECRET, exc_info=raised(ValueError(f"bad URL {SECRET}")))
    text = logged.text
    assert SECRET not in text
    assert "Traceback" in text
    assert "ValueError: bad URL ***" in text


def test_an_expected_error_has_no_traceback(logged: Logged) -> None:
    log.error("speaker", exc_info=raised(DeviceError("no card named hw:7; there are: hw:0")))
    text = logged.text
    assert "no card named hw:7; there are: hw:0" in text
    assert "Traceback" not in text


def test_unhandled_exceptions_are_logged_redacted(logged: Logged) -> None:
    """The main thread, other threads, and the event loop."""
    thread = threading.Thread(target=lambda: (_ for _ in ()).throw(RuntimeError(f"thread {SECRET}")))
    thread.start()
    thread.join()
    error = raised(RuntimeError(f"main {SECRET}"))
    sys.excepthook(type(error), error, error.__traceback__)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(logs.loop_exception)
    loop.call_exception_handler({"message": "task failed", "exception": RuntimeError(f"loop {SECRET}")})
    loop.close()
    text = logged.text
    assert SECRET not in text
    assert [f"RuntimeError: {place} ***" in text for place in ("thread", "main", "loop")] == [True] * 3
    assert text.count("Traceback") == 2


def test_stop_puts_everything_back() -> None:
    before = (logging.getLogger().handlers[:], logging.getLogger().level, sys.excepthook, threading.excepthook)
    logs.setup(environ={}, stream=io.StringIO())()
    after = (logging.getLogger().handlers[:], logging.getLogger().level, sys.excepthook, threading.excepthook)
    assert after == before


def test_a_message_that_does_not_fit_is_reported_without_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own would raise
    logged = Logged()
    log.info("%d frames", SECRET)
    log.info("still alive")
    text = logged.text
    assert "test_logs.py" in text
    assert "does not fit its arguments" in text
    assert "still alive" in text
    assert SECRET not in text


class Stuck(io.StringIO):
    """A terminal that takes one line and then no more until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.go.wait(30)
        return super().write(text)


def test_a_stuck_log_blocks_nobody_and_counts_what_it_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """S72: Logging never blocks audio."""
    monkeypatch.setattr(logs, "_ROOM", 10)
    stream = Stuck()
    stop = logs.setup(environ={}, stream=stream)
    log.info("first")
    assert stream.entered.wait(30)
    for number in range(25):
        log.info("line %d", number)  # returns although nobody reads: 10 fit, 15 do not
    stream.go.set()
    stop()
    text = stream.getvalue()
    assert "15 log records were dropped" in text
    assert "line 9" in text
    assert "line 10" not in text


def test_stop_does_not_wait_for_a_log_that_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_PATIENCE", 0.01)
    stream = Stuck()
    stop = logs.setup(environ={}, stream=stream)
    log.info("first")
    assert stream.entered.wait(30)
    stop()  # returns
    assert stream.getvalue() == ""
    stream.go.set()


# --- journal -------------------------------------------------------------------------------------------------------


def journal(send: Callable[..., object] | None, stream: io.StringIO | None = None) -> logging.Handler:
    assert send is not None
    return logs.Journal(send, stream or io.StringIO())


def record(message: str, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("voicebox.app", logging.WARNING, "/x/app.py", 7, message, None, None, "run")
    made.__dict__.update(extra)
    return made


def test_journal_records_carry_fields_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the real library, up to the socket."""
    library = pytest.importorskip("systemd.journal", reason="systemd-python is not installed")
    sent: list[str] = []
    monkeypatch.setattr(library, "sendv", lambda *lines: sent.extend(lines))
    made = record(f"token {SECRET}", **logs.fields(phase="idle", url=f"wss://h/?token={SECRET}"))
    journal(systemd.journal_send()).handle(made)
    assert {
        "MESSAGE=token ***",
        "VOICEBOX_PHASE=idle",
        "VOICEBOX_URL=wss://h/?token=***",
        "PRIORITY=4",
        "LOGGER=voicebox.app",
        "CODE_LINE=7",
        "SYSLOG_IDENTIFIER=voicebox",
    } <= set(sent)


def test_a_record_the_journal_refuses_goes_to_standard_error() -> None:
    """S72."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no journal")

    stream = io.StringIO()
    journal(refuse, stream).handle(record("the card is gone"))
    assert stream.getvalue() == "the card is gone\n"


def test_the_journal_is_used_only_when_standard_error_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(systemd, "journal_send", lambda: lambda message, **_: sent.append(message))
    with (tmp_path / "stderr").open("w+") as stream:
        status = (tmp_path / "stderr").stat()
        for stream_id, message in ((f"{status.st_dev}:{status.st_ino}", "to the journal"), ("1:2", "to the terminal")):
            stop = logs.setup(environ={"JOURNAL_STREAM": stream_id}, stream=stream)
            log.info(message)
            stop()
        stream.seek(0)
        assert sent == ["to the journal"]
        assert stream.read().rstrip().endswith("to the terminal")
