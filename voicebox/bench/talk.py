"""What a conversation in full duplex costs: echo canceller, uplink and reply at once."""

import tempfile
import time
from pathlib import Path

import numpy as np

from voicebox.bench import _process, _rig
from voicebox.bench._figures import Figure, Options, stated
from voicebox.bench._talk import Talk

_REPLIES = 7
_SECONDS = 5


def run(options: Options) -> list[Figure]:
    pulse = _rig.pulse()
    if _rig.daemon() is None or pulse is None or not pulse.available():
        options.left_out("a conversation", f"{_rig.WHY_NOT}; and PulseAudio")
        return []
    _process.pin()
    shares, wakeups = list[float](), list[float]()
    with pulse.PulseServer() as server, tempfile.TemporaryDirectory() as folder, Talk(Path(folder), server) as talk:
        for _ in range(options.times(_REPLIES)):
            talk.ask()
            cpu, woken, began = _process.cpu(talk.pid), _process.wakeups(talk.pid), time.monotonic()
            time.sleep(_SECONDS)
            took = time.monotonic() - began
            shares.append((_process.cpu(talk.pid) - cpu) / took)
            wakeups.append((_process.wakeups(talk.pid) - woken) / took)
            talk.end()
    return [
        stated(
            "while it speaks, full duplex with echo canceller: daemon, CPU of one core",
            float(np.median(shares)) * 100,
            "%",
        ),
        stated("the same: daemon wakes, all threads", float(np.median(wakeups)), "times/s"),
    ]
