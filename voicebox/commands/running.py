"""Commands that ask the running box, if there is one."""

import argparse
import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any

from voicebox import control
from voicebox.errors import DeviceError, VoiceboxError


def ask(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Its answer; None if no box is running. Raises VoiceboxError if it refuses."""
    try:
        return must(request)
    except DeviceError:
        return None


def must(request: Mapping[str, Any]) -> dict[str, Any]:
    """Its answer. Raises DeviceError if no box is running, VoiceboxError if it refuses."""
    return asyncio.run(control.ask(control.find_socket(os.environ), request))


def plainly(options: argparse.Namespace) -> None:
    """Requests that are called as their command is, and need nothing more."""
    must({"do": options.name})


def say(options: argparse.Namespace) -> None:
    must({"do": "say", "text": options.text})


def set_session(options: argparse.Namespace) -> None:
    must({"do": "session.set", "settings": dict(options.values)})


def volume(options: argparse.Namespace) -> None:
    answer = must({"do": "volume", **(options.level or {})})
    print(f"{answer['volume']} ({answer['control']})", flush=True)


def new_conversation(_options: argparse.Namespace) -> None:
    must({"do": "conversation.new"})


def watch(_options: argparse.Namespace) -> None:
    asyncio.run(_print_news())


async def _print_news() -> None:
    async for line in control.follow(control.find_socket(os.environ)):
        print(line, flush=True)  # whoever reads it wants it now


_PRESSES = {
    "ButtonPressed": "pressed",
    "ButtonTapped": "… a tap",
    "ButtonHeld": "… held: push-to-talk",
    "ButtonReleased": "… let go",
    "MuteChanged": "mute has changed",
}
"""Events of buttons and switches, in words."""


def button_test(options: argparse.Namespace) -> None:
    """Presses as the box takes them, which acts on them as ever."""
    if not 0 < options.seconds <= 600:
        raise VoiceboxError("--seconds must be above 0, at most 600")
    print(f"press the button; this ends after {options.seconds:g} s, or with Ctrl-C", flush=True)
    seen = asyncio.run(_print_presses(options.seconds))
    if not seen:
        raise VoiceboxError("no press was noticed: is button.pin right? sudo voicebox doctor looks closer")


async def _print_presses(seconds: float) -> int:
    seen = 0
    try:
        async with asyncio.timeout(seconds):
            async for line in control.follow(control.find_socket(os.environ)):
                event = json.loads(line)
                if (words := _PRESSES.get(event.get("event"))) is not None:
                    seen += 1
                    print(f"{words} ({event.get('phase')})", flush=True)
    except TimeoutError:
        pass
    return seen
