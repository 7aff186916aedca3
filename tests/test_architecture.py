"""Who may import whom. The rules of the rooms, read from the source."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "voicebox"
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400
OUTSIDE = {"asyncio", "time", "random", "secrets", "threading", "socket", "os", "pathlib", "io", "subprocess"}
"""Standard modules through which clock, chance, threads, files and network come in."""

EVERYWHERE = ("voicebox.errors", "voicebox.redact", "voicebox.core")
"""What every room may use beside its own modules; core itself uses only core."""

TOP = (
    "voicebox.app",
    "voicebox.daemon",
    "voicebox.parts",
    "voicebox.remote",
    "voicebox.reload",
    "voicebox.inputs",
    "voicebox.reports",
    "voicebox.cli",
    "voicebox.commands",
    "voicebox.__main__",
    "voicebox.demo",
    "voicebox.bench",
    "voicebox.support",
    "voicebox.doctor",
)
"""The modules that put rooms together: they may import everything, and nobody imports them but each other."""

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "voicebox.errors": (),
    "voicebox.redact": (),
    "voicebox.settings": ("voicebox.services.base", "voicebox.lights.base"),
    "voicebox.logs": ("voicebox.systemd",),
    "voicebox.lights": ("voicebox.pins",),
    "voicebox.buttons": ("voicebox.pins",),
    "voicebox.audio": ("voicebox.onnx",),
    "voicebox.wake": ("voicebox.onnx",),
    "voicebox.services": ("voicebox.wire",),
    "voicebox.simulator": ("voicebox.wire", "voicebox.assets", "voicebox.audio.base", "voicebox.audio.pcm"),
    "voicebox.sounds": ("voicebox.audio.base", "voicebox.audio.pcm"),
    "voicebox.hearing": (
        "voicebox.audio.base",
        "voicebox.audio.pcm",
        "voicebox.audio.vad",
        "voicebox.meters",
        "voicebox.uplink",
    ),
    "voicebox.meters": ("voicebox.audio.pcm", "voicebox.wake.base"),
    "voicebox.advice": ("voicebox.statefile",),
    "voicebox.keepsakes": ("voicebox.services.base", "voicebox.statefile"),
    "voicebox.web": ("voicebox.services.base", "voicebox.redial", "voicebox.clock"),
    "voicebox.latency": ("voicebox.audio.base", "voicebox.box"),
    "voicebox.recent": ("voicebox.box",),
    "voicebox.lastreply": ("voicebox.audio.base",),
    "voicebox.flatline": ("voicebox.audio.base",),
    "voicebox.liveness": ("voicebox.box", "voicebox.audio.base"),
    "voicebox.lead": ("voicebox.audio.base",),
    "voicebox.limiter": ("voicebox.services.base",),
    "voicebox.uplink": ("voicebox.audio.base", "voicebox.audio.pcm", "voicebox.wake.base"),
    "voicebox.showing": ("voicebox.lights.base",),
    "voicebox.session": (
        "voicebox.services.base",
        "voicebox.uplink",
        "voicebox.redial",
        "voicebox.websocket",
        "voicebox.pumps",
        "voicebox.limiter",
    ),
    "voicebox.pumps": (
        "voicebox.telltale",
        "voicebox.services.base",
        "voicebox.uplink",
        "voicebox.limiter",
        "voicebox.websocket",
    ),
    "voicebox.mqtt": ("voicebox.redial", "voicebox.detached"),
    "voicebox.mute": ("voicebox.statefile",),
    "voicebox.volume": ("voicebox.audio.base", "voicebox.audio.mixer", "voicebox.statefile"),
    "voicebox.usage": ("voicebox.statefile",),
    "voicebox.websocket": ("voicebox.services.base", "voicebox.redial", "voicebox.clock"),
    "voicebox.redial": ("voicebox.services.base",),
    "voicebox.box": (
        "voicebox.audio.base",
        "voicebox.lead",
        "voicebox.lights.base",
        "voicebox.session",
        "voicebox.uplink",
    ),
}
"""What a room may use beyond EVERYWHERE: of other rooms their promises (base), never what is behind them."""

LIBRARIES = {
    "websockets": {"websocket.py", "simulator/server.py"},  # one for each end of the wire
    "soundfile": {"audio/decode.py", "simulator/zeebee.py"},  # one reads, one writes
    "pyaudio": {"audio/streams.py", "audio/probe.py"},  # one works with the cards, one tries them
    "gpiozero": {"pins.py", "buttons.py", "lights/pwm.py", "lights/apa102.py", "lights/lamp.py", "demo/finger.py"},
}
"""The files that may import a library; one that is not named here is imported in a single file."""

ROOMS = {
    "pydantic": ("settings/", "services/", "wire/"),
    "numpy": ("audio/", "wake/", "simulator/", "assets/", "demo/", "bench/", "doctor/", "uplink.py", "onnx.py"),
}
"""Libraries of values rather than of devices: the rooms that may import them."""


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name: str) -> str:
    """``voicebox.audio.pcm`` is in the room ``voicebox.audio``."""
    return ".".join(name.split(".")[:2])


def imports(path: Path) -> Iterator[str]:
    """Full names of everything imported, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            assert node.module is not None
            # ``from voicebox import logs`` imports a module, ``from voicebox.errors import X`` a name in it
            yield from (f"voicebox.{alias.name}" if node.module == "voicebox" else node.module for alias in node.names)


def ids(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(place + ".") for place in places)


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_rooms_keep_apart(path: Path) -> None:
    mine = room(module(path))
    if mine in TOP:
        return
    allowed = (mine,) if mine == "voicebox.core" else (mine, *EVERYWHERE, *MAY_IMPORT.get(mine, ()))
    used = {name for name in imports(path) if name.startswith("voicebox.")}
    assert {name for name in used if not within(name, allowed)} == set()


@pytest.mark.parametrize("path", [p for p in FILES if p.is_relative_to(PACKAGE / "core")], ids=ids)
def test_the_core_uses_only_the_standard_library_and_no_outside_world(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)} - {"voicebox"}
    assert used <= sys.stdlib_module_names
    assert not used & {
        "asyncio",
        "time",
        "random",
        "threading",
        "socket",
        "os",
        "pathlib",
        "io",
        "subprocess",
        "logging",
    }


def test_adapters_do_no_input_or_output() -> None:
    """Services are sans-I/O: they have no clock, chance, thread, file or socket, but for the one door of theirs."""
    world = {"asyncio", "time", "random", "threading", "socket", "os", "pathlib", "io", "subprocess", "secrets"}
    found = {
        ids(p): {n.split(".")[0] for n in imports(p)} & world for p in FILES if p.is_relative_to(PACKAGE / "services")
    }
    assert found.pop("services/_world.py") == {"time"}
    assert {name: used for name, used in found.items() if used} == {}


def libraries() -> dict[str, set[str]]:
    """Third-party library -> the files that import it."""
    found = defaultdict(set)
    for path in FILES:
        for name in imports(path):
            top = name.split(".")[0]
            if top != "voicebox" and top not in sys.stdlib_module_names:
                found[top].add(ids(path))
    return found


def test_each_library_is_imported_in_one_file() -> None:
    found = {name: files for name, files in libraries().items() if name not in ROOMS}
    assert {
        name: files for name, files in found.items() if len(files) > 1 and not files <= LIBRARIES.get(name, set())
    } == {}


@pytest.mark.parametrize("library", ROOMS)
def test_libraries_of_values_stay_in_their_rooms(library: str) -> None:
    files = libraries()[library]
    assert files
    assert {file for file in files if not file.startswith(ROOMS[library])} == set()


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST
