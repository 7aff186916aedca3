"""What is said and done in the demo: wake, reply, interruption by voice, second reply, interruption by button, idle."""

import asyncio

from voicebox.assets import RATE, speech
from voicebox.audio.wavfile import WavBackend
from voicebox.core.state import Phase
from voicebox.demo.finger import Finger
from voicebox.demo.stage import Stage

WARM_UP = 2.5
"""Seconds of sound the wake word engine wants before it believes itself."""
LISTEN_TO = 3.0
"""Seconds of a reply that are heard before it is cut."""


async def perform(stage: Stage, backend: WavBackend, finger: Finger) -> list[int]:
    """Returns the microphone positions at which what was said ended. Raises DemoError for what did not happen."""
    await asyncio.sleep(WARM_UP)
    said = [await _say(stage, backend, "ask_time", '"hey jarvis, what time is it?"')]
    await stage.until_phase(Phase.SPEAKING)
    await asyncio.sleep(LISTEN_TO)
    said.append(await _say(stage, backend, "cut_in", '"stop, tell me about the weather instead"'))
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


async def _say(stage: Stage, backend: WavBackend, name: str, words: str) -> int:
    """Say a shipped recording into the microphone; returns where it ends."""
    samples = speech(name)
    start = backend.say(samples)
    stage.mark("speech", f"someone says {words} ({len(samples) / RATE:.1f} s)")
    return start + len(samples)


async def _tap(stage: Stage, finger: Finger) -> None:
    stage.mark("button", "someone taps the button")
    finger.press()
    await asyncio.sleep(0.15)
    finger.release()
