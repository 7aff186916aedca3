"""The box's side of the broker: it keeps what the world should know, dials again and again, and does what is asked.

Nothing here can end or hold up a conversation: without a broker no commands come, and states wait for one; that is all.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from voicebox.core.events import Event
from voicebox.core.state import State
from voicebox.detached import Detached
from voicebox.errors import VoiceboxError
from voicebox.mqtt import homeassistant
from voicebox.mqtt.base import Address, Ending, Message, Request
from voicebox.mqtt.homeassistant import Node
from voicebox.redact import redact
from voicebox.redial import HEALTHY, backoff

if TYPE_CHECKING:
    from voicebox.mqtt.broker import Connection

_log = logging.getLogger(__name__)

MOST_ASKED = 32
"""Commands that may wait; there are more only if something is badly wrong."""
FLAPS = 3
"""Connections that break soon, one after another, until we suspect somebody of taking them from us."""
FAREWELL = 0.5
"""Seconds the goodbye may take."""

Action = Callable[[Request], dict[str, Any] | Awaitable[dict[str, Any]]]


class Mqtt:
    """``actions`` do what is asked, by the names of the control socket; ``password`` reads it anew for each dial."""

    def __init__(
        self,
        address: Address,
        node: Node,
        *,
        password: Callable[[], str | None],
        actions: Mapping[str, Action],
        state: State,
        volume: int,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._address = address
        self._node = node
        self._password = password
        self._actions = actions
        self._dice = dice
        self._states = {message.topic: message for message in homeassistant.first(node, state, volume)}
        self._asked: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MOST_ASKED)
        self._connection: Connection | None = None
        self._plain = False
        self._complaint = ""
        self._attempt = 0
        self._was_up = False

    # what the world should know

    def follow(self, before: State, event: Event, after: State) -> None:
        """One step of the conversation."""
        for message in homeassistant.news(self._node, before, event, after):
            self._tell(message)

    def volume(self, level: int) -> None:
        self._tell(self._node.state("volume", str(level)))

    def _tell(self, message: Message) -> None:
        if message.kept:
            self._states[message.topic] = message
        if self._connection is not None:
            self._connection.send(message)

    # the task

    async def run(self) -> None:
        """For ever. An error that nobody expected is logged, and tried again: it is no reason to end the box."""
        obeying = asyncio.create_task(self._obey(), name="mqtt commands")
        try:
            while True:
                try:
                    delay = await self._connect()
                except Exception:  # noqa: BLE001  # the box must live on without its broker
                    _log.exception("mqtt: this should not have happened")
                    delay = self._delay(Ending("an error of our own", HEALTHY), lived=0.0)
                await asyncio.sleep(delay)
        finally:
            obeying.cancel()

    async def _connect(self) -> float:
        """One connection; returns the seconds to wait after it."""
        loop = asyncio.get_running_loop()
        make = await loop.run_in_executor(None, _load)
        began = loop.time()
        connection = self._connection = self._make(make, loop)
        running = asyncio.wrap_future(Detached().submit(connection.run))
        try:
            ending = await asyncio.shield(running)
        except asyncio.CancelledError:
            connection.leave()
            await asyncio.wait({running}, timeout=FAREWELL)
            raise
        finally:
            self._connection = None
        self._plain ^= connection.speaks_other
        delay = self._delay(ending, loop.time() - began)
        flaps = self._was_up and self._attempt > FLAPS
        self._was_up = False
        self._complain(
            ending.why + flaps * f" (again and again: is another box named {self._node.id}, too? See mqtt.node)"
        )
        return delay

    def _make(self, make: "type[Connection]", loop: asyncio.AbstractEventLoop) -> "Connection":
        def over_here(callback: Callable[..., None], *arguments: object) -> None:
            with suppress(RuntimeError):  # our loop is closed
                loop.call_soon_threadsafe(callback, *arguments)

        return make(
            self._address,
            self._password,
            availability=self._node.availability,
            commands=homeassistant.commands(self._node),
            welcome=[*homeassistant.discovery(self._node), *self._states.values()],
            heard=lambda name, payload: over_here(self._hear, name, payload),
            up=lambda note: over_here(self._is_up, note),
            plain=self._plain,
        )

    def _delay(self, ending: Ending, lived: float) -> float:
        if lived > HEALTHY:
            self._attempt, self._complaint = 0, ""
        wait = backoff(self._attempt, server_side=False, retry_after=0.0, dice=self._dice())
        self._attempt += 1
        return wait + ending.patience

    def _is_up(self, note: str) -> None:
        self._was_up = True
        where = f"{self._address.host}:{self._address.port}"
        _log.log(logging.WARNING if note else logging.INFO, "mqtt: connected to %s%s", where, note and f", {note}")

    def _complain(self, why: str) -> None:
        """Once for each reason."""
        if why != self._complaint:
            self._complaint = why
            host, port = self._address.host, self._address.port
            _log.warning("mqtt: no connection to the broker at %s:%d, the box works on without it: %s", host, port, why)

    # what it may ask

    def _hear(self, name: str, payload: bytes) -> None:
        with suppress(asyncio.QueueFull):
            self._asked.put_nowait((name, payload))

    async def _obey(self) -> None:
        while True:
            name, payload = await self._asked.get()
            try:
                await self._do(name, payload)
            except VoiceboxError as error:
                _log.warning("mqtt: %s: %s", name, redact(str(error)))
            except Exception:  # noqa: BLE001  # as above
                _log.exception("mqtt: %s: this should not have happened", name)

    async def _do(self, name: str, payload: bytes) -> None:
        request = homeassistant.request(name, payload)
        _log.info("mqtt: %s", request["do"])
        done = self._actions[request["do"]](request)
        if not isinstance(done, dict):
            await done


def _load() -> "type[Connection]":
    """Off the loop: a library that only this needs."""
    from voicebox.mqtt.broker import Connection  # noqa: PLC0415  # as it says

    return Connection
