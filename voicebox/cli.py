"""The command line. Each command is one function; rooms are imported only by the command that needs them."""

import argparse
import asyncio
import importlib
import io
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from voicebox import __version__, logs
from voicebox.core.scenes import Scene
from voicebox.errors import ConfigError, VoiceboxError
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
    _add_settings(command, with_config)
    command("devices", _devices, "list the sound devices that audio.input and audio.output may name")

    _add_running(command)
    _add_hearing(command, with_config)
    _add_light(command)
    _add_doctor(command, with_config)

    demo = command("demo", _demo, "hold a conversation with the simulator and measure it; needs no sound card")
    demo.add_argument("--json", action="store_true", help="end with one JSON object on standard output")
    demo.add_argument("--live", action="store_true", help="use the real microphone and speaker: you do the talking")
    demo.add_argument("--fast", action="store_true", help="as fast as this machine can instead of in real time")
    which = demo.add_mutually_exclusive_group()
    which.add_argument("--service", default="lira", metavar="NAME", help="which service is simulated (default: lira)")
    which.add_argument("--all", action="store_true", help="one service after another, each saved in DIR/NAME")
    demo.add_argument(
        "--output", type=Path, metavar="DIR", default=Path("demo-output"), help="where to save sound and picture"
    )
    with_config(demo)

    _add_bench(command, with_config)
    _add_support(command, with_config)

    simulate = command("simulate", _simulate, "serve a voice service on loopback, to try the box against")
    simulate.add_argument("--brain", choices=["parrot", "talker"], default="parrot", help="what it answers")
    simulate.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    simulate.add_argument("--service", default="lira", metavar="NAME", help='which service it plays, or "all"')
    simulate.add_argument(
        "--fault", action="extend", nargs="+", default=[], metavar="NAME", help="misbehave; see --list-faults"
    )
    simulate.add_argument(
        "--dialect",
        dest="envelope",
        choices=["data", "flat", "payload"],
        default="data",
        help="where messages carry their fields",
    )
    simulate.add_argument("--bursty", action="store_true", help="leave gaps of 200 to 400 ms in the replies")
    simulate.add_argument("--list-faults", action="store_true", help="list the faults there are")
    simulate.add_argument("--record", type=Path, metavar="DIR", help="save what is received")
    return parser


def _add_running(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Commands that ask the running box."""
    status = command(
        "status", _later("status.show"), "say whether the box is well, what it does, and what happened last"
    )
    status.add_argument("--json", action="store_true", help="as one JSON object")
    command("talk", _later("running.plainly"), "begin to listen, or interrupt: as a tap of the button")
    command("stop", _later("running.plainly"), "end the conversation, and be silent")
    say = command("say", _later("running.say"), "say something to the service in writing, and hear its answer")
    say.add_argument("text", help="what you would say")
    session = command("session", _later("running.set_session"), "change settings of the session that is open")
    session.add_argument("action", choices=["set"])
    session.add_argument(
        "values", nargs="+", type=_key_and_value, metavar="KEY=VALUE", help="VALUE as JSON, or else as plain text"
    )
    text = "say how loud the box is, or make it louder or softer; also through restarts"
    volume = command("volume", _later("running.volume"), text)
    volume.add_argument("level", nargs="?", type=_level, metavar="N", help="0 to 100, or by how much: +N, -N")
    command("mute", _later("running.plainly"), "close the microphone, until it is unmuted; also through restarts")
    command("unmute", _later("running.plainly"), "open the microphone again")
    text = "begin a new conversation with the next thing said"
    conversation = command("conversation", _later("running.new_conversation"), text)
    conversation.add_argument("action", choices=["new"])
    command("watch", _later("running.watch"), "print what happens, one JSON object per line, until Ctrl-C")
    button = command("button", _later("running.button_test"), "say what presses of the running box's button do")
    button.add_argument("action", choices=["test"])
    button.add_argument("--seconds", type=float, default=30.0, help="for how long (default 30)")
    completion = command("completion", _completion, "print what makes a shell complete voicebox's commands")
    completion.add_argument("shell", choices=["bash", "zsh"])
    command("version", _version, "say which voicebox this is, and which one is running")


def _add_doctor(
    command: Callable[..., argparse.ArgumentParser], with_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    text = "look at everything a box needs, and name the cure of what is wrong, within four minutes and yours"
    doctor = command("doctor", _later("doctor.examine"), text)
    doctor.add_argument(
        "--yes", action="store_true", help="ask nobody; stops the service for the sound, and starts it again"
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object; asks nobody")
    with_config(doctor)


def _add_bench(
    command: Callable[..., argparse.ArgumentParser], with_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    bench = command("bench", _bench, "measure this box, or the voicebox of this repository, beside its targets")
    bench.add_argument("section", nargs="*", metavar="SECTION", help="what to measure (default: all there is)")
    bench.add_argument("--json", action="store_true", help="one list of {name, value, unit, target, ok}")
    bench.add_argument(
        "--scale", type=float, default=1.0, metavar="X", help="how much: 0.1 is a tenth of the repetitions (default 1)"
    )
    bench.add_argument("--card", action="store_true", help="this box's own sound card, too (stop the daemon first)")
    bench.add_argument("--update", type=Path, metavar="FILE", help="renew the sections' tables in this Markdown file")
    with_config(bench)


def _add_support(
    command: Callable[..., argparse.ArgumentParser], with_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    text = "pack what somebody who helps you needs to see: nothing that was said, no secrets, no names of networks"
    support = command("support-bundle", _later("support.bundle"), text)
    support.add_argument("--show", action="store_true", help="print all of it instead of writing it")
    support.add_argument("--yes", action="store_true", help="write it without asking")
    support.add_argument(
        "--output", type=Path, metavar="FILE", help="what to write (default: voicebox-support-….tar.gz)"
    )
    with_config(support)


def _add_hearing(
    command: Callable[..., argparse.ArgumentParser], with_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    command("monitor", _later("monitor.main"), "show live what the running box hears and does, until q")
    wake = command("wake", _check, "say how the wake word does, or try it").add_subparsers(
        required=True, metavar="ACTION"
    )
    report = wake.add_parser("report", help="what another threshold would have meant this week, and what it hears now")
    report.add_argument("--json", action="store_true", help="as one JSON object")
    report.set_defaults(command=_later("wake.report"))
    test = wake.add_parser("test", help="score a sound file, or what the running box hears")
    test.add_argument("file", nargs="?", type=Path, metavar="FILE", help="WAV, FLAC, Ogg or MP3 (default: the room)")
    test.add_argument("--seconds", type=float, default=15.0, help="how long to listen to the room (default 15)")
    test.set_defaults(command=_later("wake.test"))
    with_config(test)


def _add_light(command: Callable[..., argparse.ArgumentParser]) -> None:
    light = command("light", _check, "show what the lights can show, on the running box").add_subparsers(
        required=True, metavar="ACTION"
    )
    light.add_parser("test", help="one scene after another, with its name").set_defaults(command=_later("light.test"))
    shown = light.add_parser("show", help="one scene for a while, e.g. updating")
    shown.add_argument("scene", choices=[scene.value for scene in Scene], metavar="SCENE", help=", ".join(Scene))
    shown.add_argument("--seconds", type=float, default=10.0, help="for how long (default 10, at most 600)")
    shown.set_defaults(command=_later("light.show"))


def _add_settings(
    command: Callable[..., argparse.ArgumentParser], with_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Commands that look at or change what the owner has set."""
    config = command("config", _check, "show, edit or change the settings").add_subparsers(
        required=True, metavar="ACTION"
    )
    secret = command("secret", _check, "store, list or remove tokens and passwords").add_subparsers(
        required=True, metavar="ACTION"
    )
    for group, action, function, text in (
        (config, "show", "config.show", "show the settings in effect and where each came from"),
        (config, "edit", "config.edit_file", "edit the settings file in $EDITOR; it is checked before it counts"),
        (config, "set", "config.set_key", "set one key; comments stay where they are"),
        (secret, "set", "secret.set_secret", "store a token or password: asked for, or read from standard input"),
        (secret, "list", "secret.show_all", "list what is stored: names and ages, never the secrets"),
        (secret, "rm", "secret.remove", "remove one"),
    ):
        added = group.add_parser(action, help=text, description=text[0].upper() + text[1:] + ".")
        added.set_defaults(command=_later(function))
        with_config(added)
        if group is secret and action != "list":
            added.add_argument("secret", metavar="NAME", help="e.g. lira_token")
        if function == "secret.set_secret":
            added.add_argument("--plain", action="store_true", help="do not seal it with systemd-creds")
        if function == "config.set_key":
            added.add_argument("key", metavar="KEY", help="e.g. wake.preroll_ms, or service")
            added.add_argument("value", metavar="VALUE", help="as it would stand in the file; quotes may be left out")


def _later(name: str) -> Callable[[argparse.Namespace], int | None]:
    """``config.show``: that function of voicebox/commands/config.py, which is imported only when it is called."""
    module, function = name.split(".")

    def command(options: argparse.Namespace) -> int | None:
        found: Callable[[argparse.Namespace], int | None] = getattr(
            importlib.import_module(f"voicebox.commands.{module}"), function
        )
        return found(options)

    return command


def _say(text: str) -> None:
    print(text, flush=True)  # what the owner asked to see, also where a program reads it


def _run(options: argparse.Namespace) -> int:
    from voicebox import heap  # noqa: PLC0415  # `voicebox --help` must not load the whole box

    heap.starting()
    from voicebox import daemon, reload, settings  # noqa: PLC0415  # as above, and rarely looked through for garbage

    def load() -> settings.Settings:
        return settings.load(options.config)

    try:
        loaded, refused = load(), ""
    except ConfigError as error:
        before = reload.last_good(options.config)
        if before is None:
            raise
        loaded, refused = before, error.problems[0]
    stop_logging = logs.setup(loaded.log.level)
    if refused:
        logging.getLogger(__name__).error("the settings are wrong, so the box runs on the last good ones: %s", refused)
    try:
        return daemon.main(loaded, load, refused)
    finally:
        stop_logging()


def _check(options: argparse.Namespace) -> int:
    from voicebox import parts, settings  # noqa: PLC0415

    found = settings.problems(options.config, hooks=parts.CHECKS)
    for problem in found:
        _say(redact(problem))
    if not found:
        chosen = settings.load(options.config)
        for warning in (*parts.warnings(chosen), *parts.unheard(chosen)):
            _say(f"warning: {warning}")
        _say("the settings are fine")
    return 78 if found else 0


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

    wanted = demo.Options(
        services=demo.services() if options.all else (options.service,),
        output=options.output,
        as_json=options.json,
        live=options.live,
        fast=options.fast,
        config=options.config,
    )
    return demo.main(wanted)


def _bench(options: argparse.Namespace) -> int:
    from voicebox import bench  # noqa: PLC0415

    wanted = bench.Options(scale=options.scale, card=options.card, config=options.config)
    return bench.main(options.section, wanted, as_json=options.json, into=options.update)


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


def _key_and_value(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, json.loads(value, parse_constant=str)
    except ValueError:
        return key, value


def _level(text: str) -> dict[str, int]:
    if not re.fullmatch(r"[+-]?[0-9]{1,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100, or +N or -N")
    return {"by" if text[0] in "+-" else "level": int(text)}


def _completion(options: argparse.Namespace) -> None:
    import shtab  # noqa: PLC0415  # when a box is installed, and never again

    _say(shtab.complete(_parser(), options.shell))


def _version(_options: argparse.Namespace) -> None:
    from voicebox.commands import running  # noqa: PLC0415

    _say(f"voicebox {__version__}")
    answer = running.ask({"do": "status"})
    if answer is not None and answer["version"] != __version__:
        _say(f"running: {answer['version']} (sudo systemctl restart voicebox)")
