"""The minutes of a day: counted through restarts and midnight, and never more than the owner allows."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.support.house import EARCONS, House, living, now
from tests.support.sounds import earcon
from voicebox import pumps, usage
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.pcm import from_bytes
from voicebox.core.events import SessionEnded, SessionWarning, TextAsked
from voicebox.core.state import Fault, Phase
from voicebox.errors import QuotaError
from voicebox.usage import SAVE_EVERY, Usage
from voicebox.virtualtime import run_virtual


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = 1000.0
        self.today = "2031-03-10"

    def usage(self, limit: float | None = 600.0) -> Usage:
        return Usage(self.path, limit, lambda: self.clock, lambda: self.today)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "usage.json")


def test_only_open_sessions_count(world: World) -> None:
    usage = world.usage()
    world.clock += 50
    usage.opened()
    world.clock += 20
    assert usage.used == 20
    assert usage.left == 580
    usage.closed()
    usage.closed()
    world.clock += 50
    assert usage.used == 20
    usage.opened()
    world.clock += 5
    usage.opened()
    world.clock += 5
    assert usage.used == 30


def test_without_a_limit_all_is_permitted(world: World) -> None:
    usage = world.usage(None)
    usage.opened()
    world.clock += 1e6
    usage.permit()
    assert usage.left == math.inf


def test_what_was_used_outlasts_a_restart(world: World) -> None:
    usage = world.usage()
    usage.opened()
    world.clock += 100
    usage.closed()
    world.clock = 3.0  # another boot, another clock
    assert world.usage().used == 100
    world.today = "2031-03-11"
    assert world.usage().used == 0


def test_a_power_cut_forgets_no_more_than_a_minute(world: World) -> None:
    usage = world.usage()
    usage.opened()
    for _ in range(30):
        world.clock += 10
        _ = usage.left
    assert 300 - world.usage().used < SAVE_EVERY


def test_nothing_is_written_while_nothing_is_used(world: World) -> None:
    usage = world.usage()
    world.clock += 1000
    usage.closed()
    assert usage.used == 0
    assert not world.path.exists()


def test_when_all_is_used_it_is_refused_until_tomorrow(world: World) -> None:
    usage = world.usage()
    usage.opened()
    world.clock += 599
    usage.permit()
    world.clock += 2
    with pytest.raises(QuotaError, match=r"10 minutes.*session.daily_minutes.*tomorrow"):
        usage.permit()
    assert usage.left == 0
    world.today = "2031-03-11"
    usage.permit()
    assert usage.left == 600


def test_midnight_in_mid_session_begins_a_new_day(world: World) -> None:
    usage = world.usage()
    usage.opened()
    world.clock += 500
    assert usage.used == 500
    world.today = "2031-03-11"
    world.clock += 10
    _ = usage.used
    world.clock += 20
    assert usage.used == 20
    usage.closed()
    assert json.loads(world.path.read_text()) == {"day": "2031-03-11", "seconds": 20.0}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", '{"day": "2031-03-10"}', '{"day": "2031-03-10", "seconds": "many"}',
     '{"day": "2031-03-10", "seconds": -5}', '{"day": "2031-03-10", "seconds": NaN}',
     '{"day": "2031-03-10", "seconds": 1e999}', '{"day": "2031-03-10", "seconds": null}', "[" * 2000],
)  # fmt: skip
def test_a_damaged_file_counts_as_nothing(world: World, text: str) -> None:
    world.path.write_text(text)
    assert world.usage().used == 0


# --- the box -------------------------------------------------------------------------------------------------------

LONG = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "600"}
ALLOWED = 9.0
LAST_CALL = 3.0


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds where the box counts in minutes."""
    monkeypatch.setattr(pumps, "LAST_CALL", LAST_CALL)
    monkeypatch.setattr(pumps, "COUNT_EVERY", 1.0)
    monkeypatch.setattr(usage, "SAVE_EVERY", 1.0)


box = pytest.mark.usefixtures("_hurried")


@asynccontextmanager
async def metered(seconds: float = ALLOWED, options: Mapping[str, str] | None = None) -> AsyncIterator[House]:
    allowed = {"VOICEBOX_SESSION__DAILY_MINUTES": str(seconds / 60)}
    async with living(options={**LONG, **allowed, **(options or {})}) as house:
        yield house


async def until_said(house: House, kind: type) -> None:
    await house.until(lambda: any(isinstance(step.event, kind) for _, step in house.steps), within=900)


def fault(house: House) -> Fault | None:
    return house.app.box.state.fault


def when(house: House, kind: type) -> list[float]:
    return [at for at, step in house.steps if isinstance(step.event, kind)]


@box
def test_the_cap_cuts_after_a_warning_and_the_next_wake_is_refused_until_tomorrow() -> None:
    async def main() -> None:
        async with metered() as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            ready = now()
            await house.until_phase(Phase.IDLE, within=900)
            assert now() - ready == pytest.approx(ALLOWED, abs=0.2)
            (warned,) = when(house, SessionWarning)
            assert now() - warned == pytest.approx(LAST_CALL, abs=0.2)
            assert fault(house) is Fault.USED_UP
            await asyncio.sleep(10)
            assert not house.app.session.connected
            assert fault(house) is None

            await house.wake()
            await until_said(house, SessionEnded)
            await asyncio.sleep(1)
            assert house.phase is Phase.IDLE
            assert fault(house) is Fault.USED_UP
            assert len(house.simulator.connections) == 1  # the service was not even dialled

            house.app.usage._today = lambda: "2999-01-01"
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            assert fault(house) is None

    run_virtual(main())


@box
def test_the_cap_cuts_in_mid_reply() -> None:
    async def main() -> None:
        async with metered() as house:
            await house.ask()
            await house.until_phase(Phase.IDLE)
            assert fault(house) is Fault.USED_UP
            (cut,) = house.cuts
            assert house.backend.heard_after(cut) <= 480
            await asyncio.sleep(2)
            assert house.stale(cut) == 0

    run_virtual(main())


@box
def test_a_new_day_in_mid_session_lifts_the_cap() -> None:
    async def main() -> None:
        async with metered() as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            await asyncio.sleep(ALLOWED - 2)
            assert len(when(house, SessionWarning)) == 1
            house.app.usage._today = lambda: "2999-01-01"
            await asyncio.sleep(ALLOWED - LAST_CALL - 1)
            assert house.phase is Phase.LISTENING
            assert len(when(house, SessionWarning)) == 1
            await asyncio.sleep(2)
            assert len(when(house, SessionWarning)) == 2  # of the new day

    run_virtual(main())


@box
def test_the_file_is_kept_up_during_a_session() -> None:
    async def main() -> float:
        async with metered(60) as house:
            await house.wake()
            await asyncio.sleep(10)
            return kept(Path(house.app.environ["STATE_DIRECTORY"], "usage.json"))

    assert run_virtual(main()) == pytest.approx(10, abs=2)


def kept(path: Path) -> float:
    return float(json.loads(path.read_text())["seconds"])


@box
def test_the_warning_is_a_tone_over_the_reply_of_which_nothing_is_lost() -> None:
    async def main() -> tuple[House, int]:
        async with metered(seconds=20, options=EARCONS) as house:
            await house.ask()
            house.app.usage._seconds = 20 - LAST_CALL - 2
            await until_said(house, SessionWarning)
            at = round((now() - house.backend.speaker._start) * PLAYBACK_RATE)
            await asyncio.sleep(1)
            assert house.phase is Phase.SPEAKING
            return house, at

    house, at = run_virtual(main())
    heard = house.heard(1).astype(np.int32)
    began = house.backend.speaker.spoken[0][1]
    sent = from_bytes(bytes(house.wire.sent_pcm[1]))[: heard.size]
    tone = earcon("last_minute")
    (changed,) = np.nonzero(heard - sent)
    first = int(changed[0] - np.flatnonzero(tone)[0])
    assert first + began == pytest.approx(at, abs=0.03 * PLAYBACK_RATE)
    assert np.array_equal((heard - sent)[first : first + tone.size], tone)
    assert changed[-1] < first + tone.size


@box
def test_a_written_turn_is_refused_too() -> None:
    async def main() -> None:
        async with metered() as house:
            house.app.usage._seconds = ALLOWED
            house.app.box.dispatch(TextAsked("hello"))
            await until_said(house, SessionEnded)
            assert fault(house) is Fault.USED_UP
            assert house.simulator.connections == []

    run_virtual(main())


def test_the_longest_session_ends_it() -> None:
    async def main() -> None:
        async with living(options=LONG | {"VOICEBOX_SESSION__MAX_MINUTES": "0.1"}) as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            ready = now()
            await house.until_phase(Phase.IDLE, within=900)
            assert now() - ready == pytest.approx(6, abs=0.2)
            assert house.faults == set()
            await asyncio.sleep(1)
            assert not house.app.session.connected
            await house.wake()
            await house.until_phase(Phase.LISTENING)

    run_virtual(main())
