"""``voicebox light``: what the lights can show, on the running box."""

import argparse
import asyncio
import os
import time
from math import isinf
from typing import Any

from voicebox import control
from voicebox.core.scenes import Scene
from voicebox.lights.patterns import CODES, PATTERNS

SHORTEST = 2.5
"""Seconds for which each scene is shown; longer, if its pattern is."""


def test(_options: argparse.Namespace) -> None:
    """One scene after another, with its name; then the box's own again, also after Ctrl-C."""
    try:
        for scene in Scene:
            pattern = PATTERNS[scene].seconds
            seconds = SHORTEST if isinf(pattern) else max(SHORTEST, pattern)
            _ask(scene, seconds + 1.0)  # should nobody ask for the next one, this one is over all the same
            number = f" ({CODES[scene]})" if scene in CODES else ""
            print(f"{scene.value.replace('_', ' ')}{number}", flush=True)
            time.sleep(seconds)
    finally:
        _ask(None)


def show(options: argparse.Namespace) -> None:
    _ask(Scene(options.scene), options.seconds)


def _ask(scene: Scene | None, seconds: float = 0.0) -> dict[str, Any]:
    request = {"do": "light", "scene": scene, "seconds": seconds}
    return asyncio.run(control.ask(control.find_socket(os.environ), request))
