"""The session with a service: dial, hang up, back off, keep warm.

The adapter knows the protocol, this room knows the network. ``open`` and ``close`` say what the core wants; ``run`` is
the one task that makes it so. What goes on while a connection is open: pumps.py.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar

from voicebox.core.events import (
    Category,
    Event,
    ReplyStarted,
    ServiceError,
    SessionEnded,
    SessionLost,
    SessionReady,
    Transcript,
)
from voicebox.errors import AuthError, QuotaError, VoiceboxError
from voicebox.limiter import Limiter
from voicebox.pumps import GOODBYE, Goodbye, Pumps, Surroundings
from voicebox.redact import redact
from voicebox.redial import Redial, explain
from voicebox.services.base import Adapter, Dial, Effect, HttpAnswer, HttpRequest, Remember, Step, Verdict
from voicebox.uplink import Uplink
from voicebox.websocket import CannotConnect, Connection, ConnectionClosed, Refused, dial

_log = logging.getLogger(__name__)

STUCK_AFTER = 120.0
"""Seconds after which neither an attempt to open a session nor a hang-up can still come to its end: each step of them
has a limit, and all limits together are less."""

SAVE_STEPS = 4
"""HTTP exchanges, at most, for what is to be saved after a session."""

T = TypeVar("T")


async def no_http(request: HttpRequest) -> HttpAnswer:
    """Stands where a service needs no HTTP."""
    return HttpAnswer(0, f"{request.purpose}: this box makes no HTTP requests")


class Session:
    """All methods but ``run`` return at once; all run on the event loop.

    ``keep_warm`` seconds after ``close`` the connection is still there, deaf and dumb: the window of the uplink is
    closed, a reply still coming is cancelled, and nothing that comes is reported. ``open`` then is ready at once.
    """

    def __init__(
        self,
        adapter: Adapter,
        uplink: Uplink,
        dispatch: Callable[[Event], None],
        *,
        credentials: Callable[[], Mapping[str, str]],
        around: Surroundings | None = None,
        exchange: Callable[[HttpRequest], Coroutine[Any, Any, HttpAnswer]] = no_http,
        keep_warm: float = 0.0,
        wall_clock: Callable[[], float] = time.time,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._adapter = adapter
        self._uplink = uplink
        self._dispatch = dispatch
        self._credentials = credentials
        self._around = around or Surroundings()
        self._exchange = exchange
        self._keep_warm = keep_warm
        self._wall_clock = wall_clock
        self._redial = Redial(dice)
        self._limiter = Limiter(adapter.capabilities.rates)  # services count through reconnections
        self._wanted = asyncio.Event()
        self._leaving = asyncio.Event()  # the present connection is no longer wanted, even if a new one is
        self._parked: asyncio.TimerHandle | None = None  # kept warm until then
        self._pumps: Pumps | None = None
        self._disconnected = asyncio.Event()
        self._disconnected.set()
        self._saving: set[asyncio.Task[None]] = set()
        self._greeting = SessionReady()  # what the present session said when it was ready
        self._newest_reply = 0
        self._rtt: float | None = None
        self._busy_since: float | None = None  # opening a session, or hanging up; loop time
        self.connect_seconds = 0.0  # from dialling to SessionReady, of the last session

    # what the core wants

    def open(self) -> None:
        self._wanted.set()
        if self._parked is not None:
            self._unpark()
            asyncio.get_running_loop().call_soon(self._report, self._greeting)
        else:
            self._redial.jump()

    def close(self) -> None:
        self._wanted.clear()
        if (
            self._keep_warm
            and self._pumps is not None
            and self._pumps.ready_at is not None
            and not self._leaving.is_set()
        ):
            self._park()
        else:
            self.leave()

    def leave(self) -> None:
        """Hang up, keeping nothing warm."""
        self._wanted.clear()
        self._unpark()
        self._leaving.set()
        if self._pumps is not None:
            self._busy_since = self._busy_since or asyncio.get_running_loop().time()
            self._pumps.end()

    def cancel(self, reply_id: int) -> None:
        self._if_connected(lambda: self._adapter.cancel(reply_id))

    def text(self, text: str) -> None:
        self._if_connected(lambda: self._adapter.text(text))

    def update(self, settings: Mapping[str, Any]) -> None:
        self._if_connected(lambda: self._adapter.settings(settings))

    def new_conversation(self) -> None:
        """Raises ConfigError where the service knows no such thing."""
        effects = tuple(self._adapter.new_conversation())
        if self._pumps is None:
            self._note(effects)
        else:
            self._if_connected(lambda: effects)

    @property
    def connected(self) -> bool:
        return self._pumps is not None

    @property
    def rtt(self) -> float | None:
        """Seconds from the last ping to its answer; None if none was answered yet."""
        return self._pumps.rtt if self._pumps is not None else self._rtt

    def trouble(self) -> str | None:
        """None while it goes on or waits for its time; a network that is down is no trouble."""
        since = self._busy_since
        stuck = since is not None and asyncio.get_running_loop().time() - since > STUCK_AFTER
        return "the session neither opens nor ends" if stuck else None

    async def closed(self) -> None:
        """Wait until there is no connection (the caller sets the limit)."""
        await self._disconnected.wait()

    def _park(self) -> None:
        if self._parked is None:
            self.cancel(self._newest_reply)
            self._parked = asyncio.get_running_loop().call_later(self._keep_warm, self.leave)

    def _unpark(self) -> None:
        if self._parked is not None:
            self._parked.cancel()
            self._parked = None

    # the task

    async def run(self) -> None:
        """Keep what the core wants true, for ever."""
        while True:
            await self._wanted.wait()
            self._leaving.clear()
            await self._redial.turn(self._leaving)
            if self._leaving.is_set():
                continue
            self._busy_since = asyncio.get_running_loop().time()
            outcome = await self._connect_once()
            self._busy_since = None
            if outcome is not None and self._wanted.is_set() and not self._leaving.is_set():
                self._settle(*outcome)  # otherwise the end is no news to anybody
            self._unpark()

    def _settle(self, verdict: Verdict, why: str) -> None:
        """A connection is over, and not by our wish: report it, and plan the next if there is to be one."""
        if verdict.retry:
            for event in verdict.effects:
                self._dispatch(event)
            self._dispatch(SessionLost(why, self._redial.failed(verdict), _trouble(verdict)))
            return
        self.leave()
        for event in verdict.effects or (SessionEnded(why),):
            self._dispatch(event)

    async def _connect_once(self) -> tuple[Verdict, str] | None:
        """One connection from dialling to its end: what that end means, and in words; None if we left."""
        dialled = asyncio.get_running_loop().time()
        try:
            step = await self._prepare()
            if isinstance(step, Verdict):
                return step, "the service refused the session"
            connection = await self._dial(step)
        except VoiceboxError as error:
            return Verdict(retry=False, effects=(SessionEnded(str(error), _category(error)),)), str(error)
        except Refused as answer:
            return self._refused(answer), str(answer)
        except CannotConnect as error:
            return Verdict(retry=True, server_side=error.server_side, category=error.category), str(error)
        except Goodbye:
            return None
        self._pumps = Pumps(self._adapter, connection, self._uplink, self._around, self._report, self._limiter, dialled)
        self._disconnected.clear()
        try:
            return await self._converse(self._pumps)
        finally:
            self._rtt = self._pumps.rtt
            self._pumps = None
            self._disconnected.set()
            self._save()

    def _refused(self, answer: Refused) -> Verdict:
        if answer.status == HTTPStatus.UPGRADE_REQUIRED:  # we did ask for a WebSocket: what is too old is ours
            text = f"the service wants a newer voicebox ({answer}): update it"
            return Verdict(retry=False, effects=(SessionEnded(text, Category.UPDATE),))
        verdict = self._adapter.refused(answer.status, answer.headers)
        portal = answer.status < HTTPStatus.BAD_REQUEST  # somebody on the way answered, not the service
        return replace(verdict, category=Category.NETWORK) if portal else verdict

    async def _converse(self, pumps: Pumps) -> tuple[Verdict, str] | None:
        if self._leaving.is_set():
            pumps.end()
        ends = await pumps.run()
        outcome = self._meaning(pumps, ends)
        if pumps.ready_at is not None:
            lived = asyncio.get_running_loop().time() - pumps.ready_at
            self._redial.ended(lived, in_good_order=outcome is None or not outcome[0].retry)
        return outcome

    def _meaning(self, pumps: Pumps, ends: list[Exception]) -> tuple[Verdict, str] | None:
        if pumps.hangup is not None:
            return Verdict(retry=pumps.hangup.retry), pumps.hangup.reason
        if any(isinstance(end, Goodbye) for end in ends):
            return None
        connection = pumps.connection
        verdict = self._adapter.closed(connection.close_code or 1006, connection.close_reason or "")
        if isinstance(ends[0], ConnectionClosed) and connection.cut_off and verdict.retry:
            # whoever talks to it is served once at once: a mere restart of a router looks the same
            return replace(verdict, category=Category.SERVER), "the connection was broken off at the other end"
        return verdict, connection.abuse or explain(ends[0])

    async def _prepare(self) -> Dial | Verdict:
        """Ask the adapter where to connect, and make the HTTP exchanges it wants before."""
        self._around.permit()
        step, effects = self._adapter.dial(self._credentials(), self._wall_clock())
        self._note(effects)
        while isinstance(step, HttpRequest):
            answer = await self._unless_leaving(self._exchange(step))
            step, effects = self._adapter.answered(step, answer)
            self._note(effects)
        return step

    def _note(self, effects: Iterable[Effect]) -> None:
        """What an adapter says before there is a connection."""
        for effect in effects:
            if isinstance(effect, Remember):
                self._around.remember(effect)
            elif isinstance(effect, Event):
                self._report(effect)

    async def _unless_leaving(self, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; Goodbye if nobody wants it any more before it is there."""
        attempt = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({attempt, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                raise Goodbye
            return attempt.result()
        finally:
            leaving.cancel()
            attempt.cancel()  # does nothing where it has succeeded

    async def _dial(self, target: Dial) -> Connection:
        """Open the WebSocket; Goodbye if nobody wants it any more before it is open."""
        limits = self._adapter.capabilities
        opening = dial(target, max_size=limits.max_message, timeout=limits.ready_timeout, close_timeout=GOODBYE)
        return await self._unless_leaving(opening)

    def _save(self) -> None:
        """What the service wants to be told by HTTP when a session is over."""
        for request in self._adapter.afterwards():
            task = asyncio.create_task(self._save_one(request), name=request.purpose)
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)

    async def _save_one(self, step: Step) -> None:
        """One exchange, and those the adapter wants because of its answer: a new login, say."""
        for _ in range(SAVE_STEPS):
            if not isinstance(step, HttpRequest):
                return
            answer = await self._exchange(step)
            if answer.status == 0 or answer.status >= 500:  # perhaps a passing trouble
                answer = await self._exchange(step)
            step, effects = self._adapter.answered(step, answer)
            for effect in effects:
                if isinstance(effect, Remember):
                    self._around.remember(effect)
                elif isinstance(effect, ServiceError):
                    _log.warning("%s", redact(effect.message))

    # what the adapter says

    def _if_connected(self, act: Callable[[], Iterable[Effect]]) -> None:
        """Called by a command of the core, which what the adapter says in answer must not interrupt."""
        if self._pumps is not None:
            asyncio.get_running_loop().call_soon(self._perform_on, self._pumps, tuple(act()))

    def _perform_on(self, pumps: Pumps, effects: Iterable[Effect]) -> None:
        if self._pumps is pumps:
            pumps.perform(effects)

    def _report(self, event: Event) -> None:
        """Once we are leaving, or while nobody listens, nothing the session says is news."""
        if isinstance(event, SessionReady) and self._pumps is not None and self._pumps.ready_at is not None:
            self._greeting, self._busy_since = event, None
            self.connect_seconds = self._pumps.ready_at - self._pumps.dialled
            self._redial.ready()
        if isinstance(event, ReplyStarted):
            self._newest_reply = event.reply_id
        is_news = self._wanted.is_set() and not self._leaving.is_set()
        if isinstance(event, SessionEnded):
            self.leave()
        if is_news:
            self._dispatch(event)
        elif self._parked is not None and isinstance(event, ReplyStarted | Transcript):
            self.cancel(self._newest_reply)  # nobody waits for this answer, nor will the next conversation


def _trouble(verdict: Verdict) -> Category:
    """What keeps the link from coming up: the service where it is the one who ended it, else the network."""
    return verdict.category or (Category.SERVER if verdict.server_side else Category.NETWORK)


def _category(error: VoiceboxError) -> Category:
    return {AuthError: Category.AUTH, QuotaError: Category.QUOTA}.get(type(error), Category.CONFIG)
