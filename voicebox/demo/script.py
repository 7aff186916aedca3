"""What is said and done in the demo: wake, reply, interruption by voice, second reply, interruption by button, idle."""

import asyncio

import numpy as np

from voicebox.assets import RATE, speech
from voicebox.audio.wavfile import WavBackend
from voicebox.core.state import Phase
from voicebox.demo.figures import Span
from voicebox.demo.finger import Finger
from voicebox.demo.stage import Stage

WARM_UP = 2.5
"""Seconds of sound the wake word engine wants before it believes itself."""
LISTEN_TO = 3.0
"""Seconds of a reply that are heard before it is cut."""


async def perform(stage: Stage, backend: WavBackend, finger: Finger) -> list[Span]:
    """Returns where in the microphone's samples each thing was said. Raises DemoError for what did not happen."""
    await asyncio.sleep(WARM_UP)
    said = [_say(stage, backend, '"hey jarvis, what time is it?"', "ask_time")]
    await stage.until_phase(Phase.SPEAKING)
    await asyncio.sleep(LISTEN_TO)
    said.append(_cut_in(stage, backend))
    await stage.until(lambda: len(stage.interruptions) == 1, "the interruption by voice")
    await stage.until_phase(Phase.SPEAKING)
    await asyncio.sleep(LISTEN_TO)
    await _tap(stage, finger)
    await stage.until(lambda: len(stage.interruptions) == 2, "the interruption by button")
    await asyncio.sleep(1.0)
    await _tap(stage, finger)
    await stage.until_phase(Phase.IDLE)
    await asyncio.sleep(1.0)
    return said


def _cut_in(stage: Stage, backend: WavBackend) -> Span:
    """By voice alone where the service notices, else with the wake word."""
    if stage.app.adapter.capabilities.server_interrupts:
        return _say(stage, backend, '"stop, tell me about the weather instead"', "cut_in")
    return _say(stage, backend, '"hey jarvis, stop, tell me about the weather instead"', "wake", "cut_in")


def _say(stage: Stage, backend: WavBackend, words: str, *names: str) -> Span:
    """Say shipped recordings into the microphone, one straight after the other; returns where."""
    samples = np.concatenate([speech(name) for name in names])
    start = backend.say(samples)
    stage.mark("speech", f"someone says {words} ({len(samples) / RATE:.1f} s)")
    return start, start + len(samples)


async def _tap(stage: Stage, finger: Finger) -> None:
    stage.mark("button", "someone taps the button")
    finger.press()
    await asyncio.sleep(0.15)
    finger.release()
