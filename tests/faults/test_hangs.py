"""S68: every way in which a box can hang. The pings to systemd cease, and it is started anew; a network that is down
stops none of them."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.audio.test_cards import Box as Cards
from tests.audio.test_cards import in_box
from tests.faults.town import Town, town
from tests.support.daemon import environment
from tests.support.house import House, living, now
from tests.support.long import LONG
from tests.support.manager import ServiceManager
from voicebox import hearing, liveness, session, uplink
from voicebox.audio import alsa, devices, keeper
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

WATCHDOG = 30.0
"""The unit's WatchdogSec."""
HOURS = 2.0 if LONG else 0.05


async def for_ever(*_: object, **__: object) -> Any:  # noqa: ANN401  # whatever it should have been
    await asyncio.Event().wait()


class Hanging(Executor):
    """Its thread never comes back."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ARG002  # theirs
        return Future()


async def no_blocks(house: House) -> None:
    """The capture thread is deadlocked, and no error comes."""
    assert house.backend._timer is not None
    house.backend._timer.cancel()


async def scorer_hangs(house: House) -> None:
    assert house.app.listener is not None
    house.app.listener._executor = Hanging()


async def scorer_forgotten(house: House) -> None:
    """Nobody tells the listener any more that there is something to score."""
    assert house.app.listener is not None
    house.app.listener._more.set = lambda: None  # type: ignore[method-assign]


async def dial_hangs(house: House) -> None:
    house.app.session._connect_once = for_ever  # type: ignore[method-assign]
    await house.wake()


async def hang_up_hangs(house: House) -> None:
    await house.wake()
    await house.until_phase(Phase.LISTENING)
    pumps = house.app.session._pumps
    assert pumps is not None
    pumps.connection.wait_closed = for_ever  # type: ignore[method-assign]


async def deadline_lost(house: House) -> None:
    await house.wake()
    await house.until_phase(Phase.LISTENING)
    for timer in house.app.box._timers.values():
        timer.cancel()
    house.app.box._timers.clear()


async def speaker_never_done(house: House) -> None:
    """The playback thread is stuck: it plays nothing, and never says that it has."""
    await house.ask()
    house.backend.speaker.pull = lambda frames, *_, **__: bytes(2 * frames)  # type: ignore[method-assign]


HANGS: dict[str, tuple[Callable[[House], Awaitable[None]], float]] = {
    "no blocks": (no_blocks, hearing.DEAF_AFTER),
    "scorer hangs": (scorer_hangs, uplink.STUCK_AFTER),
    "scorer forgotten": (scorer_forgotten, uplink.STUCK_AFTER),
    "dial hangs": (dial_hangs, session.STUCK_AFTER),
    "hang-up hangs": (hang_up_hangs, session.STUCK_AFTER + 20),
    "deadline lost": (deadline_lost, liveness.STILL_AFTER),
    "speaker never done": (speaker_never_done, liveness.STILL_AFTER + 20),
}
"""What hangs, and within how many seconds no sign of life may be given any more."""


@pytest.mark.parametrize(("hang", "noticed"), HANGS.values(), ids=HANGS)
def test_s68_what_hangs_is_not_fed(hang: Callable[[House], Awaitable[None]], noticed: float) -> None:
    """systemd sends its SIGABRT one WatchdogSec after the last ping."""

    async def main() -> None:
        async with living(watchdog=WATCHDOG / 2, all_arrives=False) as house:
            await asyncio.sleep(WATCHDOG)
            began = now()
            await hang(house)
            await asyncio.sleep(noticed + 2 * WATCHDOG)
            pings = [at for at, told in house.systemd.told if told == "WATCHDOG=1"]
            assert pings[-1] <= began + noticed + WATCHDOG / 2 + 1
            assert now() - pings[-1] >= WATCHDOG  # it is killed
            assert any("not well" in told for _, told in house.systemd.told)
            house.running.cancel()  # as it hangs, it could not stop either
            with suppress(asyncio.CancelledError, BaseExceptionGroup):
                await house.running
            house.stop.set()

    with suppress(asyncio.CancelledError, TimeoutError):
        run_virtual(main())


def test_s68_a_scorer_that_fails_at_each_hop_ends_the_process() -> None:
    """Sooner than any watchdog would."""

    async def main() -> BaseException | None:
        error = house = None
        with suppress(ExceptionGroup):
            async with living(watchdog=WATCHDOG / 2) as house:
                house.ear.failure = ZeroDivisionError("at each hop")
                await asyncio.wait({house.running}, timeout=1)
                assert house.running.done()
                error = house.running.exception()
        return error

    error = run_virtual(main())
    assert isinstance(error, ExceptionGroup)
    assert error.subgroup(ZeroDivisionError) is not None


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Cards of a test's own, and less patience with them."""
    monkeypatch.setattr(devices, "read_cards", dict)
    monkeypatch.setattr(alsa, "forget_configuration", lambda: None)
    monkeypatch.setattr(alsa, "hurry", lambda: None)
    monkeypatch.setattr(keeper, "_HUNG", 0.3)
    return monkeypatch


async def in_trouble(box: Cards) -> None:
    async with asyncio.timeout(10):
        while box.backend.trouble() != "the sound system hangs":  # noqa: ASYNC110  # nobody says when
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("card", ["mic", "speaker"])
def test_s68_a_card_whose_closing_never_returns(card: str, cards: pytest.MonkeyPatch) -> None:
    """The capture or the playback thread is deadlocked: callbacks cease, and the card cannot be closed either."""

    async def test(box: Cards) -> None:
        await box.works()
        stuck = getattr(box, card)
        stuck.free.clear()
        stuck.unplug()
        await in_trouble(box)

    in_box(cards, test)


def test_s68_a_card_whose_opening_never_returns(cards: pytest.MonkeyPatch) -> None:
    async def test(box: Cards) -> None:
        await box.works()
        box.mic.unplug()
        await box.until(lambda: box.told("microphone"))
        box.mic.free.clear()
        box.mic.plug_in()
        await in_trouble(box)

    in_box(cards, test)


def test_s68_nobody_looks_after_the_cards_any_more(cards: pytest.MonkeyPatch) -> None:
    """Their keeper's thread has ended by an error nobody expected."""
    cards.setattr(threading, "excepthook", lambda _: None)

    async def test(box: Cards) -> None:
        await box.works()

        def explode(*_: object) -> None:
            raise ZeroDivisionError

        box.backend._keeper._look_after = explode  # type: ignore[method-assign,assignment]
        await in_trouble(box)

    in_box(cards, test)


BLOCKED = """
import time
from tests.support.house import NO_FILE
from voicebox import app, daemon, settings
started = app.App._announce_ready
async def hang(self):
    await started(self)
    time.sleep(3600)
app.App._announce_ready = hang
daemon.main(settings.load(NO_FILE))
"""


def test_s68_a_blocked_event_loop(tmp_path: Path) -> None:
    """In a process of its own, ended by the signal that systemd sends when no ping came in time."""
    manager = ServiceManager(tmp_path)
    places = {"STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path), "WATCHDOG_USEC": "1000000"}
    wanted = {"VOICEBOX_AUDIO__BACKEND": "wav", "VOICEBOX_LIGHTS__BACKEND": "none", "VOICEBOX_BUTTON__PIN": "false"}
    environ = environment({**manager.environ, **places, **wanted, "VOICEBOX_WAKE__ENABLED": "false"})
    with subprocess.Popen([sys.executable, "-c", BLOCKED], env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            manager.wait_for("READY=1")
            with pytest.raises(AssertionError, match="was not said"):
                manager.wait_for("WATCHDOG=1", timeout=1.5, since=manager.told[-1].moment + 0.01)
            process.send_signal(signal.SIGABRT)
            assert process.wait(5) == -signal.SIGABRT
        finally:
            process.kill()
            manager.close()


def test_s68_a_network_that_is_down_for_hours_stops_no_ping() -> None:
    """Two hours with LONG_TESTS=1; somebody tries to talk to it every ten minutes."""

    async def main() -> None:
        async with town(watchdog=WATCHDOG / 2, memory=2**30) as there:
            await there.proxy.close()
            began = now()
            while now() - began < HOURS * 3600:
                await talk(there)
                await asyncio.sleep(min(600.0, HOURS * 1200))
            await there.proxy.open()
            pings = [at for at, told in there.house.systemd.told if told == "WATCHDOG=1" and at >= began]
            assert max(b - a for a, b in pairwise(pings)) <= WATCHDOG / 2 + 0.1
            assert not [told for _, told in there.house.systemd.told if "not well" in told]

    run_virtual(main())


async def talk(there: Town) -> None:
    await there.house.wake()
    await there.house.until_phase(Phase.IDLE)
