"""What is fuzzed: for each target one function that takes bytes and must not raise, whatever they are. fuzzing.py feeds
them what atheris thinks up, the tests what was found before."""

import importlib
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from voicebox import control, settings
from voicebox.audio.decode import Decoder
from voicebox.core.events import Event
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.services.base import Effect, Hangup, Later, Remember, Send, Sound

CORPUS = Path(__file__).parent.parent / "corpus"
LONGEST = 5.0  # seconds that are decoded
ADAPTERS = ("lira", "liku", "nextevi", "zeebee")
STALL = 0.02
"""Seconds of processor time: one block of the microphone, for which the loop may be held up by a conversation's
messages, all twenty together. Measured with the fuzzer's counting, which costs as much again several times over."""
CUT = b"\n--\n"
"""Between the messages of a conversation."""
MOST = 20
"""Messages of one that are taken, and lines of the control socket."""


def _adapter(name: str, kit: ModuleType) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        adapter = kit.service()
        if name == "liku":
            kit.begin(adapter)
        adapter.opened()
        for message in data.split(CUT)[:MOST]:
            binary = message[:1] == b"\0"
            for effect in adapter.received(message[1:] if binary else message.decode("utf-8", "replace")):
                _check(effect)
        for effect in (*adapter.audio_start(), *adapter.audio(b"\0\0"), *adapter.cancel(1), *adapter.goodbye()):
            _check(effect)

    return take


def _check(effect: Effect) -> None:
    assert isinstance(effect, Event | Send | Later | Hangup | Remember | Sound), repr(effect)


def decoder(data: bytes) -> None:
    """The first byte says in how large pieces it comes."""
    size = (data[0] if data else 0) * 16 + 1
    decode = Decoder(LONGEST)
    for at in range(1, len(data), size):
        pcm = decode(Sound(1, data[at : at + size], last=at + size >= len(data)))
        assert len(pcm) % 2 == 0
        assert len(pcm) <= LONGEST * 48_000
    decode(Sound(2, b"", last=True))


def config(data: bytes) -> None:
    """Read from a file, as the owner's are."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        with suppress(ConfigError):
            settings.load(Path(file.name), {})


def control_socket(data: bytes) -> None:
    """What the server makes of each line before anything is done."""
    for line in data.split(b"\n")[:MOST]:
        try:
            control._parse(line)
        except VoiceboxError as error:
            control._encoded({"ok": False, "error": str(error)})


def limit(target: str) -> float:
    """Seconds of processor time that an input may take: settings are read beside the loop, sound piece by piece."""
    return STALL if target in ADAPTERS else float("inf")


def targets() -> dict[str, Callable[[bytes], None]]:
    adapters = {name: _adapter(name, importlib.import_module(f"tests.services.{name}_kit")) for name in ADAPTERS}
    return adapters | {"decoder": decoder, "config": config, "control": control_socket}
