"""A box loads what its settings use, and nothing else: each library costs memory that a small Pi has not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

START = """
import asyncio, json, sys
from pathlib import Path
from voicebox import settings
from voicebox.app import App
from voicebox.parts import Parts
from voicebox.systemd import Notifier

async def start():
    async with App(settings.load(Path(sys.argv[1])), Parts(notifier=Notifier({}))):
        print(json.dumps(sorted(name.split(".")[0] for name in sys.modules if "." not in name)))

asyncio.run(start())
"""
LEAST = """
audio.backend = "wav"
audio.echo_cancellation = false
wake.enabled = false
lights.backend = "none"
button.pin = false
"""
NEVER = {
    "openwakeword",
    "scipy",
    "sklearn",
    "matplotlib",
    "pyopen_wakeword",
    "hypothesis",
    "pytest",
    "protobuf",
    "tqdm",
}
"""Not even where everything is used."""
USED_BY = {
    "onnxruntime": "wake",
    "gpiozero": "lights or a button on pins",
    "pyaudio": "sound cards",
    "paho": "mqtt",
    "aiomqtt": "mqtt",
    "httpx": "LIKU",
    "soundfile": "encoded replies",
    "soxr": "cards of other rates",
    "tomlkit": "voicebox config",
    "urwid": "voicebox monitor",
}
"""Library, and what has to be wanted of a box that loads it."""


def loaded(program: str, *arguments: str, tmp_path: Path) -> set[str]:
    environ = {"PYTHONPATH": str(ROOT), "STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environ,
    )
    return set(json.loads(done.stdout))


def box(config: str, tmp_path: Path) -> set[str]:
    path = tmp_path / "voicebox.toml"
    path.write_text(config)
    return loaded(START, str(path), tmp_path=tmp_path)


def test_a_box_that_wants_nothing_loads_nothing_for_it(tmp_path: Path) -> None:
    modules = box(LEAST, tmp_path)
    assert modules & (NEVER | USED_BY.keys()) == set()
    assert "numpy" in modules


def test_a_box_that_listens_for_its_wake_word_loads_the_networks_and_no_more(tmp_path: Path) -> None:
    modules = box(LEAST.replace("wake.enabled = false\n", ""), tmp_path)
    assert modules & (NEVER | USED_BY.keys()) == {"onnxruntime"}


@pytest.mark.parametrize("command", ["status", "mute", "say hello"])
def test_a_command_to_the_running_box_loads_no_library(command: str, tmp_path: Path) -> None:
    program = (
        "import json, sys; from voicebox import cli\n"
        f"cli.main({command.split()!r})\n"
        "print(json.dumps(sorted(name for name in sys.modules if '.' not in name)))"
    )
    modules = loaded(program, tmp_path=tmp_path)
    assert modules & ({"numpy", "pydantic", "websockets"} | NEVER | USED_BY.keys()) == set()
