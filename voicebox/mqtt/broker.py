"""One connection to the broker, from dialling to its end, in a thread and an event loop of its own: whatever happens
there (a name is looked up, hands are shaken, the broker floods us, a callback fails), the box's own loop goes on.

The only client of aiomqtt. MQTT 5 is spoken where the broker knows it, since it then sends us nothing huge and no
retained commands; else 3.1.1.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Self, TypeVar

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from voicebox.detached import Detached
from voicebox.errors import VoiceboxError
from voicebox.mqtt.base import Address, Ending, Message
from voicebox.mqtt.homeassistant import OFFLINE, ONLINE
from voicebox.redact import redact
from voicebox.redial import explain

TIMEOUT = 10.0
"""Seconds the broker may take for any answer."""
KEEP_ALIVE = 30
"""Seconds of silence until a sign of life; the broker gives us up after one and a half of them."""
FAREWELL = 0.3
"""Seconds for each of the last messages."""
LARGEST = 32_768
"""Bytes of the largest message we take."""
BURST, EVERY = 20, 0.2
"""So many commands at once, and one more each so many seconds; the rest are dropped …"""
FLOOD = 200
"""… and with so many dropped we leave, for …"""
LEFT_ALONE = 60.0
"""… so many seconds. So long waits one whom the broker refuses, too."""

_QUIET = logging.getLogger("voicebox.mqtt.library")
_QUIET.setLevel(logging.CRITICAL)  # we say ourselves what is wrong, and only once

UNSUPPORTED_VERSION, TAKEN_OVER = 132, 142
BAD_USER, NOT_AUTHORIZED = 134, 135
"""Reason codes of MQTT 5, which the library also makes of those of 3.1.1."""

T = TypeVar("T")


class FloodedError(Exception):
    """More commands than any household has."""


class Connection:
    """``run`` in a thread; all else from the owner's loop. ``welcome`` is published first, in this order; ``heard``
    gets (name, payload) of each command and ``up`` is called, both in the thread."""

    def __init__(
        self,
        address: Address,
        password: Callable[[], str | None],
        *,
        availability: str,
        commands: Mapping[str, str],
        welcome: Iterable[Message],
        heard: Callable[[str, bytes], None],
        up: Callable[[str], None],
        plain: bool = False,
    ) -> None:
        """``plain``: speak MQTT 3.1.1."""
        self._address = address
        self._password = password
        self._availability = availability
        self._commands = commands
        self._unsent = {message.topic: message for message in welcome}
        self._heard = heard
        self._up = up
        self._plain = plain
        self._left = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.speaks_other = False
        """The broker seems not to know this version of MQTT."""

    def send(self, message: Message) -> None:
        """Soon, or never if the connection ends; of each topic only what is newest."""
        self._tell(self._put, message)

    def leave(self) -> None:
        """Say goodbye and end; soon, whatever the broker does."""
        self._left = True
        self._tell(self._leave)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # its loop is closed: the connection is over
            if self._loop is not None:
                self._loop.call_soon_threadsafe(callback, *arguments)
            elif arguments:
                callback(*arguments)

    # in the thread

    def run(self) -> Ending:
        """From dialling to the end. Never raises what a network, a broker or an owner can cause."""
        try:
            return asyncio.run(self._serve())
        except VoiceboxError as error:
            return Ending(redact(str(error)), LEFT_ALONE)
        except FloodedError:
            return Ending("it floods this box with commands", LEFT_ALONE)
        except aiomqtt.MqttError as error:
            return self._ending(error)
        except (OSError, ValueError) as error:
            return Ending(explain(error))

    async def _serve(self) -> Ending:
        self._news, self._leaving = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(Detached())  # a name look-up that hangs must not hold up our end
        if self._left:
            self._leaving.set()
        talking = asyncio.ensure_future(self._talk())
        leaving = asyncio.ensure_future(self._leaving.wait())
        await asyncio.wait({talking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        talking.cancel()
        with suppress(asyncio.CancelledError):
            await talking
        return Ending("we have left")

    def _put(self, message: Message) -> None:
        self._unsent.pop(message.topic, None)
        self._unsent[message.topic] = message
        if self._loop is not None:
            self._news.set()

    def _leave(self) -> None:
        self._leaving.set()

    async def _talk(self) -> None:
        client = self._client()
        try:
            async with client:
                try:
                    await self._subscribe(client)
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._send(client))
                        tasks.create_task(self._listen(client))
                except ExceptionGroup as group:  # neither ends but by an error
                    raise group.exceptions[0]  # noqa: B904  # "from" would take away its own cause
                finally:
                    await self._farewell(client)
        finally:
            self.speaks_other = client.speaks_other
            client.drop()

    def _client(self) -> "_Client":
        address = self._address
        context = None
        if address.tls:
            context = _trust(address)
        will = aiomqtt.Will(self._availability, OFFLINE, qos=1, retain=True)
        limit = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        limit.MaximumPacketSize = LARGEST
        return _Client(
            address.host,
            address.port,
            username=address.username or None,
            password=self._password(),
            identifier=address.client_id,
            logger=_QUIET,
            will=will,
            keepalive=KEEP_ALIVE,
            timeout=TIMEOUT,
            tls_context=context,
            protocol=aiomqtt.ProtocolVersion.V311 if self._plain else aiomqtt.ProtocolVersion.V5,
            properties=None if self._plain else limit,
            queue_type=_Door,
        )

    async def _subscribe(self, client: "_Client") -> None:
        how: int | SubscribeOptions = 1
        if not self._plain:
            how = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        answers = await client.subscribe([(topic, how) for topic in self._commands])  # type: ignore[arg-type]
        refused = any(isinstance(code, ReasonCode) and code.is_failure for code in answers)
        self._up("but it does not let this box receive commands" if refused else "")

    async def _send(self, client: "_Client") -> None:
        """One at a time: what a slow broker does not take yet is replaced by what is newer."""
        await client.publish(self._availability, ONLINE, qos=1, retain=True)
        while True:
            while self._unsent:
                message = self._unsent.pop(next(iter(self._unsent)))
                await client.publish(message.topic, message.payload, qos=1, retain=message.kept)
            self._news.clear()
            await self._news.wait()

    async def _listen(self, client: "_Client") -> None:
        async for message in client.messages:
            if client.door.dropped >= FLOOD:
                raise FloodedError
            if (name := self._commands.get(message.topic.value)) is not None:
                self._heard(name, bytes(message.payload))

    async def _farewell(self, client: "_Client") -> None:
        client.timeout = FAREWELL
        if client.lost:
            return
        with suppress(aiomqtt.MqttError):
            await client.publish(self._availability, OFFLINE, qos=1, retain=True)

    def _ending(self, error: aiomqtt.MqttError) -> Ending:
        number = _number(error)
        if number == TAKEN_OVER:
            name = self._address.client_id
            return Ending(f"another box has the same name ({name}): give each its own mqtt.node", LEFT_ALONE)
        if number in (BAD_USER, NOT_AUTHORIZED):
            return Ending("it refuses this user: is mqtt.username right, and the secret mqtt_password?", LEFT_ALONE)
        if isinstance(error.__context__, OSError):
            return Ending(explain(error.__context__))
        return Ending("the connection broke" if error.__cause__ else redact(str(error)))


def _number(error: BaseException) -> int | None:
    """The broker's own reason, if it gave one."""
    codes = (getattr(each, "rc", None) for each in (error, error.__cause__))
    return next((code.value for code in codes if isinstance(code, ReasonCode)), None)


class _Door(asyncio.Queue[aiomqtt.Message]):
    """Lets in what may be obeyed. What the broker has kept is old: nobody asks for it now."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._clock = asyncio.get_running_loop().time
        self._left, self._at = float(BURST), self._clock()
        self.dropped = 0

    def put_nowait(self, message: aiomqtt.Message) -> None:
        if message.retain or len(message.payload) > LARGEST:
            return
        now = self._clock()
        self._left, self._at = min(BURST, self._left + (now - self._at) / EVERY), now
        if self._left > BURST / 2:
            self.dropped = 0
        if self._left >= 1:
            self._left -= 1
            super().put_nowait(message)
            return
        self.dropped += 1
        if self.dropped == FLOOD:
            super().put_nowait(message)  # whoever reads shall see that


class _Client(aiomqtt.Client):
    """Leaves nothing behind, however it ends: the library keeps sockets of which it has given up hope."""

    speaks_other = False
    """The broker was reached, but did not take our version of MQTT."""
    _dropped = False

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except aiomqtt.MqttError as error:
            silent = self._misc_task is not None and _number(error) is None  # there was a socket, but no answer
            self.speaks_other = silent or _number(error) == UNSUPPORTED_VERSION
            raise

    def _client_connect(self) -> None:
        """In a thread for which nobody may be waiting any more."""
        try:
            super()._client_connect()
        finally:
            if self._dropped:
                self.drop()

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109  # their signature
        """As theirs, but for ``asyncio.wait_for``: in Python 3.11 that loses a cancellation which comes together with
        the answer, and the connection would never end. (``asyncio.timeout`` takes a cancellation that is over, such as
        a TaskGroup's, for a new one.)"""
        answer = asyncio.ensure_future(fut)
        try:
            await asyncio.wait({answer}, timeout=self.timeout if timeout is None else timeout)
            if not answer.done():
                raise aiomqtt.MqttError("no answer in time")
            return answer.result()
        finally:
            answer.cancel()

    @property
    def door(self) -> _Door:
        assert isinstance(self._queue, _Door)  # noqa: S101  # for the type checker
        return self._queue

    @property
    def lost(self) -> bool:
        return self._disconnected.done()

    def drop(self) -> None:
        """Close the socket, at once; also one that is only being opened."""
        self._dropped = True
        connection = self._client.socket()
        if isinstance(connection, socket.socket):  # they know websockets, too
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _ in range(LARGEST):  # what has come meanwhile is read before the end is seen
            if self._client.socket() is None:
                break
            with suppress(Exception):
                self._client.loop_read()


class _Encrypted(ssl.SSLSocket):
    """Closed when the certificate is refused: the library would leave that to the collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def _trust(address: Address) -> ssl.SSLContext:
    """Raises VoiceboxError if the file is none."""
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", "") or "it holds no certificates"
        raise VoiceboxError(f"mqtt.ca_file {address.ca_file} cannot be used: {reason}") from None
    context.sslsocket_class = _Encrypted
    return context
