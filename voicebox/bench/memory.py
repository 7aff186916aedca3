"""How much memory the daemon takes, and its packages on disk."""

import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from re import match

from voicebox.bench import _peer, _process, _rig
from voicebox.bench._figures import Figure, Options, at_most, stated
from voicebox.bench._talk import Talk

_SETTLED = 15  # seconds
NEVER_LOADED = {"scipy", "scikit-learn", "tqdm"}
"""What only openwakeword asks for; scripts/install leaves it out."""


def run(options: Options) -> list[Figure]:
    figures = [at_most("the box's packages on disk, without byte code", sum(_sizes()) / 1e6, "MB", 220)]
    pulse = _rig.pulse()
    if _rig.daemon() is None or pulse is None or not pulse.available():
        options.left_out("the running daemon", f"{_rig.WHY_NOT}; and PulseAudio")
        return figures
    with pulse.PulseServer() as server:
        figures += [*_idle(server), _talking(server)]
        if not _peer.installed():
            options.left_out(_peer.NAME, _peer.WHY_NOT)
            return figures
        return [*figures, _peers(server)]


def _peers(server: object) -> Figure:
    with _peer.listening(server.env) as processes:  # type: ignore[attr-defined]  # of the tests
        time.sleep(_SETTLED)
        return stated(f"idle, {_peer.NAME}: PSS", sum(map(_process.pss, processes)), "MB")


def _idle(server: object) -> Iterator[Figure]:
    environ: dict[str, str] = server.env  # type: ignore[attr-defined]  # of the tests
    environ = environ | {"VOICEBOX_AUDIO__ECHO_CANCELLATION": "false"}
    with tempfile.TemporaryDirectory() as folder, _process.daemon(Path(folder), environ) as box:
        time.sleep(_SETTLED)
        yield at_most("idle, no echo canceller: PSS", _process.pss(box.process.pid), "MB", 75)
        yield stated("… of that without a file behind it", _process.anonymous(box.process.pid), "MB")


def _talking(server: object) -> Figure:
    """In full duplex, to a service that is another process's; the most of ten looks."""
    most = 0.0
    with tempfile.TemporaryDirectory() as folder, Talk(Path(folder), server) as talk:
        for _ in range(2):
            talk.ask()
            for _ in range(5):
                time.sleep(1)
                most = max(most, _process.pss(talk.pid))
            talk.end()
    return at_most("conversation, full duplex with echo canceller: PSS", most, "MB", 105)


def _sizes() -> Iterator[int]:
    """Bytes of every file of the packages that the box is made of."""
    due, seen = ["voicebox"], set(NEVER_LOADED)
    while due:
        name = due.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform
        yield from (path.stat().st_size for one in package.files or () if (path := Path(str(one.locate()))).is_file())
        wanted = (one for one in package.requires or () if "extra ==" not in one)
        due += [found[0].lower() for one in wanted if (found := match(r"[\w.-]+", one))]
