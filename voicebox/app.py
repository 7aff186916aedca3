"""The composition root: the box is put together from its rooms, started, and taken apart in the mirrored order."""

import asyncio
import ctypes
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicebox import logs
from voicebox.audio.base import CAPTURE_RATE, MAX_BUFFERED, Backend, Block, Handlers
from voicebox.audio.pcm import SpeechGate, from_bytes
from voicebox.box import Box, Step
from voicebox.buttons import Button, ButtonOptions
from voicebox.core.events import (
    Device,
    DeviceLost,
    DeviceReady,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    StopRequested,
)
from voicebox.core.scenes import Scene
from voicebox.core.state import Phase, Policy, State
from voicebox.errors import ConfigError, DeviceError, VoiceboxError
from voicebox.lead import LeadIn
from voicebox.lights.base import Light, LightOptions, open_light
from voicebox.pumps import Surroundings
from voicebox.services.base import Adapter, discover
from voicebox.session import Session
from voicebox.settings import SIMULATOR, Settings
from voicebox.systemd import Notifier, Watchdog
from voicebox.uplink import Uplink, WakeListener
from voicebox.wake.base import Detector, Phrase

if TYPE_CHECKING:
    from voicebox.simulator import Simulator

_log = logging.getLogger(__name__)

DEAF_AFTER = 2.0  # seconds without a microphone block
RECOVERY_LIMIT = 600.0  # seconds a lost microphone may be awaited before systemd is to restart us
STOP_LIMIT = 1.2  # seconds for the goodbye; with the devices the stop takes less than 2


@dataclass
class Parts:
    """What tests and the demo put in place of the real thing; None: as the settings say."""

    backend: Backend | None = None
    light: Light | None = None
    executor: Executor | None = None
    notifier: Notifier | None = None
    detector: Detector | None = None
    simulator: "Simulator | None" = None  # not yet started


class App:
    """One run of the daemon: ``async with App(settings) as app: await app.run(stop)``."""

    def __init__(self, settings: Settings, parts: Parts | None = None) -> None:
        self.settings = settings
        self._parts = parts or Parts()
        self._last_block = 0.0
        self._lost_since: float | None = None  # loop time the microphone was lost at
        self._microphone_works = asyncio.Event()
        self._speaking = False  # what the core was told last

    async def __aenter__(self) -> "App":
        """Open everything. A light or button that cannot be had is said once and left out: no reason to give up."""
        self._loop = asyncio.get_running_loop()
        self._notifier = self._parts.notifier or Notifier()
        self._stack = AsyncExitStack()
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        settings, loop = self.settings, self._loop
        self._notifier.status("starting")
        self._executor = self._parts.executor or ThreadPoolExecutor(1, thread_name_prefix="wake")
        self._stack.callback(self._executor.shutdown, wait=False, cancel_futures=True)
        self.light = self._parts.light or _light(settings, loop)
        self._stack.callback(self.light.close)
        self.light.show(Scene.STARTING)
        self.uplink = Uplink()
        self.box = Box(_policy(settings), loop, uplink=self.uplink, light=self.light)
        self.box.observers += [self._tell_systemd, self._mute]
        adapter, credentials = await self._stack.enter_async_context(_service(settings, self._parts.simulator))
        self.backend = self._parts.backend or _backend(settings)
        self.session = Session(
            adapter,
            self.uplink,
            self.box.dispatch,
            credentials=credentials,
            around=Surroundings(has_room=lambda: self.playback.buffered < MAX_BUFFERED),
        )
        self.playback = LeadIn(self.backend.speaker, settings.conversation.playback_lead_ms / 1000, loop)
        self.box.connect(self.session, self.playback)
        self._speech = SpeechGate()
        detector = self._parts.detector or await loop.run_in_executor(self._executor, _detector, settings)
        self.listener = WakeListener(detector, self.box.dispatch, self._executor) if detector else None
        button = _button(settings, self)
        if button is not None:
            self._stack.callback(button.close)
        self._stack.push_async_callback(self.backend.stop)
        await self.backend.start(Handlers(self._block, self._drained, self._device_lost, self._device_ready))
        self._last_block = loop.time()  # deafness counts from here

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then say goodbye. An exception nobody expected ends the run and is raised."""
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self.session.run(), name="session")]
            running.append(tasks.create_task(self._callbacks_fail(), name="callbacks"))
            running.append(tasks.create_task(Watchdog(self._notifier, self.healthy).run(), name="watchdog"))
            if self.listener is not None:
                running.append(tasks.create_task(self.listener.run(), name="wake"))
            running.append(tasks.create_task(self._announce_ready(), name="ready"))
            await stop.wait()
            self._notifier.stopping()
            self.box.dispatch(StopRequested())
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_LIMIT):
                    await self.session.closed()
            for task in running:
                task.cancel()

    async def _callbacks_fail(self) -> None:
        """Devices and timers call us from the loop, which by itself would only log what they raise and go on."""
        failed: asyncio.Future[None] = self._loop.create_future()

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if error is None or "handle" not in context or failed.done():
                logs.loop_exception(loop, context)
            else:
                failed.set_exception(error)

        before = self._loop.get_exception_handler()
        self._loop.set_exception_handler(handle)
        try:
            await failed
        finally:
            self._loop.set_exception_handler(before)

    # what the devices report

    def _block(self, block: Block) -> None:
        self._last_block = self._loop.time()
        self.uplink.block(block)
        if self.listener is not None:
            self.listener.block(block)
        if self.box.state.phase is not Phase.IDLE:
            self._notice_speech(block)

    def _notice_speech(self, block: Block) -> None:
        """Tell the core when somebody begins and ceases to speak while it listens."""
        self._speech.feed(from_bytes(block.pcm))
        speaking = self._speech.speaking and self.box.state.phase is Phase.LISTENING
        if speaking != self._speaking:
            self._speaking = speaking
            self.box.dispatch(SpeechStarted() if speaking else SpeechStopped())

    def _drained(self, reply_id: int) -> None:
        self.box.dispatch(SpeakerDrained(reply_id))

    def _device_lost(self, device: str, why: str) -> None:
        if device == Device.MICROPHONE:
            self._lost_since = self._loop.time() if self._lost_since is None else self._lost_since
        _log.warning("%s: %s", device, why)
        self.box.dispatch(DeviceLost(Device(device), why))

    def _device_ready(self, device: str) -> None:
        if device == Device.MICROPHONE:
            self._lost_since = None
            self._microphone_works.set()
        self.box.dispatch(DeviceReady(Device(device)))

    # what systemd hears

    def healthy(self) -> str | None:
        """None while the box hears, or is known to be waiting for its microphone; else what is wrong."""
        now = self._loop.time()
        if self._lost_since is not None:
            waited = now - self._lost_since
            return f"no microphone for {waited:.0f} s" if waited > RECOVERY_LIMIT else None
        if now - self._last_block > DEAF_AFTER:
            return f"the microphone has delivered nothing for {now - self._last_block:.1f} s"
        if self.listener is not None and self.listener.stuck(now):
            return "the wake word engine does not answer"
        return None

    async def _announce_ready(self) -> None:
        await self._microphone_works.wait()
        _give_memory_back()
        self._notifier.ready()
        self._notifier.status(self.status(self.box.state))
        _log.info("ready: %s", self.status(self.box.state))

    def _tell_systemd(self, step: Step) -> None:
        before, after = step.before, step.after
        if (before.phase, before.fault, before.muted) != (after.phase, after.fault, after.muted):
            self._notifier.status(self.status(after))

    def _mute(self, step: Step) -> None:
        if self.listener is not None:
            self.listener.muted = step.after.muted

    def status(self, state: State) -> str:
        """What the box is doing, in one line for its owner."""
        if state.fault is not None and state.phase is Phase.IDLE:
            return str(state.fault)
        if state.phase is not Phase.IDLE:
            return f"{state.phase}, service {self.settings.service}"
        if state.muted:
            return "muted"
        wake = self.settings.wake
        names = " or ".join(f'"{_spoken(phrase.model)}"' for phrase in wake.phrases if wake.enabled)
        return f"waiting for {names}" if names else "waiting for the button"


# --- the parts -----------------------------------------------------------------------------------------------------


def _spoken(model: str) -> str:
    return Path(model).stem.replace("_", " ")


def _policy(settings: Settings) -> Policy:
    conversation = settings.conversation
    parrot = settings.service == SIMULATOR and settings.simulator.brain == "parrot"
    return Policy(
        full_duplex=settings.audio.duplex == "full",
        # a parrot that heard the wake word would say it, and wake the box with it
        preroll=0 if parrot else settings.wake.preroll_ms * CAPTURE_RATE // 1000,
        connect_timeout=conversation.connect_timeout_s,
        listen_timeout=conversation.listen_timeout_s,
        utterance_timeout=conversation.utterance_timeout_s,
        reply_timeout=conversation.reply_timeout_s,
        stall_timeout=conversation.stall_timeout_s,
    )


def _light(settings: Settings, loop: asyncio.AbstractEventLoop) -> Light:
    lights = settings.lights
    options = LightOptions(lights.led, lights.rgb, lights.active_high, lights.brightness)
    try:
        return open_light(lights.backend, options, loop)
    except DeviceError as error:
        _log.warning("the box works on without its light: %s", error)
        return open_light("none", options, loop)


def _button(settings: Settings, app: App) -> Button | None:
    button = settings.button
    if button.pin is None:
        return None
    options = ButtonOptions(button.pin, button.pull_up, button.hold_ms / 1000, button.max_hold_s)
    try:
        return Button(
            options,
            position=lambda: app.backend.position,
            dispatch=app.box.dispatch,
            loop=asyncio.get_running_loop(),
        )
    except DeviceError as error:
        _log.warning("the box works on without its button: %s", error)
        return None


def _backend(settings: Settings) -> Backend:
    audio = settings.audio
    if audio.backend == "wav":
        from voicebox.audio.wavfile import WavBackend  # noqa: PLC0415  # each box needs only one of the two

        return WavBackend(audio.wav_input, audio.wav_output)
    from voicebox.audio.portaudio import PortAudioBackend  # noqa: PLC0415  # as above

    return PortAudioBackend(audio.input, audio.output)


def _detector(settings: Settings) -> Detector | None:
    """The wake word engine, loaded; takes a second or more."""
    wake = settings.wake
    if not wake.enabled or not wake.phrases:
        return None
    from voicebox.wake.openwakeword import OpenWakeWord  # noqa: PLC0415  # costs 40 MB where the wake word is on

    phrases = [Phrase(p.model, p.threshold, p.patience) for p in wake.phrases]
    return OpenWakeWord(phrases, refractory=wake.refractory_s)


@asynccontextmanager
async def _service(
    settings: Settings, simulator: "Simulator | None"
) -> AsyncIterator[tuple[Adapter, Callable[[], Mapping[str, str]]]]:
    """The adapter of the chosen service and its credentials; without a service, our own simulator on loopback."""
    if settings.service != SIMULATOR:
        adapter: Adapter = discover()[settings.service].Service(settings.service_settings)
        adapter.dial(settings.credentials.read(settings.secrets), time.time())  # what is missing is said now, not later
        yield adapter, lambda: settings.credentials.read(settings.secrets)
        return
    from voicebox.services import lira  # noqa: PLC0415  # only a box without a service needs these
    from voicebox.simulator import Simulator  # noqa: PLC0415

    simulator = simulator or Simulator(brain=settings.simulator.brain, port=settings.simulator.port)
    url = await simulator.start()
    _log.info("no service is configured: the box answers as a %s", settings.simulator.brain)
    try:
        own = lira.Settings(url=url, meeting_id=simulator.meeting_id, allow_plain=True)
        yield lira.Service(own), lambda: {"lira_token": simulator.token}
    finally:
        await simulator.stop()


def _give_memory_back() -> None:
    """Loading models and settings leaves megabytes of freed memory with the C library: hand them to the system."""
    with suppress(OSError, AttributeError):  # another C library than Debian's
        ctypes.CDLL("libc.so.6").malloc_trim(0)


async def serve(settings: Settings, parts: Parts | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_exception)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with App(settings, parts) as app:
        await app.run(stop)


def _check_wake(settings: Settings) -> list[str]:
    """Whether every phrase's model can be used; loads them."""
    try:
        _detector(settings)
    except ConfigError as error:
        return list(error.problems)
    return []


def _check_service(settings: Settings) -> list[str]:
    """Whether the chosen service has all settings it needs to be dialled."""
    if settings.service == SIMULATOR:
        return []
    try:
        credentials = dict.fromkeys(settings.secrets, "unused")
        discover()[settings.service].Service(settings.service_settings).dial(credentials, 0.0)
    except ConfigError as error:
        return list(error.problems)
    return []


CHECKS = (_check_wake, _check_service)
"""What ``voicebox check`` looks at beside the settings themselves."""


def main(settings: Settings) -> int:
    """Run the daemon to its end; returns the exit code. A refusal by the service does not end it: the light says so."""
    try:
        asyncio.run(serve(settings))
    except* VoiceboxError as group:
        raise group.exceptions[0] from None
    return 0
