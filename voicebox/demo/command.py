"""``voicebox demo``: sets the stage, plays the script, prints what happened and measured."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from voicebox import logs, settings
from voicebox.app import App
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.wavfile import WavBackend, write_wav
from voicebox.demo import live, picture
from voicebox.demo.figures import Span
from voicebox.demo.finger import Finger
from voicebox.demo.report import Report
from voicebox.demo.script import perform
from voicebox.demo.stage import DemoError, Mark, Stage
from voicebox.lights.none import NullLight
from voicebox.lights.terminal import TerminalLight
from voicebox.parts import Parts
from voicebox.simulator import Simulator
from voicebox.simulator.base import discover
from voicebox.virtualtime import InlineExecutor, run_virtual

NOISE = -75.0
"""dBFS of the microphone's own noise: it makes every 10 ms one of a kind, so that none can be lost unseen."""

NO_FILE = Path(os.devnull)
"""The stage is the same on every machine, whatever its owner has set."""

FAULTS = ("late_audio",)
"""Services that cut replies go on sending the dead one for a while: what must not be heard is there."""

_SIGNS = {"phase": "●", "wake": "*", "speech": "<", "session": "+", "interruption": "!", "button": "!"}
_LIVE = {"VOICEBOX_SERVICE": "simulator", "VOICEBOX_SIMULATOR__BRAIN": "talker"}
_STAGE = {
    "VOICEBOX_SERVICE": "simulator",
    "VOICEBOX_AUDIO__BACKEND": "wav",
    "VOICEBOX_AUDIO__DUPLEX": "full",  # arrays have no echo, so one can interrupt by voice
    "VOICEBOX_INTERRUPTION__DUCK": "false",  # what is heard is compared with what was sent, sample by sample
    "VOICEBOX_SIMULATOR__BRAIN": "talker",
    "VOICEBOX_LIGHTS__BACKEND": "terminal",
    "VOICEBOX_SOUNDS__EARCONS": "false",  # what is heard is compared with what was sent
}


@dataclass(frozen=True, slots=True)
class Options:
    """``services``: whose simulators are talked to, one after another; several save into a directory each.
    ``faults``: what they do wrong."""

    services: Sequence[str]
    output: Path
    as_json: bool = False
    live: bool = False
    fast: bool = False
    config: Path | None = None
    faults: Sequence[str] = FAULTS


def services() -> tuple[str, ...]:
    """All that can be simulated, by name."""
    return tuple(discover())


def main(options: Options) -> int:
    """Returns 0 if everything the demo is to show happened, with every service; 1 if not."""
    out = sys.stderr if options.as_json else sys.stdout

    def tell(text: str) -> None:
        print(text, file=out, flush=True)  # the demo is there to be read

    stop_logging = logs.setup("warning")
    try:
        went_well = [_show(service, options, tell) for service in options.services]
    finally:
        stop_logging()
    if len(went_well) > 1:
        for service, good in zip(options.services, went_well, strict=True):
            tell(f"  {service:16} {'all of it happened' if good else 'FAILED, see above'}")
    return 0 if all(went_well) else 1


def _show(service: str, options: Options, tell: Callable[[str], None]) -> bool:
    """The demo with one service; whether all of it happened."""
    if options.live:
        loaded = settings.load(options.config, {**os.environ, **_LIVE})
        heard = asyncio.run(live.converse(loaded, service, tell))
        tell("a reply was heard" if heard else "FAILED: no reply was heard")
        return heard
    output = options.output / service if len(options.services) > 1 else options.output
    played = play(output, tell, service=service, fast=options.fast, faults=options.faults)
    report = (run_virtual if options.fast else asyncio.run)(played)
    for line in report.lines():
        tell(line)
    if options.as_json:
        print(json.dumps(report.as_dict()), flush=True)  # what was asked for
    return report.ok


async def play(
    output: Path,
    tell: Callable[[str], None],
    *,
    service: str = "lira",
    fast: bool,
    faults: Sequence[str] = FAULTS,
) -> Report:
    """The script, played and measured; sound and picture are in ``output``."""
    with TemporaryDirectory() as home:  # what the demo keeps is not the owner's, nor is its control socket
        report = await _perform(tell, home, Simulator(service, brain="talker", faults=faults, keep=True), fast=fast)
    report.files = _save(output, report)
    return report


async def _perform(tell: Callable[[str], None], home: str, simulator: Simulator, *, fast: bool) -> Report:
    tell(
        f"A conversation with the simulated service {simulator.service}: the real daemon, sound from and into arrays.\n"
    )
    finger = Finger()
    backend = WavBackend(noise=NOISE)
    parts = Parts(
        backend=backend,
        light=TerminalLight(sys.stderr) if sys.stderr.isatty() else NullLight(),  # elsewhere the phases say the same
        executor=InlineExecutor() if fast else None,
        simulator=simulator,
        environ={"STATE_DIRECTORY": home, "RUNTIME_DIRECTORY": home},
    )
    said: list[Span] = []
    failure = ""
    stop = asyncio.Event()
    try:
        async with App(settings.load(NO_FILE, _STAGE), parts) as app:
            stage = Stage(app, lambda: backend.position / CAPTURE_RATE, lambda mark: tell(_line(mark)))
            running = asyncio.ensure_future(app.run(stop))
            try:
                said = await perform(stage, backend, finger)
            except DemoError as error:
                failure = str(error)
            stop.set()
            await running
    finally:
        finger.close()
    return Report(stage, backend, simulator.connections, said, failure)


def _line(mark: Mark) -> str:
    return f"{mark.at:7.2f} s  {_SIGNS[mark.kind]} {mark.text}"


def _save(output: Path, report: Report) -> list[str]:
    """Save sound and picture; returns what was saved, for the owner."""
    backend = report.backend
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_wav(output / "microphone.wav", backend.mic, CAPTURE_RATE)
        write_wav(output / "speaker.wav", backend.spk, PLAYBACK_RATE)
    except OSError as error:
        raise DemoError(f"cannot save to {output}: {error.strerror}; choose another place with --output DIR") from error
    saved = [str(output / "microphone.wav"), str(output / "speaker.wav")]
    try:
        picture.draw(output / "timeline.png", report.stage, backend)
    except ImportError:
        return [*saved, "(no picture: matplotlib is not installed; pip install 'voicebox[demo]')"]
    return [*saved, str(output / "timeline.png")]
