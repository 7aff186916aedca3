"""COM-11: recorded conversations are replayed against the adapters; see tests/transcripts/README.md."""

import base64
import json
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from voicebox.services.base import Adapter, Dial, Effect, HttpAnswer, HttpRequest, Later, Send, discover

FOLDER = Path(__file__).parent.parent / "transcripts"
NOW = 1_700_000_000.0


class Replay:
    """One conversation with a new adapter."""

    def __init__(self, service: str, lines: list[dict[str, Any]]) -> None:
        self._lines = deque(lines)
        self._done: deque[Effect] = deque()
        setup = self._lines.popleft()
        assert setup["dir"] == "setup"
        module = discover()[service]
        self._adapter: Adapter = module.Service(module.Settings(**setup.get("settings", {})))
        self._credentials = setup["credentials"]

    def run(self) -> None:
        self._dial()
        while self._lines:
            line = self._lines.popleft()
            handlers = {"in": self._receive, "act": self._act, "out": self._sent, "event": self._reported}
            handlers[line["dir"]](line)
        assert not self._done, "more than what stands there"

    def _dial(self) -> None:
        step, effects = self._adapter.dial(self._credentials, NOW)
        self._note(effects)
        while isinstance(step, HttpRequest):
            line = self._lines.popleft()
            assert (line["dir"], line["purpose"]) == ("http", step.purpose)
            text = line.get("text", "")
            answer = HttpAnswer(
                line["status"], text if isinstance(text, str) else json.dumps(text), line.get("headers", {})
            )
            step, effects = self._adapter.answered(step, answer)
            self._note(effects)
        assert isinstance(step, Dial)
        self._note(self._adapter.opened())

    def _note(self, effects: Iterable[Effect]) -> None:
        self._done.extend(effect for effect in effects if not isinstance(effect, Later))

    def _receive(self, line: dict[str, Any]) -> None:
        assert not self._done, f"before {line}"
        message = json.dumps(line["json"]) if "json" in line else line.get("text")
        self._note(self._adapter.received(base64.b64decode(line["base64"]) if message is None else message))

    def _act(self, line: dict[str, Any]) -> None:
        assert not self._done, f"before {line}"
        if line["do"] != "speak":
            self._note(getattr(self._adapter, line["do"])(*line.get("args", [])))
            return
        self._note(self._adapter.audio_start())
        chunk = self._adapter.capabilities.uplink_chunk
        for left in range(round(line["seconds"] * self._adapter.capabilities.uplink_rate), 0, -chunk):
            self._note(self._adapter.audio(b"\1\0" * min(chunk, left)))
        self._note(self._adapter.audio_stop())

    def _sent(self, line: dict[str, Any]) -> None:
        effect = self._done.popleft()
        assert isinstance(effect, Send), effect
        if isinstance(effect.message, bytes):
            assert line == {"dir": "out", "bytes": len(effect.message)}
            return
        message = json.loads(effect.message)
        assert {name: "*" if line["json"].get(name) == "*" else value for name, value in message.items()} == line[
            "json"
        ]

    def _reported(self, line: dict[str, Any]) -> None:
        effect = self._done.popleft()
        assert type(effect).__name__ == line["type"], effect
        fields = {name: getattr(effect, name) for name in line if name not in ("dir", "type")}
        shown = {name: len(value) if isinstance(value, bytes) else value for name, value in fields.items()}
        assert json.loads(json.dumps(shown)) == {name: line[name] for name in shown}


FILES = sorted(FOLDER.glob("*/*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=[f"{path.parent.name}-{path.stem}" for path in FILES])
def test_the_adapter_does_what_it_did(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    Replay(path.parent.name, lines).run()


def test_there_are_transcripts_of_services_only() -> None:
    assert FILES
    assert {path.parent.name for path in FILES} <= discover().keys()
