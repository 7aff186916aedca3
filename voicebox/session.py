"""The live connection to a service: dial, pump, keep alive, hang up, back off.

The adapter knows the protocol, this room knows the network. ``open`` and ``close`` say what the core wants; ``run`` is
the one task that makes it so.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from voicebox.core.events import Category, Event, ReplyAudio, ServiceError, SessionEnded, SessionLost, SessionReady
from voicebox.errors import AuthError, ProtocolError, VoiceboxError
from voicebox.redial import Redial, explain
from voicebox.services.base import (
    Adapter,
    Dial,
    Effect,
    Hangup,
    HttpAnswer,
    HttpRequest,
    Later,
    Remember,
    Send,
    Sound,
    Verdict,
)
from voicebox.uplink import Mark, Uplink
from voicebox.websocket import CannotConnect, Connection, ConnectionClosed, Refused, dial

GOODBYE = 1.0  # seconds for the last messages and the closing handshake
ROOM_POLL = 0.05  # seconds between looks whether the speaker has room again

T = TypeVar("T")


async def no_http(request: HttpRequest) -> HttpAnswer:
    """Stands where a service needs no HTTP."""
    return HttpAnswer(0, f"{request.purpose}: this box makes no HTTP requests")


def no_decoder(_sound: Sound) -> bytes:
    """Stands where a service sends plain PCM."""
    return b""


class _Goodbye(Exception):  # noqa: N818  # ends the pumps in good order; not an error
    """We hang up."""


class Session:
    """All methods but ``run`` return at once; all run on the event loop."""

    def __init__(
        self,
        adapter: Adapter,
        uplink: Uplink,
        dispatch: Callable[[Event], None],
        *,
        credentials: Callable[[], Mapping[str, str]],
        has_room: Callable[[], bool] = lambda: True,
        ping_interval: float | None = None,
        exchange: Callable[[HttpRequest], Coroutine[Any, Any, HttpAnswer]] = no_http,
        decoder: Callable[[Sound], bytes] = no_decoder,
        remember: Callable[[Remember], None] = lambda _: None,
        wall_clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._adapter = adapter
        self._uplink = uplink
        self._dispatch = dispatch
        self._credentials = credentials
        self._has_room = has_room
        self._ping_interval = ping_interval or adapter.capabilities.ping_interval
        self._exchange = exchange
        self._decoder = decoder
        self._remember = remember
        self._wall_clock = wall_clock
        self._redial = Redial(dice)
        self._wanted = asyncio.Event()
        self._leaving = asyncio.Event()  # the present connection is no longer wanted, even if a new one is
        self._connection: Connection | None = None
        self._disconnected = asyncio.Event()
        self._disconnected.set()
        self._outbox: deque[str | bytes] = deque()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ready = False
        self._ready_at = 0.0  # loop time
        self._hangup: Hangup | None = None
        self._last_heard = self._dialled = 0.0  # loop time
        self.rtt = 0.0  # seconds, of the last ping
        self.connect_seconds = 0.0  # from dialling to SessionReady, of the last session

    # what the core wants

    def open(self) -> None:
        self._wanted.set()
        self._redial.jump()

    def close(self) -> None:
        self._wanted.clear()
        self._leaving.set()

    def cancel(self, reply_id: int) -> None:
        self._if_connected(lambda: self._adapter.cancel(reply_id))

    def text(self, text: str) -> None:
        self._if_connected(lambda: self._adapter.text(text))

    def update(self, settings: Mapping[str, Any]) -> None:
        self._if_connected(lambda: self._adapter.settings(settings))

    @property
    def connected(self) -> bool:
        return self._connection is not None

    async def closed(self) -> None:
        """Wait until there is no connection (the caller sets the limit)."""
        await self._disconnected.wait()

    # the task

    async def run(self) -> None:
        """Keep what the core wants true, for ever."""
        while True:
            await self._wanted.wait()
            self._leaving.clear()
            await self._redial.turn(self._leaving)
            if self._leaving.is_set():
                continue
            outcome = await self._connect_once()
            if outcome is not None and not self._leaving.is_set():  # else the end is no news to anybody
                self._settle(*outcome)

    def _settle(self, verdict: Verdict, why: str) -> None:
        """A connection is over, and not by our wish: report it, and plan the next if there is to be one."""
        if verdict.retry:
            self._dispatch(SessionLost(why, self._redial.failed(verdict)))
            return
        self.close()
        for event in verdict.effects or (SessionEnded(why),):
            self._dispatch(event)

    async def _connect_once(self) -> tuple[Verdict, str] | None:
        """One connection from dialling to its end: what that end means, and in words; None if we left."""
        self._dialled = asyncio.get_running_loop().time()
        try:
            step = await self._prepare()
            if isinstance(step, Verdict):
                return step, "the service refused the session"
            connection = await self._dial(step)
        except VoiceboxError as error:
            category = Category.AUTH if isinstance(error, AuthError) else Category.CONFIG
            return Verdict(retry=False, effects=(SessionEnded(str(error), category),)), str(error)
        except Refused as answer:
            return self._adapter.refused(answer.status, answer.headers), str(answer)
        except CannotConnect as error:
            return Verdict(retry=True), str(error)
        except _Goodbye:
            return None
        try:
            outcome = await self._converse(connection)
        finally:
            ready = self._ready
            self._forget_connection()
        if ready:
            lived = asyncio.get_running_loop().time() - self._ready_at
            self._redial.ended(lived, in_good_order=outcome is None or not outcome[0].retry)
        return outcome

    async def _prepare(self) -> Dial | Verdict:
        """Ask the adapter where to connect, and make the HTTP exchanges it wants before."""
        step, effects = self._adapter.dial(self._credentials(), self._wall_clock())
        self._perform(effects)
        while isinstance(step, HttpRequest):
            answer = await self._unless_leaving(self._exchange(step))
            step, effects = self._adapter.answered(step, answer)
            self._perform(effects)
        return step

    async def _unless_leaving(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; _Goodbye if nobody wants it any more before it is there."""
        attempt = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({attempt, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                raise _Goodbye
            return attempt.result()
        finally:
            leaving.cancel()
            attempt.cancel()  # does nothing where it has succeeded

    async def _dial(self, target: Dial) -> Connection:
        """Open the WebSocket; _Goodbye if nobody wants it any more before it is open."""
        limits = self._adapter.capabilities
        opening = dial(target, max_size=limits.max_message, timeout=limits.ready_timeout, close_timeout=GOODBYE)
        return await self._unless_leaving(opening)

    async def _converse(self, connection: Connection) -> tuple[Verdict, str] | None:
        """Pump until the connection ends, whoever ends it."""
        self._begin(connection)
        by_us = False
        try:
            ends = await self._pump(connection)
            by_us = any(isinstance(end, _Goodbye) for end in ends)
        finally:
            await self._hang_up(connection, polite=by_us)
        if self._hangup is not None:
            return Verdict(retry=self._hangup.retry), self._hangup.reason
        if by_us:
            return None
        return self._adapter.closed(connection.close_code or 1006, connection.close_reason or ""), explain(ends[0])

    async def _pump(self, connection: Connection) -> list[Exception]:
        """Returns what ended it: _Goodbye, ConnectionClosed or a ProtocolError. Not a task group: a cancellation that
        comes with one of these must not get lost."""
        pumps = [
            asyncio.create_task(self._receive(connection), name="receive"),
            asyncio.create_task(self._transmit(connection), name="transmit"),
            asyncio.create_task(self._keep_alive(connection), name="keep-alive"),
            asyncio.create_task(self._expect_ready(), name="expect-ready"),
            asyncio.create_task(self._expect_leaving(), name="expect-leaving"),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for pump in pumps:
                pump.cancel()
            ends = await asyncio.gather(*pumps, return_exceptions=True)
        raised = [end for end in ends if isinstance(end, Exception)]
        for error in raised:
            if not isinstance(error, _Goodbye | ConnectionClosed | ProtocolError):
                raise error
        return raised

    def _begin(self, connection: Connection) -> None:
        self._connection = connection
        self._disconnected.clear()
        self._hangup = None
        self._ready = False
        self._outbox.clear()
        self._uplink.reconnected()
        self._last_heard = asyncio.get_running_loop().time()
        self._perform(self._adapter.opened())

    def _forget_connection(self) -> None:
        self._connection = None
        self._disconnected.set()
        self._ready = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def _hang_up(self, connection: Connection, *, polite: bool) -> None:
        """Goodbye if we leave in good order; in any case the socket is gone within GOODBYE seconds."""
        try:
            with suppress(ConnectionClosed, TimeoutError, OSError):
                async with asyncio.timeout(GOODBYE):
                    if polite:
                        self._perform(self._adapter.goodbye())
                        while self._outbox:
                            await connection.send(self._outbox.popleft())
                        await connection.close()
        finally:
            connection.transport.abort()
        await connection.wait_closed()

    # pumps

    async def _receive(self, connection: Connection) -> None:
        while True:
            message = await connection.recv()
            self._last_heard = asyncio.get_running_loop().time()
            self._perform(self._adapter.received(message))
            if self._hangup is not None:
                raise _Goodbye
            while not self._has_room():  # noqa: ASYNC110  # the sound card plays on whether we look or not
                await asyncio.sleep(ROOM_POLL)

    async def _transmit(self, connection: Connection) -> None:
        chunk = self._adapter.capabilities.uplink_chunk
        while True:
            self._uplink.available.clear()
            if self._outbox:
                await connection.send(self._outbox.popleft())
            elif not (self._ready and self._send_audio(chunk)):
                await self._uplink.available.wait()

    def _send_audio(self, chunk: int) -> bool:
        """Put the next piece of uplink audio into the outbox; false if there is none."""
        item = self._uplink.take(chunk)
        if item is None:
            return False
        if isinstance(item, bytes):
            self._perform(self._adapter.audio(item))
        else:
            self._perform(self._adapter.audio_start() if item is Mark.START else self._adapter.audio_stop())
        return True

    async def _keep_alive(self, connection: Connection) -> None:
        """A link that answers nothing for a whole ping interval is dead."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._ping_interval)
            sent = loop.time()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._ping_interval):
                    pong = await connection.ping()  # waits where the link takes nothing more
                    await asyncio.shield(pong)
                    self.rtt = loop.time() - sent
                    continue
            if self._last_heard < sent and self._has_room():
                raise ProtocolError(f"the service has not answered for {loop.time() - self._last_heard:.0f} s")

    async def _expect_ready(self) -> None:
        limit = self._adapter.capabilities.ready_timeout
        await asyncio.sleep(max(0.0, self._dialled + limit - asyncio.get_running_loop().time()))
        if not self._ready:
            message = f"the service did not accept the session within {limit:.0f} s"
            self._report(ServiceError(Category.PROTOCOL, "", message))
            raise ProtocolError(message)

    async def _expect_leaving(self) -> None:
        """A pump of its own: the others may be waiting for a link that takes nothing more."""
        await self._leaving.wait()
        raise _Goodbye

    # effects

    def _if_connected(self, act: Callable[[], Iterable[Effect]]) -> None:
        """Called by a command of the core, which what the adapter says in answer must not interrupt."""
        if self._connection is not None:
            asyncio.get_running_loop().call_soon(self._perform_on, self._connection, tuple(act()))

    def _perform_on(self, connection: Connection, effects: Iterable[Effect]) -> None:
        if self._connection is connection:
            self._perform(effects)

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._outbox.append(effect.message)
                    self._uplink.available.set()
                case Later():
                    self._start_timer(effect)
                case Sound():
                    self._decode(effect)
                case Remember():
                    self._remember(effect)
                case Hangup():
                    self._hangup = effect
                case SessionReady():
                    self._ready = True
                    self._ready_at = asyncio.get_running_loop().time()
                    self._redial.ready()
                    self.connect_seconds = self._ready_at - self._dialled
                    self._uplink.available.set()
                    self._report(effect)
                case _:
                    self._report(effect)

    def _decode(self, sound: Sound) -> None:
        pcm = self._decoder(sound)
        if pcm:
            self._report(ReplyAudio(sound.reply_id, pcm))

    def _report(self, event: Event) -> None:
        """Once we are leaving, nothing the session says is news."""
        if self._leaving.is_set():
            return
        if isinstance(event, SessionEnded):
            self.close()
        self._dispatch(event)

    def _start_timer(self, later: Later) -> None:
        if later.key in self._timers:
            self._timers.pop(later.key).cancel()
        self._timers[later.key] = asyncio.get_running_loop().call_later(later.seconds, self._timer_expired, later.key)

    def _timer_expired(self, key: str) -> None:
        self._timers.pop(key, None)
        self._perform(self._adapter.later(key))
