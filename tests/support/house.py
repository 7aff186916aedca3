"""A whole box in a house made of arrays: the real App, a simulated service, and a wake word that is heard on cue.

Everything runs in virtual time; what the service received and the speaker played is kept.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicebox import settings
from voicebox.app import App
from voicebox.assets import speech
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.wavfile import FlushMark, WavBackend
from voicebox.box import Step
from voicebox.core.events import SessionLost
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.parts import Parts
from voicebox.simulator import Simulator
from voicebox.simulator.recording import Memory, Noted
from voicebox.systemd import Notifier
from voicebox.virtualtime import InlineExecutor
from voicebox.wake.base import Detection
from voicebox.wire.lira import Envelope

EARCONS = {"VOICEBOX_SOUNDS__EARCONS": "true", "VOICEBOX_SOUNDS__LISTEN_EARCON": "false"}
"""Options for a box whose earcons are heard, but for those that say it listens."""
NO_FILE = Path("/dev/null")
"""Settings without a file."""
SILENT_AFTER = PLAYBACK_RATE * 20 // 1000
"""Samples that may be heard after a flush: 20 ms."""


class Ear:
    """A wake word engine that hears its phrase when it is told to."""

    def __init__(self) -> None:
        self.cue = False
        self.score = 0.0
        """What it scores all the time."""
        self.failure: Exception | None = None

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        del playing
        assert samples.shape == (1280,)
        if self.failure:
            raise self.failure
        heard, self.cue = self.cue, False
        return [Detection("hey_jarvis", 0.9)] if heard else []

    def glance(self, samples: NDArray[np.int16]) -> bool:
        del samples
        return False

    def hears(self, samples: NDArray[np.int16]) -> dict[str, float]:
        del samples
        return {}

    @property
    def scores(self) -> dict[str, float]:
        return {"hey_jarvis": self.score}

    def reset(self) -> None:
        self.cue = False


class Lamp:
    def __init__(self) -> None:
        self.scenes: list[Scene] = []
        self.flashes: list[Scene] = []
        self.closed = 0

    def show(self, scene: Scene) -> None:
        if scene not in self.scenes[-1:]:
            self.scenes.append(scene)

    def flash(self, scene: Scene) -> None:
        self.flashes.append(scene)

    def sending(self, on: bool) -> bool:  # noqa: ARG002  # the promise's name
        return False

    def close(self) -> None:
        self.closed += 1


class PrivacyLamp:
    """Notes when it goes on and off."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, bool]] = []
        self.works = True

    def sending(self, on: bool) -> bool:
        if self.works and on is not self.lit:
            self.changes.append((now(), on))
        return self.works

    @property
    def lit(self) -> bool:
        return bool(self.changes) and self.changes[-1][1]

    @property
    def stretches(self) -> list[tuple[float, float]]:
        """When it was lit: from, to."""
        times = [at for at, _ in self.changes]
        return list(zip(times[::2], [*times[1::2], *[float("inf")] * (len(times) % 2)], strict=True))

    def close(self) -> None:
        self.sending(on=False)


class Systemd(Notifier):
    """Notes what systemd is told, and when."""

    def __init__(self, watchdog: float | None = None) -> None:
        super().__init__({})
        self.watchdog_interval = watchdog
        self.told: list[tuple[float, str]] = []

    def _send(self, message: str) -> None:
        self.told.append((now(), message))

    def count(self, message: str) -> int:
        return sum(told == message for _, told in self.told)

    def when(self, message: str) -> float:
        """When it was first said."""
        return next(at for at, told in self.told if told == message)


class House:
    def __init__(self, app: App, parts: Parts, stop: asyncio.Event) -> None:
        assert isinstance(parts.backend, WavBackend)
        assert isinstance(parts.notifier, Systemd)
        assert parts.simulator is not None
        self.app, self.backend = app, parts.backend
        self.ear = parts.detector if isinstance(parts.detector, Ear) else Ear()
        self.lamp = parts.light if isinstance(parts.light, Lamp) else Lamp()
        self.privacy = parts.lamp if isinstance(parts.lamp, PrivacyLamp) else PrivacyLamp()
        self.systemd, self.simulator = parts.notifier, parts.simulator
        self.stop = stop
        self.running: asyncio.Task[None]
        self.steps: list[tuple[float, Step]] = []
        self._news = asyncio.Event()
        app.box.observers.append(self._note)

    def _note(self, step: Step) -> None:
        self.steps.append((now(), step))
        self._news.set()

    @property
    def phase(self) -> Phase:
        return self.app.box.state.phase

    @property
    def phases(self) -> list[Phase]:
        """All phases so far, in order."""
        return [Phase.IDLE, *(step.after.phase for _, step in self.steps if step.before.phase is not step.after.phase)]

    @property
    def faults(self) -> set[Fault]:
        return {step.after.fault for _, step in self.steps if step.after.fault}

    @property
    def wire(self) -> Memory:
        """What passed over the newest connection."""
        return self.simulator.connections[-1]

    def received(self, connection: int = -1) -> list[Noted]:
        return [m for m in self.simulator.connections[connection].messages if m.direction == "received"]

    async def until(self, happened: Callable[[], bool], within: float = 60.0) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(within):
            while not happened():
                if self.running.done():
                    await self.running
                    raise AssertionError("the box has stopped")
                self._news.clear()
                waiting = asyncio.ensure_future(self._news.wait())
                await asyncio.wait({waiting, self.running}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()

    async def until_phase(self, phase: Phase, within: float = 60.0) -> None:
        await self.until(lambda: self.phase is phase, within)

    async def wake(self) -> None:
        """Somebody says the wake word."""
        self.ear.cue = True
        await asyncio.sleep(0.1)

    def say(self, name: str = "ask_time") -> float:
        """Somebody speaks; returns how many seconds it takes."""
        samples = speech(name)
        self.backend.say(samples)
        return len(samples) / CAPTURE_RATE

    async def ask(self, name: str = "ask_time", within: float = 60.0) -> None:
        """Wake it, ask, and wait until the answer is heard."""
        await self.wake()
        self.say(name)
        await self.until_phase(Phase.SPEAKING, within)

    def heard(self, reply_id: int) -> NDArray[np.int16]:
        """What the speaker played of this reply."""
        spans = [(first, end) for reply, first, end in self.backend.speaker.spoken if reply == reply_id]
        sound = self.backend.spk
        return np.concatenate([np.zeros(0, np.int16), *(sound[first:end] for first, end in spans)])

    def stale(self, mark: FlushMark) -> int:
        """Sounding samples from 20 ms after the flush until the next reply begins."""
        later = [first for reply, first, _ in self.backend.speaker.spoken if reply > mark.floor and first > mark.index]
        sound = self.backend.spk
        return int(np.count_nonzero(sound[mark.index + SILENT_AFTER : min(later, default=len(sound))]))

    @property
    def cuts(self) -> list[FlushMark]:
        """The flushes that cut a reply that was being heard."""
        return [mark for mark in self.backend.flushes if mark.reply_id]


@asynccontextmanager
async def living(
    *,
    service: str = "lira",
    brain: str = "talker",
    duplex: str = "full",
    faults: Sequence[str] = (),
    envelope: Envelope = "data",
    options: Mapping[str, str] | None = None,
    watchdog: float | None = None,
    dice: float = 0.1,
    all_arrives: bool = True,
    **other: Any,
) -> AsyncIterator[House]:
    """A box at work, stopped at the end (within 2 s) if it still runs; an exception that ended it is raised.
    ``other`` parts may be given instead of the usual ones. ``all_arrives``: what is sent is neither lost nor
    late."""
    environ = {
        "VOICEBOX_SIMULATOR__BRAIN": brain,
        "VOICEBOX_AUDIO__BACKEND": "wav",
        "VOICEBOX_AUDIO__DUPLEX": duplex,
        "VOICEBOX_INTERRUPTION__DUCK": "false",  # samples are compared
        "VOICEBOX_LIGHTS__BACKEND": "none",
        "VOICEBOX_BUTTON__PIN": "false",
        "VOICEBOX_SOUNDS__EARCONS": "false",  # what the speaker plays is compared with what was sent
        "VOICEBOX_SOUNDS__SPOKEN": "false",
        "VOICEBOX_SOUNDS__DIRECTORY": "/nonexistent",
        **(options or {}),
    }
    usual: dict[str, Any] = {
        "backend": WavBackend(noise=-75.0),
        "light": Lamp(),
        "lamp": PrivacyLamp(),
        "executor": InlineExecutor(),
        "notifier": Systemd(watchdog),
        "detector": Ear(),
        "simulator": Simulator(service, brain=brain, faults=faults, envelope=envelope, keep=True),
    }
    stop = asyncio.Event()
    with TemporaryDirectory() as home:
        usual["environ"] = {"STATE_DIRECTORY": home, "RUNTIME_DIRECTORY": home}
        parts = Parts(**(usual | other))
        async with _living(settings.load(NO_FILE, environ), parts, stop, dice) as house:
            yield house
        assert not house.privacy.lit
        if parts.lamp is house.privacy and all_arrives:
            assert_privacy(house)


AUDIO = {"audio", "audio_input"}
"""The types of text messages that carry sound."""


def audio_times(house: House) -> list[float]:
    """When the service received sound, over all connections."""
    return sorted(m.at for wire in house.simulator.connections for m in wire.messages if _has_sound(m))


def _has_sound(message: Noted) -> bool:
    if message.direction != "received":
        return False
    return message.text is None or json.loads(message.text).get("type") in AUDIO


def assert_privacy(house: House) -> None:
    """No sound was received while the privacy lamp was dark, and it was not lit for nothing; what was sent as the
    connection broke may be lost."""
    stretches, received = house.privacy.stretches, audio_times(house)
    broken = [at for at, step in house.steps if isinstance(step.event, SessionLost)]
    assert [at for at in received if not any(begin <= at <= end for begin, end in stretches)] == []
    for begin, end in stretches:
        within = [at for at in received if begin <= at <= end]
        lost = any(begin <= at <= end for at in broken)
        assert within or lost or not received, f"lit for nothing from {begin} to {end}"
        assert not within or end - within[-1] < 1.0, f"lit until {end}, the last sound came at {within[-1]}"


@asynccontextmanager
async def _living(chosen: settings.Settings, parts: Parts, stop: asyncio.Event, dice: float) -> AsyncIterator[House]:
    async with App(chosen, parts) as app:
        app.session._redial._dice = lambda: dice
        house = House(app, parts, stop)
        house.running = asyncio.ensure_future(app.run(stop))
        try:
            await asyncio.sleep(2.0)  # there is something to listen to
            yield house
        finally:
            stop.set()
            async with asyncio.timeout(2.0):
                await house.running


def now() -> float:
    return asyncio.get_running_loop().time()
