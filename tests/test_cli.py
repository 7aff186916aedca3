"""The command line towards a running box: what it asks, what it prints, and how it ends."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from voicebox import __version__, cli
from voicebox.control import Action, Control
from voicebox.errors import ConfigError

STATUS = {
    "version": "0.0.9",
    "status": "muted",
    "fault": None,
    "connected": True,
    "muted": False,
    "rtt_ms": 1.5,
    "uplink": {"sent": 3},
}
WAKE_PHRASE = {"model": "hey_jarvis", "threshold": 0.5, "patience": 1}


class Daemon:
    """A thread that answers on a socket, and notes what it is asked."""

    def __init__(self, path: Path) -> None:
        self.asked: list[dict[str, Any]] = []
        self.path = path
        self._loop = asyncio.new_event_loop()
        noted: dict[str, Action] = dict.fromkeys(("say", "session.set", "mute", "unmute", "talk", "stop"), self._note)
        noted["volume"] = lambda request: {**self._note(request), "volume": 40, "control": "PCM"}
        noted["wake"] = lambda _: {"phrases": [WAKE_PHRASE], "days": 7, "floor": 0.2, "counts": {}}
        actions = {"status": self._status, **noted, "conversation.new": self._refuse}
        self._control = Control(path, actions)
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Daemon":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._control.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._control.stop(), self._loop).result(10)

    async def _tell(self, *events: Mapping[str, Any]) -> None:
        """Once somebody watches."""
        while not self._control.is_watched:  # noqa: ASYNC110  # it says nothing when it happens
            await asyncio.sleep(0.001)
        for event in events:
            self._control.publish(event)

    def soon(self, *events: Mapping[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(self._tell(*events), self._loop)

    def ends_soon(self) -> None:
        """Once somebody watches."""

        async def end() -> None:
            await self._tell()
            await self._control.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)

    def _note(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(dict(request))
        return {}

    def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return dict(STATUS)

    def _refuse(self, _: Mapping[str, Any]) -> dict[str, Any]:
        raise ConfigError("unsupported: with lira this cannot be asked for")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "control.sock"
    monkeypatch.setenv("VOICEBOX_CONTROL", str(path))
    return path


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    with Daemon(path) as daemon:
        yield daemon


def test_version_tells_both_where_they_differ(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    del daemon
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"voicebox {__version__}",
        "running: 0.0.9 (sudo systemctl restart voicebox)",
    ]


def test_version_without_a_box(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del path
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"voicebox {__version__}\n"


def test_status_for_programs(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    del daemon
    assert cli.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == STATUS


def test_say(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["say", "wie spät ist es?"]) == 0
    assert daemon.asked == [{"do": "say", "text": "wie spät ist es?"}]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("command", ["mute", "unmute", "talk", "stop"])
def test_requests_without_more(daemon: Daemon, command: str) -> None:
    assert cli.main([command]) == 0
    assert daemon.asked == [{"do": command}]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([], {}),
        (["40"], {"level": 40}),
        (["0"], {"level": 0}),
        (["101"], {"level": 101}),  # the box says what is wrong with that
        (["+5"], {"by": 5}),
        (["-5"], {"by": -5}),
    ],
)
def test_volume(daemon: Daemon, capsys: pytest.CaptureFixture[str], given: list[str], asked: dict[str, int]) -> None:
    assert cli.main(["volume", *given]) == 0
    assert daemon.asked == [{"do": "volume", **asked}]
    assert capsys.readouterr().out == "40 (PCM)\n"


@pytest.mark.parametrize("given", ["loud", "4.5", "--5", "1000", "٣", "50%"])
def test_volume_takes_numbers(path: Path, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    del path
    with pytest.raises(SystemExit) as end:
        cli.main(["volume", given])
    assert end.value.code == 2
    assert given in capsys.readouterr().err


def test_session_set_reads_json_where_it_is_json(daemon: Daemon) -> None:
    values = ["personality=kind=er", "volume=0.5", "on=true", "none=null", 'deep={"a": [1]}', "empty=", "odd=NaN"]
    assert cli.main(["session", "set", *values]) == 0
    expected = {"personality": "kind=er", "volume": 0.5, "on": True, "none": None, "deep": {"a": [1]}, "empty": ""}
    assert daemon.asked == [{"do": "session.set", "settings": expected | {"odd": "NaN"}}]


@pytest.mark.parametrize("values", [["personality"], ["=kind"], []])
def test_session_set_needs_a_key_and_a_value(path: Path, values: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    del path
    with pytest.raises(SystemExit) as end:
        cli.main(["session", "set", *values])
    assert end.value.code == 2
    assert "KEY=VALUE" in capsys.readouterr().err


def test_what_the_box_refuses_is_said_and_fails(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    del daemon
    assert cli.main(["conversation", "new"]) == 1
    assert capsys.readouterr().err == "voicebox: unsupported: with lira this cannot be asked for\n"


def test_watch_prints_a_line_for_each_event_until_the_box_ends(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def see(line: str, *, flush: bool) -> None:
        assert flush  # whoever reads it wants it now
        lines.append(line)
        if len(lines) == 2:
            daemon.stop()

    monkeypatch.setattr("builtins.print", see)
    daemon.soon({"event": "WakeDetected"}, {"event": "Transcript", "text": "größer"})
    assert cli.main(["watch"]) == 0
    assert [json.loads(line)["event"] for line in lines] == ["WakeDetected", "Transcript"]
    assert "größer" in lines[1]


@pytest.mark.parametrize(
    "command",
    [["status"], ["say", "x"], ["session", "set", "a=1"], ["conversation", "new"], ["mute"], ["volume"], ["watch"]],
    ids=" ".join,
)
def test_without_a_daemon_it_says_so_and_ends_with_69(
    path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command) == 69
    said = capsys.readouterr()
    assert said.out == ""
    assert f"no voicebox answers on {path}" in said.err
    assert len(said.err.splitlines()) == 1
