"""A random life: the whole box in virtual time, whatever happens to it in any order, and what must hold all along."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from tests.support.house import NO_FILE, House, living
from tests.support.vendor import cut
from voicebox import settings
from voicebox.audio.base import MAX_BUFFERED
from voicebox.core.state import Phase
from voicebox.demo.finger import PIN, Finger
from voicebox.errors import VoiceboxError
from voicebox.reload import Reloader
from voicebox.services.base import discover
from voicebox.simulator.faults import FAULTS
from voicebox.virtualtime import run_virtual

TROUBLES = [
    (service, trouble)
    for service in sorted(discover())
    for trouble in ("", *sorted(name for name, fault in FAULTS.items() if fault.once))
    if not trouble or FAULTS[trouble].service in ("", service)
]
"""Every service with all that its simulator may do wrong once, and with nothing."""
LEFT_ALONE = 900.0
"""Virtual seconds within which a box that nobody touches is at rest, whatever happened before."""
ROOM = 20.0
"""Seconds of sound that may be on their way when reading stops."""
BRIEF = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "4.0", "VOICEBOX_BUTTON__PIN": str(PIN)}


@dataclass
class Life:
    house: House
    finger: Finger
    environ: dict[str, str]
    down: bool = False

    async def wake(self) -> None:
        await self.house.wake()

    async def speak(self) -> None:
        self.house.say("ask_time")
        await asyncio.sleep(1.0)

    async def speak_and_wait(self) -> None:
        await asyncio.sleep(self.house.say("ask_time") + 1.0)

    async def touch(self) -> None:
        """Press, or let go: a tap, a hold, a hold that nobody ends."""
        (self.finger.release if self.down else self.finger.press)()
        self.down = not self.down
        await asyncio.sleep(0.2)

    async def drop(self) -> None:
        """The network goes, in mid-sentence or not."""
        cut(self.house.simulator)
        await asyncio.sleep(0.05)

    async def lose_microphone(self) -> None:
        self.house.app._device_lost("microphone", "unplugged")

    async def lose_speaker(self) -> None:
        self.house.app._device_lost("speaker", "unplugged")

    async def find_cards(self) -> None:
        for device in ("microphone", "speaker"):
            self.house.app._device_ready(device)
        await asyncio.sleep(0.1)

    async def mute(self) -> None:
        self.house.app.mute.set(True)
        await asyncio.sleep(0.06)

    async def unmute(self) -> None:
        self.house.app.mute.set(False)
        await asyncio.sleep(0.06)

    async def reload(self) -> None:
        """Another time to listen, which takes effect at once or after the conversation."""
        assert self.house.app.reloader is not None
        now = self.environ["VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S"]
        self.environ["VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S"] = "5.0" if now == "4.0" else "4.0"
        await self.house.app.reloader.reload()

    async def change_day(self) -> None:
        """The wall clock jumps: at boot, when the network brings the time."""
        usage = self.house.app.usage
        day = f"{usage._today()}+"
        usage._today = lambda: day

    async def moment(self) -> None:
        await asyncio.sleep(0.3)

    async def while_(self) -> None:
        await asyncio.sleep(5)

    def check(self) -> None:
        """After every deed."""
        house, state = self.house, self.house.app.box.state
        assert house.app.playback.buffered <= MAX_BUFFERED + ROOM
        assert [mark for mark in house.cuts if house.stale(mark)] == [], "a dead reply is heard"
        if state.muted:
            assert not house.backend._captures, "muted, and the microphone is open"
            assert state.window is None
        if state.phase is Phase.IDLE:
            assert state.window is None


Deed = Callable[[Life], Awaitable[None]]
DEEDS: tuple[Deed, ...] = (
    *(Life.wake, Life.speak, Life.speak_and_wait, Life.touch, Life.drop, Life.lose_microphone, Life.lose_speaker),
    *(Life.find_cards, Life.mute, Life.unmute, Life.reload, Life.change_day, Life.moment, Life.while_),
)


def live(deeds: list[Deed], service: str, trouble: str, duplex: str) -> None:
    """Raises AssertionError, or what ended the box. ``living`` checks that nothing left while the lamp was dark."""
    finger = Finger()
    try:
        run_virtual(_live(deeds, service, trouble, duplex, finger))
    finally:
        finger.close()


async def _live(deeds: list[Deed], service: str, trouble: str, duplex: str, finger: Finger) -> None:
    faults = [trouble] if trouble else []
    async with living(service=service, options=BRIEF, faults=faults, duplex=duplex) as house:
        environ = as_variables(house)
        house.app.reloader = Reloader(house.app, lambda: settings.load(NO_FILE, environ))
        life = Life(house, finger, environ)
        for deed in deeds:
            with suppress(VoiceboxError):  # refused, in words
                await deed(life)
            life.check()
        await _rest(life)


def as_variables(house: House) -> dict[str, str]:
    """The settings it was made with, to be changed for a reload."""
    return {
        f"VOICEBOX_{section}__{key}".upper(): str(value) if not isinstance(value, bool) else str(value).lower()
        for layer in type(house.app.settings).layers.highest_first
        for section, values in layer.values.items()
        for key, value in values.items()
    }


async def _rest(life: Life) -> None:
    """Nobody does anything any more, and everything is in its place again: then the box is, too."""
    if life.down:
        await life.touch()
    await life.find_cards()
    await life.unmute()
    await life.house.until(lambda: life.house.phase is Phase.IDLE, within=LEFT_ALONE)
    await asyncio.sleep(2)
    life.check()
    assert not life.house.app.session.connected
    assert life.house.app.hearing.trouble() is None
