"""One open connection: what is sent, what is received, what keeps it alive, and all that may end it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from voicebox.core.events import (
    LAST_MINUTES,
    Category,
    Event,
    ReplyAudio,
    ServiceError,
    SessionEnded,
    SessionReady,
    SessionWarning,
)
from voicebox.errors import ProtocolError
from voicebox.limiter import Limiter
from voicebox.services.base import Adapter, Effect, Hangup, Later, Remember, Send, Sound
from voicebox.telltale import Telltale
from voicebox.uplink import Converter, Mark, Uplink
from voicebox.websocket import Connection, ConnectionClosed

GOODBYE = 1.0  # seconds for the last messages and the closing handshake
LOOK_AGAIN = 0.05  # seconds between looks whether the speaker has room again, or whether all is quiet
PLAN_AHEAD = 300.0  # seconds before a service's own limit that we begin to look for a quiet moment
LAST_CALL = 60.0  # seconds before the day's minutes are used up that the owner is warned
NO_LAMP = "the privacy lamp cannot be lit, and nothing may be sent without it (lights.privacy_required)"
COUNT_EVERY = 60.0  # seconds between looks at what is left of them: a day may end, and a power cut forgets no more


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session needs of the rest of the box; every part has a harmless default."""

    has_room: Callable[[], bool] = lambda: True  # the speaker takes more
    is_quiet: Callable[[], bool] = lambda: True  # nobody speaks: a planned reconnection disturbs nobody
    decoder: Callable[[Sound], bytes] = lambda _: b""  # encoded sound to s16le mono 24 kHz
    remember: Callable[[Remember], None] = lambda _: None
    permit: Callable[[], None] = lambda: None  # raises QuotaError when no session may be opened today
    seconds_left: Callable[[], float] = lambda: float("inf")  # of what the owner allows today
    metered: Callable[[bool], None] = lambda _: None  # told when a session is ready, and when it is over
    lamp: Callable[[bool], bool] = lambda _: True  # told whether microphone audio leaves the box; says whether it may
    longest: float | None = None  # seconds a session may last
    ping_interval: float | None = None  # None: as the service's capabilities say


class Goodbye(Exception):  # noqa: N818  # ends the pumps in good order; not an error
    """We hang up."""


@dataclass(slots=True)
class Pumps:
    """Made for each connection anew, but for the ``limiter``: services count over all connections. ``report`` gets the
    events; ``dialled`` is loop time."""

    adapter: Adapter
    connection: Connection
    uplink: Uplink
    around: Surroundings
    report: Callable[[Event], None]
    limiter: Limiter
    dialled: float
    ready_at: float | None = None  # loop time
    rtt: float | None = None  # seconds, of the last ping
    hangup: Hangup | None = None
    _outbox: deque[Send] = field(default_factory=deque)
    _timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    _last_heard: float = 0.0  # loop time
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _stretch: bool = False  # of microphone audio: it has begun and not ended
    _telltale: Telltale = field(init=False)

    def __post_init__(self) -> None:
        self._telltale = Telltale(self.around.lamp, self.connection.transport.get_write_buffer_size)

    async def run(self) -> list[Exception]:
        """Pump until the connection ends. Returns what ended it: Goodbye, ConnectionClosed, ProtocolError."""
        self.uplink.reconnected()
        self._last_heard = _now()
        self.perform(self.adapter.opened())
        ends: list[Exception] = []
        try:
            ends = await self._pump()
        finally:
            for timer in self._timers.values():
                timer.cancel()
            if self._ready.is_set():
                self.around.metered(False)
            try:
                await self._hang_up(polite=any(isinstance(end, Goodbye) for end in ends))
            finally:
                self._telltale.close()
        return ends

    def end(self) -> None:
        """Leave in good order."""
        self._ending.set()

    def perform(self, effects: Iterable[Effect]) -> None:
        """Do what the adapter says."""
        for effect in effects:
            match effect:
                case Send():
                    self._outbox.append(effect)
                    self.uplink.available.set()
                case Later():
                    self._start_timer(effect)
                case Sound():
                    self._decode(effect)
                case Remember():
                    self.around.remember(effect)
                case Hangup():
                    self.hangup = effect
                    self._ending.set()
                case SessionReady():
                    self._begin()
                    self.report(effect)
                case _:
                    self.report(effect)

    def _begin(self) -> None:
        if self.ready_at is None:
            self.ready_at = _now()
            self._ready.set()
            self.around.metered(True)
            self.uplink.available.set()

    def _decode(self, sound: Sound) -> None:
        pcm = self.around.decoder(sound)
        if pcm:
            self.report(ReplyAudio(sound.reply_id, pcm))

    def _start_timer(self, later: Later) -> None:
        if later.key in self._timers:
            self._timers.pop(later.key).cancel()
        loop = asyncio.get_running_loop()
        self._timers[later.key] = loop.call_later(later.seconds, self._timer_expired, later.key)

    def _timer_expired(self, key: str) -> None:
        self._timers.pop(key, None)
        self.perform(self.adapter.later(key))

    async def _pump(self) -> list[Exception]:
        """Not a task group: a cancellation that comes with one of the ends must not get lost."""
        work = (
            self._receive(),
            self._transmit(),
            self._keep_alive(),
            self._expect_ready(),
            self._expect_ending(),
            self._expect_limits(),
            self._expect_quota(),
        )
        pumps = [asyncio.create_task(coroutine) for coroutine in work]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for pump in pumps:
                pump.cancel()
            ends = await asyncio.gather(*pumps, return_exceptions=True)
        raised = [end for end in ends if isinstance(end, Exception)]
        for error in raised:
            if not isinstance(error, Goodbye | ConnectionClosed | ProtocolError):
                raise error
        return raised

    async def _hang_up(self, *, polite: bool) -> None:
        """Goodbye if we leave in good order; in any case the socket is gone within GOODBYE seconds."""
        try:
            with suppress(ConnectionClosed, TimeoutError, OSError):
                async with asyncio.timeout(GOODBYE):
                    if polite:
                        self.perform(self.adapter.goodbye())
                        while self._outbox:
                            await self._send(self._outbox.popleft())
                        await self.connection.close()
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self.connection.transport.abort()
        await self.connection.wait_closed()

    # the pumps

    async def _receive(self) -> None:
        while True:
            message = await self.connection.recv()
            self._last_heard = _now()
            self.perform(self.adapter.received(message))
            if self.hangup is not None:
                raise Goodbye
            await asyncio.sleep(0)  # however fast it sends: others have a turn after each of its messages
            while not self.around.has_room():  # noqa: ASYNC110  # the sound card plays on whether we look or not
                await asyncio.sleep(LOOK_AGAIN)

    async def _transmit(self) -> None:
        limits = self.adapter.capabilities
        converter = Converter(limits.uplink_rate, limits.uplink_chunk)
        while True:
            self.uplink.available.clear()
            if not self._stretch and not any(map(_is_audio, self._outbox)):
                self._telltale.off()
            if self._outbox:
                await self._send(self._outbox.popleft())
            elif not (self._ready.is_set() and self._take_audio(converter)):
                await self.uplink.available.wait()

    async def _send(self, item: Send) -> None:
        """The one place where anything leaves the box."""
        kind: Literal["audio", "text"] = "audio" if _is_audio(item) else "text"
        while (delay := self.limiter.delay(kind, _now())) > 0:  # noqa: ASYNC110  # the clock is what is waited for
            await asyncio.sleep(delay)
        self.limiter.sent(kind, _now())
        if kind == "audio" and not self._telltale.on():
            self._refuse_to_send()
        await self.connection.send(item.message)

    def _refuse_to_send(self) -> NoReturn:
        self._outbox.clear()  # nor may any of it be sent with the goodbye
        self.report(SessionEnded(NO_LAMP, Category.CONFIG))
        raise Goodbye

    def _take_audio(self, converter: Converter) -> bool:
        """Put the next piece of uplink audio into the outbox; false if there is none."""
        item = self.uplink.take(converter.chunk)
        match item:
            case None:
                return False
            case Mark.START:
                converter.begin()
                self._stretch = True
                self.uplink.started_at = _now()
                self.perform(self.adapter.audio_start())
            case Mark.STOP:
                self._pass_on(converter.end())
                self._stretch = False
                self.uplink.started_at = None
                self.perform(self.adapter.audio_stop())
            case _:
                self._pass_on(converter.convert(item))
        return True

    def _pass_on(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.perform(self.adapter.audio(piece))

    async def _keep_alive(self) -> None:
        """A link that answers nothing for a whole ping interval is dead."""
        interval = self.around.ping_interval or self.adapter.capabilities.ping_interval
        while True:
            await asyncio.sleep(interval)
            sent = _now()
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    pong = await self.connection.ping()  # waits where the link takes nothing more
                    await asyncio.shield(pong)
                    self.rtt = _now() - sent
                    continue
            if self._last_heard < sent and self.around.has_room():
                raise ProtocolError(f"the service has not answered for {_now() - self._last_heard:.0f} s")

    async def _expect_ready(self) -> None:
        limit = self.adapter.capabilities.ready_timeout
        try:
            async with asyncio.timeout_at(self.dialled + limit):
                await self._ready.wait()
        except TimeoutError:
            message = f"the service did not accept the session within {limit:.0f} s"
            self.report(ServiceError(Category.PROTOCOL, "", message))
            raise ProtocolError(message) from None

    async def _expect_ending(self) -> None:
        """A pump of its own: the others may be waiting for a link that takes nothing more."""
        await self._ending.wait()
        raise Goodbye

    async def _expect_limits(self) -> None:
        """The owner's longest session ends it; before the service's own limit we redial, in a quiet moment."""
        await self._ready.wait()
        theirs = self.adapter.capabilities.session_limit
        plan = None if theirs is None else theirs - PLAN_AHEAD
        ours = self.around.longest
        if ours is not None and (plan is None or ours <= plan):
            await asyncio.sleep(ours)
            self.report(SessionEnded(f"the longest session allowed, {ours / 60:.0f} minutes, is over"))
        elif plan is not None:
            await asyncio.sleep(plan)
            while not self.around.is_quiet():  # noqa: ASYNC110  # it is a property of the whole box
                await asyncio.sleep(LOOK_AGAIN)
            self.perform([Hangup("the service's own limit is near", retry=True)])

    async def _expect_quota(self) -> None:
        await self._ready.wait()
        warned = False
        while (left := self.around.seconds_left()) > 0:
            last = left <= LAST_CALL
            if last and not warned:
                self.report(SessionWarning(LAST_MINUTES, f"{left:.0f} s are left of the minutes allowed for today"))
            warned = last
            await asyncio.sleep(min(COUNT_EVERY, max(left if last else left - LAST_CALL, LOOK_AGAIN)))
        self.report(SessionEnded("the minutes allowed for today are used up", Category.QUOTA))


def _is_audio(item: Send) -> bool:
    return item.is_audio or isinstance(item.message, bytes)


def _now() -> float:
    return asyncio.get_running_loop().time()
