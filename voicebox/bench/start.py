"""How long a start takes beside the libraries it cannot do without, and what a command to the running box costs."""

import compileall
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from voicebox.bench import _process, _rig
from voicebox.bench._figures import Figure, Options, at_most, stated

_LIBRARIES = "asyncio, numpy, onnxruntime, pyaudio, pydantic_settings, websockets"
_BARE = f"import os, {_LIBRARIES}; import websockets.asyncio.client; os._exit(0)"
"""It ends at once: taking the libraries down again costs a third more, which no start has to do."""


def run(options: Options) -> list[Figure]:
    pulse, vendors, config = _rig.pulse(), _rig.vendors(), 'service = "lira"\n'
    if vendors is None or pulse is None or not pulse.available():
        options.left_out("starting", f"{_rig.WHY_NOT}; and PulseAudio")
        return []
    _process.pin()
    turns = max(3, options.times(9))
    bare, ready, waited, status = list[float](), list[float](), list[float](), list[float]()
    compileall.compile_dir(Path(__file__).parents[1], quiet=1)  # as an installed box is
    with pulse.PulseServer() as server, vendors.Lira() as service:
        for turn in range(turns + 1):  # the first fills the disk's cache
            imports = _cpu_of([sys.executable, "-c", _BARE])
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                with _process.daemon(Path(folder), server.env, config + service.config, service.secrets) as box:
                    cpu, wall = _process.cpu(box.process.pid), time.monotonic() - began
                    command = [sys.executable, "-m", "voicebox", "status"]
                    asked = _cpu_of(command, {"RUNTIME_DIRECTORY": f"{folder}/runtime"})
            if turn:
                for values, value in zip((bare, ready, waited, status), (imports, cpu, wall, asked), strict=True):
                    values.append(value)
    return [
        stated(f"bare import of {_LIBRARIES}", float(np.median(bare)) * 1000, "ms CPU"),
        at_most("start until READY: of the bare import", float(np.median(ready) / np.median(bare)), "x", 1.5),
        stated("start until READY, waited for", float(np.median(waited)) * 1000, "ms"),
        at_most("voicebox status", float(np.median(status)) * 1000, "ms CPU", 150),
    ]


def _cpu_of(command: list[str], environ: dict[str, str] | None = None) -> float:
    """Seconds of CPU, user and system, of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    telemetry = {"ORT_DISABLE_TELEMETRY": "1"}
    subprocess.run(  # noqa: S603  # our own interpreter
        command, env={**os.environ, **telemetry, **(environ or {})}, check=True, stdout=subprocess.DEVNULL, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
