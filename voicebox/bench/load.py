"""What becomes of conversations where the machine has no time left: every core busy, or a fifth of one for the box."""

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voicebox.audio.base import CAPTURE_RATE
from voicebox.bench import _process, _rig
from voicebox.bench._codes import Samples, account
from voicebox.bench._figures import Figure, Options, at_most, stated
from voicebox.bench.audio import noise
from voicebox.bench.wake import noise as room

_TURNS = 8
_CODED = 3 * CAPTURE_RATE
"""Samples said after the wake word, of which each is known again at the service."""
_FIFTH = 20_000
"""Microseconds of each 100 000."""
_UNDERRUNS = 1.0
"""Most for one answer, of some three seconds."""
_CONFIG = 'service = "lira"\nconversation.follow_up_s = 1.0\n'
_PR_CAPBSET_DROP, _CAP_SYS_NICE = 24, 23  # prctl(2), capabilities(7)
_HeldBack = Callable[[], int] | None
_Load = Callable[[int], AbstractContextManager[_HeldBack]]
"""Given the daemon's process id; it lasts as long as the context, which tells how often it was held back, if it was."""


@dataclass(slots=True)
class _Tally:
    heard: list[float] = field(default_factory=list)
    """Seconds from the first sound of a call until the box had heard the wake word; none for one it had not."""
    lost: int = 0
    wakes: int = 0
    underruns: int = 0
    threads: int = 0
    """With a real-time priority."""
    held_back: int = 0
    """In so many tenths of a second."""


def run(options: Options) -> list[Figure]:
    pulse, vendors, speech, groups = _rig.pulse(), _rig.vendors(), _rig.speech(), _rig.cgroup()
    if not (vendors and pulse and speech and groups and pulse.available()):
        options.left_out("load", f"{_rig.WHY_NOT}; and PulseAudio")
        return []
    said = np.concatenate([room(20, -66, 0, 1).reshape(-1), speech.say("hey jarvis", "flite:awb")])
    turns, figures = options.times(_TURNS), list[Figure]()

    with pulse.PulseServer() as server:

        def measure(name: str, load: _Load) -> None:
            figures.extend(_told(name, turns, _measure(turns, server, vendors, said, load)))

        measure("nothing else to do", lambda _: nullcontext())
        measure("every core busy", lambda _: _busy())
        _take_priority_away()
        measure("every core busy, callbacks at ordinary priority", lambda _: _busy())
        try:  # without priority: a kernel with groups for that, too, would refuse it
            measure("a fifth of a core, callbacks at ordinary priority", _a_fifth(groups))
        except groups.Unavailable as error:
            options.left_out("a fifth of a core", str(error))
    return figures


def _measure(turns: int, server: Any, vendors: Any, call: Samples, load: _Load) -> _Tally:  # noqa: ANN401  # of the tests
    tally = _Tally()
    with (
        tempfile.TemporaryDirectory() as folder,
        vendors.Lira("answer") as vendor,
        _process.daemon(Path(folder), server.env, _CONFIG + vendor.config, vendor.secrets) as box,
        load(box.process.pid) as held_back,
    ):
        for turn in range(turns):
            coded = noise(_CODED, turn)
            began = time.monotonic()
            server.say(np.concatenate([call, room(5, -66, 0, 2).reshape(-1), coded, room(25, -66, 0, 3).reshape(-1)]))
            try:
                woken = box.expect("→ connecting .WakeDetected", timeout=5)
            except AssertionError:
                continue
            box.expect("→ idle", timeout=60)
            tally.heard.append(woken.moment - began)
            tally.lost += account(coded, vendors.heard_by(vendor.last))[0]
        tally.wakes = len(box.said("→ connecting .WakeDetected"))
        tally.underruns = box.ask("status")["underruns"]
        tally.threads = _process.real_time_threads(box.process.pid)
        tally.held_back = held_back() if held_back else 0
        box.terminate()
        box.wait(15)
    return tally


def _told(name: str, turns: int, tally: _Tally) -> list[Figure]:
    later = [each * 1000 for each in tally.heard] or [float("nan")]
    return [
        at_most(f"{name}: calls of {turns} not heard", turns - len(tally.heard), "times", 0),
        at_most(f"{name}: heard though nobody called", tally.wakes - len(tally.heard), "times", 0),
        stated(f"{name}: from the beginning of a call until it is heard, median", float(np.median(later)), "ms"),
        stated(f"{name}: the same, longest", max(later), "ms"),
        at_most(f"{name}: samples of the microphone that the service did not get", tally.lost, "samples", 0),
        at_most(f"{name}: underruns for an answer", tally.underruns / turns, "times", _UNDERRUNS),
        stated(f"{name}: tenths of a second in which it was held back", tally.held_back, ""),
        stated(f"{name}: threads with a real-time priority", tally.threads, ""),
    ]


def _a_fifth(groups: Any) -> _Load:  # noqa: ANN401  # of the tests
    @contextmanager
    def limited(pid: int) -> Iterator[_HeldBack]:
        with groups.limited("cpu", _FIFTH, pid) as group:
            yield lambda: groups.throttled(group)

    return limited


@contextmanager
def _busy() -> Iterator[None]:
    """As many ordinary processes that only compute as there are cores."""
    alone = "import os\nours = os.getppid()\nwhile os.getppid() == ours: sum(range(100_000))"  # it ends with us
    command = [sys.executable, "-c", alone]
    burners = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]  # noqa: S603  # our own interpreter
    try:
        yield
    finally:
        for each in burners:
            each.kill()
            each.wait()


def _take_priority_away() -> None:
    """From this process and what it starts, for good: no thread of theirs may come before ordinary work."""
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_SYS_NICE, 0, 0, 0)
