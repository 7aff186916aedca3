"""The composition root: the box is put together from its rooms, started, and taken apart in the mirrored order."""

import asyncio
import logging
import os
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from voicebox import heap, keepsakes, logs, mute, parts, reload, remote, reports, statefile, web
from voicebox.audio.base import MAX_BUFFERED, Block, Handlers
from voicebox.box import Box, Step
from voicebox.control import AlreadyRunningError, Control, socket_path
from voicebox.core.events import (
    LAST_MINUTES,
    Device,
    DeviceLost,
    DeviceReady,
    SessionWarning,
    SpeakerDrained,
    StopRequested,
)
from voicebox.core.scenes import Scene
from voicebox.core.state import Phase, State
from voicebox.errors import DeviceError
from voicebox.flatline import Flatline
from voicebox.hearing import Hearing
from voicebox.inputs import Inputs
from voicebox.lastreply import LastReply
from voicebox.latency import Latency
from voicebox.lead import LeadIn
from voicebox.liveness import Liveness
from voicebox.mute import Mute
from voicebox.parts import Parts
from voicebox.pumps import Surroundings
from voicebox.recent import Recent
from voicebox.reload import Load, Reloader
from voicebox.session import Session
from voicebox.settings import Settings
from voicebox.showing import Showing
from voicebox.systemd import Notifier, Watchdog
from voicebox.uplink import Ring, WakeListener, silence
from voicebox.usage import Usage
from voicebox.volume import Volume
from voicebox.wake.base import Detector

_log = logging.getLogger(__name__)

STOP_LIMIT = 1.2  # seconds for the goodbye; with the devices the stop takes less than 2


class App:
    """One run of the daemon: ``async with App(settings) as app: await app.run(stop)``."""

    def __init__(
        self, settings: Settings, given: Parts | None = None, *, load: Load | None = None, refused: str = ""
    ) -> None:
        """``load`` reads the settings anew for a reload; ``refused``: why the newest ones are not those in effect."""
        self.settings = settings
        self.refused = refused
        self.successor: Settings | None = None
        """The settings with which the box is to be put together anew when this run is over."""
        self._load = load
        self._given = given or Parts()
        self.environ = os.environ if self._given.environ is None else self._given.environ
        self._over = asyncio.Event()  # a successor may take over
        self._started = asyncio.Event()  # what becomes of the microphone is known: it works, is lost, or is not wanted
        self._proven = asyncio.Event()  # it works, or is not wanted

    async def __aenter__(self) -> "App":
        """Open everything. A light or button that cannot be had is said once and left out: no reason to give up."""
        self._loop = asyncio.get_running_loop()
        self.notifier = self._given.notifier or Notifier()
        self.reloader = Reloader(self, self._load) if self._load else None
        self.control = Control(
            socket_path(self.environ), remote.actions(self), remote.TRUSTED, lambda: reports.meters(self).reading()
        )
        await self.control.alone()  # two must not share pins and cards
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
        settings, given, loop, stack = self.settings, self._given, self._loop, self._stack
        self.notifier.status("starting")
        state = statefile.directory(self.environ)
        executor = given.executor or ThreadPoolExecutor(1, thread_name_prefix="wake")
        stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        light = given.light or parts.light(settings, loop)
        self.light = Showing((light, given.lamp or parts.privacy_lamp(settings, light)), loop)
        stack.callback(self.light.close)
        self.light.show(Scene.STARTING)
        self.light.outdated(bool(self.refused))
        for warning in parts.warnings(settings):
            _log.warning("%s", warning)
        self.uplink = parts.uplink(settings)
        self.keepsakes = keepsakes.Keepsakes(state / "keepsakes.json")
        service = await stack.enter_async_context(parts.service(settings, given.simulator, self.keepsakes))
        self.adapter = service.adapter
        self.usage = Usage(state / "usage.json", _seconds(settings.session.daily_minutes), loop.time)
        self._use_echo()
        self.box = Box(parts.policy(settings, self.adapter, self.echo), loop, uplink=self.uplink, light=self.light)
        self.backend = given.backend or parts.backend(settings)
        self.session = Session(
            self.adapter,
            self.uplink,
            self.box.dispatch,
            credentials=service.credentials,
            around=self._surroundings(),
            exchange=web.exchange,
            keep_warm=settings.session.keep_warm_s,
        )
        self.volume: Volume = parts.volume(settings, state / "volume", self.backend)
        self.playback = LeadIn(self.backend.speaker, parts.lead(settings, self.adapter), loop)
        self.box.connect(self.session, self.playback, self.backend.capture)
        engine = given.detector or await loop.run_in_executor(executor, parts.detector, settings)
        front_end = parts.front_end(settings)
        clean = front_end.process if front_end else None
        heard = Ring() if clean else self.uplink.ring
        self.listener = self._listener(engine, executor, heard) if engine else None
        finder, over = parts.finder(self.adapter), parts.finder_over(settings)
        self.hearing = Hearing(
            self.uplink, self.listener, finder, self.box.dispatch, loop, clean, over, heard, self.echo
        )
        self.sounds = parts.sounds(settings, self.backend.speaker, loop)
        stack.callback(self.sounds.close)
        self.last_reply = LastReply()
        self.flatline = Flatline(self.tell)
        self.recent = Recent(loop.time)
        self.latency = Latency(loop.time, lambda: self.uplink.started_at)
        self.box.observers += [self.recent.note, self._follow, self._tell_systemd, self._warn, self._need_no_microphone]
        self.diary = reports.open_diary(self, state / "conversations")
        self.mute = Mute(state / mute.FILE, self.box.dispatch)
        self.advice = reports.open_advice(self, state / "wake.json")
        stack.callback(self.advice.close)
        self.mqtt = reports.open_mqtt(self)
        await self._open_control()
        self.mute.start()
        self.inputs = Inputs(self)
        self.inputs.use(settings)
        stack.callback(self.inputs.close)
        stack.push_async_callback(self.backend.stop)
        await self.backend.start(self._handlers())
        self.hearing.opened()

    def _handlers(self) -> Handlers:
        heard = self.echo.heard if self.echo else None
        return Handlers(self._block, self._drained, self._device_lost, self._device_ready, heard)

    def _use_echo(self) -> None:
        self.echo = self._given.echo or parts.echo(self.settings)
        if self.echo is not None:
            self.echo.changed = self._echo_changed
            self._stack.callback(self.echo.close)

    def _listener(self, engine: Detector, executor: Executor, heard: Ring) -> WakeListener:
        own_voice = self.echo.played if self.echo else silence
        return WakeListener(engine, self.box.dispatch, executor, heard, own_voice)

    def _echo_changed(self) -> None:
        assert self.echo is not None  # noqa: S101  # it is who called
        _log.info("the echo is %s", "being taken out" if self.echo.converged else "no longer taken out")
        self.box.set_policy(parts.policy(self.settings, self.adapter, self.echo))

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            has_room=lambda: self.playback.buffered < MAX_BUFFERED,
            is_quiet=lambda: self.box.state.phase in (Phase.IDLE, Phase.LISTENING) and not self.hearing.speaking,
            decoder=parts.decoder(),
            remember=self.keepsakes.remember,
            permit=self.usage.permit,
            seconds_left=lambda: self.usage.left,
            metered=lambda on: self.usage.opened() if on else self.usage.closed(),
            lamp=lambda on: self.light.sending(on) or not self.settings.lights.privacy_required,
            longest=_seconds(self.settings.session.max_minutes),
        )

    async def _open_control(self) -> None:
        """The socket for the command line; without it the box works."""
        try:
            await self.control.start()
        except AlreadyRunningError:
            raise
        except DeviceError as error:
            _log.warning("%s", error)
            return
        self._stack.push_async_callback(self.control.stop)
        self.box.observers.append(self._publish)

    async def run(self, stop: asyncio.Event, reload_asked: asyncio.Event | None = None) -> None:
        """Serve until ``stop`` is set or a successor takes over, then say goodbye; reload the settings whenever
        ``reload_asked`` is set. An exception nobody expected ends the run and is raised."""
        self.liveness = Liveness(self.box, self.backend.speaker, self._loop)
        work = [self.session.run(), self._callbacks_fail(), Watchdog(self.notifier, self._trouble).run()]
        work += [self.volume.run()]
        work += [part.run() for part in (self.listener, self.diary, self.sounds, self.mqtt) if part is not None]
        if self.reloader is not None and reload_asked is not None:
            work.append(self.reloader.run(reload_asked))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(coroutine) for coroutine in (*work, self._announce_ready())]
            await self._told_to_end(stop)
            self.box.dispatch(StopRequested())
            self.session.leave()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_LIMIT):
                    await self.session.closed()
            for task in running:
                task.cancel()

    async def _told_to_end(self, stop: asyncio.Event) -> None:
        waiting = [asyncio.ensure_future(event.wait()) for event in (stop, self._over)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waiting:
                wait.cancel()
        if stop.is_set():
            self.successor = None
            self.notifier.stopping()
        else:
            self.notifier.reloading()

    @property
    def ending(self) -> bool:
        """A successor takes over already: what changes now is its business."""
        return self._over.is_set()

    def succeed(self, new: Settings) -> None:
        """Put the box together anew with these settings, as soon as nobody talks to it."""
        self.successor = new
        if self.box.state.phase is Phase.IDLE:
            self._over.set()

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

    def _trouble(self) -> str | None:
        """What only a new process can mend."""
        asked = (self.hearing, self.backend, self.session, self.liveness)
        return next((found for part in asked if (found := part.trouble()) is not None), None)

    def _block(self, block: Block) -> None:
        self.hearing.block(block)
        self.flatline.block(block)
        self.backend.wait_for(self.hearing.due)

    def _drained(self, reply_id: int) -> None:
        self.box.dispatch(SpeakerDrained(reply_id))

    def _device_lost(self, device: str, why: str) -> None:
        if device == Device.MICROPHONE:
            self.hearing.lost()
            self._started.set()
        self.box.dispatch(DeviceLost(Device(device), why))

    def _device_ready(self, device: str) -> None:
        if device == Device.MICROPHONE:
            self.hearing.works()
            self._prove()
        else:
            self.volume.speaker_ready()
        self.box.dispatch(DeviceReady(Device(device)))

    # what follows the core

    def _follow(self, step: Step) -> None:
        self.hearing.follow(step.after, step.event)
        self.backend.wait_for(self.hearing.due)
        self.sounds.follow(step.before, step.event, step.after)
        self.latency.observe(step, self.box.last_flush)
        self.last_reply.follow(step.commands)
        if self.successor is not None and step.after.phase is Phase.IDLE:
            self._over.set()

    def _publish(self, step: Step) -> None:
        if self.control.is_watched and (news := remote.news(step)) is not None:
            self.control.publish(news)

    def _warn(self, step: Step) -> None:
        event = step.event
        if isinstance(event, SessionWarning) and event.kind == LAST_MINUTES:
            _log.info("%s", event.message)

    def _need_no_microphone(self, step: Step) -> None:
        if step.after.muted:
            self._prove()

    def _prove(self) -> None:
        self._started.set()
        self._proven.set()

    def _tell_systemd(self, step: Step) -> None:
        before, after = step.before, step.after
        if (before.phase, before.fault, before.muted) != (after.phase, after.fault, after.muted):
            self.tell()

    def tell(self) -> None:
        """Tell systemd what the box is doing, and the light whether the newest settings are in effect."""
        self.light.outdated(bool(self.refused))
        self.notifier.status(self.status(self.box.state))

    async def _announce_ready(self) -> None:
        await self._started.wait()
        heap.started()
        self.notifier.ready()
        self.tell()
        _log.info("ready: %s", self.status(self.box.state))
        await self._proven.wait()
        if not self.refused:
            reload.keep(self.settings, self.environ)

    def status(self, state: State) -> str:
        """What the box is doing, in one line for its owner."""
        refused = f" (the settings are wrong, running on the last good ones: {self.refused})" if self.refused else ""
        return self._doing(state) + refused

    def _doing(self, state: State) -> str:
        if state.fault is not None and state.phase is Phase.IDLE:
            return str(state.fault)
        if state.phase is not Phase.IDLE:
            return f"{state.phase}, service {self.settings.service}"
        if state.muted:
            return "muted, microphone closed"
        wake = self.settings.wake
        names = " or ".join(f'"{_spoken(phrase.model)}"' for phrase in wake.phrases if wake.enabled)
        silent = " (the microphone delivers only silence)" if self.flatline.silent else ""
        return f"waiting for {names or 'the button'}{silent}"


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


def _spoken(model: str) -> str:
    return Path(model).stem.replace("_", " ")
