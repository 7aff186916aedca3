"""The light drawn in the terminal, for a box on a desk without LEDs and for the demo."""

import asyncio
import contextlib
import sys
from typing import TextIO

from voicebox.core.scenes import Scene
from voicebox.lights.base import LightOptions
from voicebox.lights.patterns import PATTERNS, Pattern

_CLEAR = "\r\x1b[2K"


class TerminalLight:
    """On a terminal one line that is drawn over again: a dot in the scene's colour and its name. The cursor rests at
    the line's beginning, so that a log line takes its place. Elsewhere a plain line for each change of scene.

    A stream that can no longer be written is not worth an error: the light goes out quietly.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._scene: Scene | None = None
        self._closed = False

    def show(self, scene: Scene) -> None:
        if self._closed or scene is self._scene:
            return
        self._scene = scene
        name = scene.value.replace("_", " ")
        self._write(f"{_CLEAR}{_dot(PATTERNS[scene])} {name}\r" if self._live else f"light: {name}\n")

    def close(self) -> None:
        if not self._closed and self._live and self._scene is not None:
            self._write(_CLEAR)
        self._closed = True

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: a closed file
            self._stream.write(text)
            self._stream.flush()


def _dot(pattern: Pattern) -> str:
    """A dot as bright as the pattern's brightest moment; a ring where that is dark."""
    peak = max(step.start for step in pattern.steps)
    if peak == 0:
        return "○"
    red, green, blue = (round(255 * part * peak) for part in pattern.colour)
    return f"\x1b[38;2;{red};{green};{blue}m●\x1b[0m"


def create(_options: LightOptions, _loop: asyncio.AbstractEventLoop) -> TerminalLight:
    return TerminalLight(sys.stderr)
