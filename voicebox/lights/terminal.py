"""The light drawn in the terminal, for a box on a desk without LEDs and for the demo."""

import asyncio
import contextlib
import sys
from typing import TextIO

from voicebox.core.scenes import Scene
from voicebox.lights.base import LightOptions
from voicebox.lights.patterns import PATTERNS, Pattern

TELLS_SENDING = True

_CLEAR = "\r\x1b[2K"
_SENDING = "\x1b[38;2;255;0;204m▲\x1b[0m sending"


class TerminalLight:
    """On a terminal one line that is drawn over again: a dot in the scene's colour and its name. The cursor rests at
    the line's beginning, so that a log line takes its place. Elsewhere a plain line for each change.

    A stream that can no longer be written is not worth an error: the light goes out quietly.
    """

    def __init__(self, stream: TextIO, *, tells_sending: bool = False) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._tells = tells_sending
        self._sending = False
        self._scene: Scene | None = None
        self._closed = False

    def show(self, scene: Scene) -> None:
        if self._closed or scene is self._scene:
            return
        self._scene = scene
        self._say(scene)

    def flash(self, scene: Scene) -> None:
        """What passes is a line where lines stay; on one that is drawn over nobody would see it."""
        if not self._closed and not self._live:
            self._say(scene)

    def sending(self, on: bool) -> bool:
        if self._closed or not self._tells:
            return False
        if on is not self._sending:
            self._sending = on
            if not self._live:
                return self._write(f"light: {'sending' if on else 'no longer sending'}\n")
            if self._scene is not None:
                return self._say(self._scene)
        return True

    def close(self) -> None:
        if not self._closed and self._live and self._scene is not None:
            self._write(_CLEAR)
        self._closed = True

    def _say(self, scene: Scene) -> bool:
        name = scene.value.replace("_", " ")
        also = f"  {_SENDING}" if self._sending else ""
        return self._write(f"{_CLEAR}{_dot(PATTERNS[scene])} {name}{also}\r" if self._live else f"light: {name}\n")

    def _write(self, text: str) -> bool:
        with contextlib.suppress(OSError, ValueError):  # ValueError: a closed file
            self._stream.write(text)
            self._stream.flush()
            return True
        return False


def _dot(pattern: Pattern) -> str:
    """A dot as bright as the pattern's brightest moment; a ring where that is dark."""
    peak = max(max(step.start, step.end) for step in pattern.steps)
    if peak == 0:
        return "○"
    red, green, blue = (round(255 * part * peak) for part in pattern.colour)
    return f"\x1b[38;2;{red};{green};{blue}m●\x1b[0m"


def create(options: LightOptions, _loop: asyncio.AbstractEventLoop) -> TerminalLight:
    return TerminalLight(sys.stderr, tells_sending=options.tells_sending)
