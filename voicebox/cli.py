"""The command line. Each command is one function; rooms are imported only by the command that needs them."""

import argparse
import asyncio
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from voicebox import __version__, logs
from voicebox.errors import VoiceboxError
from voicebox.redact import redact


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (see docs/configuration.md)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: not every terminal knows every character
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options) or 0
    except VoiceboxError as error:
        print(f"voicebox: {redact(str(error))}", file=sys.stderr)  # the owner's terminal
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; say nothing more
        return 141
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="voicebox", description="A headless smart speaker for real-time voice services."
    )
    parser.add_argument("--version", action="version", version=f"voicebox {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(command=function)
        return added

    def with_config(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--config", type=Path, metavar="FILE", help="settings to use instead of /etc/voicebox/voicebox.toml"
        )

    run = command("run", _run, "run the daemon in the foreground (what the systemd unit starts)")
    with_config(run)
    check = command("check", _check, "say everything that is wrong with the settings")
    with_config(check)
    config = command("config", _config_show, "show the settings in effect and where each came from")
    config.add_argument("action", choices=["show"])
    with_config(config)
    command("devices", _devices, "list the sound devices that audio.input and audio.output may name")

    demo = command("demo", _demo, "hold a conversation with the simulator and measure it; needs no sound card")
    demo.add_argument("--json", action="store_true", help="end with one JSON object on standard output")
    demo.add_argument("--live", action="store_true", help="use the real microphone and speaker: you do the talking")
    demo.add_argument("--fast", action="store_true", help="as fast as this machine can instead of in real time")
    demo.add_argument(
        "--output", type=Path, metavar="DIR", default=Path("demo-output"), help="where to save sound and picture"
    )
    with_config(demo)

    simulate = command("simulate", _simulate, "serve a voice service on loopback, to try the box against")
    simulate.add_argument("--brain", choices=["parrot", "talker"], default="parrot", help="what it answers")
    simulate.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    simulate.add_argument("--service", default="lira", metavar="NAME", help="which service it plays (default: lira)")
    simulate.add_argument(
        "--fault", action="extend", nargs="+", default=[], metavar="NAME", help="misbehave; see --list-faults"
    )
    simulate.add_argument(
        "--envelope", choices=["data", "flat", "payload"], default="data", help="where messages carry their fields"
    )
    simulate.add_argument("--bursty", action="store_true", help="leave gaps of 200 to 400 ms in the replies")
    simulate.add_argument("--list-faults", action="store_true", help="list the faults there are")
    simulate.add_argument("--record", type=Path, metavar="DIR", help="save what is received")
    return parser


def _say(text: str) -> None:
    print(text)  # what the owner asked to see


def _run(options: argparse.Namespace) -> int:
    from voicebox import app, settings  # noqa: PLC0415  # `voicebox --help` must not load the whole box

    loaded = settings.load(options.config)
    stop_logging = logs.setup(loaded.log.level)
    try:
        return app.main(loaded)
    finally:
        stop_logging()


def _check(options: argparse.Namespace) -> int:
    from voicebox import parts, settings  # noqa: PLC0415

    found = settings.problems(options.config, hooks=parts.CHECKS)
    for problem in found:
        _say(redact(problem))
    if not found:
        _say("the settings are fine")
    return 78 if found else 0


def _config_show(options: argparse.Namespace) -> int:
    from voicebox import settings  # noqa: PLC0415

    _say(redact(settings.render(settings.load(options.config))))
    return 0


def _devices(_options: argparse.Namespace) -> int:
    from voicebox.audio.portaudio import list_devices  # noqa: PLC0415

    devices = list_devices()
    for device in devices:
        uses = [f"{n} {what}" for n, what in ((device.inputs, "in"), (device.outputs, "out")) if n]
        also = f"  (also {', '.join(device.aliases)})" if device.aliases else ""
        _say(f"{device.name}{also}  {', '.join(uses)}, {device.rate} Hz")
    if not devices:
        _say("no sound devices: is a card connected (aplay -l), and may this user use it (group audio)?")
    return 0 if devices else 69


def _demo(options: argparse.Namespace) -> int:
    from voicebox import demo  # noqa: PLC0415

    return demo.main(
        output=options.output, as_json=options.json, is_live=options.live, fast=options.fast, config=options.config
    )


def _simulate(options: argparse.Namespace) -> int:
    from voicebox.simulator import command, faults  # noqa: PLC0415

    if options.list_faults:
        _say(faults.describe_faults())
        return 0
    wanted = command.Options(
        service=options.service,
        brain=options.brain,
        port=options.port,
        faults=tuple(options.fault),
        envelope=options.envelope,
        bursty=options.bursty,
        record=options.record,
    )
    stop_logging = logs.setup("info")
    try:
        asyncio.run(command.serve(wanted, _say))
    finally:
        stop_logging()
    return 0
