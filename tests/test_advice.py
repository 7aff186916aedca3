"""How the wake word does: what is counted, what is kept, and that an idle box writes nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.house import House, living
from voicebox.advice import AGAIN, BINS, DAYS, ENDS, FLOOR, IN_THE_WAY, MOST_PHRASES, SAVE_AFTER, Advice, Kind
from voicebox.core.events import ButtonTapped, Event, HangUp, SessionLost, Timer, TimerExpired, WakeDetected
from voicebox.core.state import Fault, Phase, State
from voicebox.virtualtime import run_virtual

PHRASE = "hey_jarvis"
IDLE, LISTENING, THINKING = (State(phase=phase) for phase in (Phase.IDLE, Phase.LISTENING, Phase.THINKING))
HOP = 0.08


class Week:
    """Advice, and somebody who calls. Time is the loop's, the calendar ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.today = datetime(2026, 11, 2, 12).astimezone()
        self.advice = Advice(path, asyncio.get_running_loop(), lambda: self.today)

    async def rise(self, *scores: float, playing: bool = False) -> None:
        for score in (*scores, *[0.0] * ENDS):
            await asyncio.sleep(HOP)
            self.advice.heard({PHRASE: score}, playing=playing)

    async def wake(self, peak: float, *steps: tuple[State, Event, State]) -> None:
        """It rises, is detected, rises further to ``peak``; then the conversation takes these steps."""
        self.advice.heard({PHRASE: 0.6}, playing=False)
        self.advice.follow(IDLE, WakeDetected(PHRASE, 0.6, 0), LISTENING)
        await self.rise(peak)
        for step in steps:
            self.advice.follow(*step)

    @property
    def counted(self) -> dict[str, dict[float, int]]:
        """kind -> lower end of the step -> how many."""
        kinds = self.advice.totals().get(PHRASE, {})
        found = {k: {step / BINS: n for step, n in enumerate(steps) if n} for k, steps in kinds.items()}
        return {kind: steps for kind, steps in found.items() if steps}


ANSWERED = (LISTENING, SessionLost("", 0.0), THINKING)  # which event led there does not matter
NOBODY = (LISTENING, TimerExpired(Timer.PHASE), IDLE)


def a_week(test: Callable[[Week], Awaitable[None]], path: Path) -> None:
    async def main() -> None:
        await test(Week(path))

    run_virtual(main())


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (ANSWERED, Kind.ANSWERED),
        (NOBODY, Kind.SILENT),
        ((LISTENING, HangUp(), IDLE), Kind.SILENT),
        ((LISTENING, ButtonTapped(0), IDLE), Kind.SILENT),
        ((LISTENING, SessionLost("no network", 1.0), State(fault=Fault.OFFLINE)), Kind.UNCLEAR),
    ],
)
def test_a_wake_is_counted_by_what_came_of_it_and_by_its_peak(
    tmp_path: Path, step: tuple[State, Event, State], kind: Kind
) -> None:
    async def test(week: Week) -> None:
        await week.wake(0.93, step)
        assert week.counted == {kind: {0.9: 1}}

    a_week(test, tmp_path / "wake.json")


def test_an_outcome_that_is_known_before_the_score_falls_waits_for_it(tmp_path: Path) -> None:
    async def test(week: Week) -> None:
        week.advice.heard({PHRASE: 0.6}, playing=False)
        week.advice.follow(IDLE, WakeDetected(PHRASE, 0.6, 0), LISTENING)
        week.advice.follow(*ANSWERED)
        assert week.counted == {}
        await week.rise(0.97)
        assert week.counted == {Kind.ANSWERED: {0.95: 1}}

    a_week(test, tmp_path / "wake.json")


def test_a_near_miss_is_counted_once_with_its_peak(tmp_path: Path) -> None:
    async def test(week: Week) -> None:
        await week.rise(0.3, 0.1, 0.42, 0.3)
        await week.rise(FLOOR - 0.01)
        assert week.counted == {Kind.MISSED: {0.4: 1}}

    a_week(test, tmp_path / "wake.json")


@pytest.mark.parametrize(("later", "kind"), [(AGAIN - 3, Kind.AGAIN), (AGAIN + 1, Kind.MISSED)])
def test_a_near_miss_with_a_wake_soon_after_was_a_call_in_vain(tmp_path: Path, later: float, kind: Kind) -> None:
    async def test(week: Week) -> None:
        await week.rise(0.42)
        await asyncio.sleep(later)
        await week.wake(0.9, ANSWERED)
        assert week.counted == {kind: {0.4: 1}, Kind.ANSWERED: {0.9: 1}}

    a_week(test, tmp_path / "wake.json")


def test_what_rises_in_a_conversation_or_while_the_box_plays_is_no_near_miss(tmp_path: Path) -> None:
    async def test(week: Week) -> None:
        await week.rise(0.45, playing=True)
        await week.wake(0.9, ANSWERED)
        await week.rise(0.45)
        week.advice.follow(THINKING, SessionLost("", 0.0), State(muted=True))
        await week.rise(0.45)
        assert week.counted == {Kind.ANSWERED: {0.9: 1}}

    a_week(test, tmp_path / "wake.json")


def test_a_detection_that_woke_nothing_is_neither(tmp_path: Path) -> None:
    async def test(week: Week) -> None:
        week.advice.heard({PHRASE: 0.6}, playing=False)
        week.advice.follow(IDLE, WakeDetected(PHRASE, 0.6, 0), IDLE)
        await week.rise(0.9)
        assert week.counted == {}

    a_week(test, tmp_path / "wake.json")


def test_only_a_week_counts(tmp_path: Path) -> None:
    async def test(week: Week) -> None:
        for _ in range(2 * DAYS):
            await week.rise(0.42)
            week.today += timedelta(days=1)
        assert week.counted == {Kind.MISSED: {0.4: DAYS - 1}}  # nothing yet today

    a_week(test, tmp_path / "wake.json")


def test_it_outlasts_a_restart(tmp_path: Path) -> None:
    async def test(week: Week) -> None:
        await week.rise(0.42)
        week.advice.close()
        after = Week(week.path)
        await after.rise(0.42)
        assert after.counted == {Kind.MISSED: {0.4: 2}}
        after.advice.close()

    a_week(test, tmp_path / "wake.json")


def test_what_was_counted_is_written_in_one_go_and_an_idle_box_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr("voicebox.statefile.write", lambda _path, text: written.append(text))

    async def test(week: Week) -> None:
        for _ in range(100):
            await week.rise(0.42)
        await asyncio.sleep(SAVE_AFTER)
        assert len(written) == 1
        for _ in range(3600):
            await asyncio.sleep(1)
            week.advice.heard({PHRASE: 0.05}, playing=False)
        week.advice.close()
        assert len(written) == 1

    a_week(test, tmp_path / "wake.json")


def test_nothing_is_written_while_somebody_talks_to_the_box(tmp_path: Path) -> None:
    async def test(week: Week) -> None:
        await week.wake(0.9, ANSWERED)
        await asyncio.sleep(2 * SAVE_AFTER)
        assert not week.path.exists()
        week.advice.follow(THINKING, TimerExpired(Timer.PHASE), IDLE)
        await asyncio.sleep(IN_THE_WAY)
        assert week.path.exists()

    a_week(test, tmp_path / "wake.json")


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "[]",
        "{",
        '{"yesterday": {}}',
        '{"2026-11-01": 5}',
        '{"2026-11-01": {"hey_jarvis": {"missed": 7}}}',
        '{"2026-11-01": {"hey_jarvis": {"missed": [1]}}}',
        json.dumps({"2026-11-01": {PHRASE: {"missed": [-1] * BINS}}}),
        json.dumps({"2026-11-01": {PHRASE: {"cheered": [1] * BINS}}}),
    ],
)
def test_what_is_none_of_its_own_is_forgotten(tmp_path: Path, kept: str) -> None:
    path = tmp_path / "wake.json"
    path.write_text(kept)

    async def test(week: Week) -> None:
        assert week.counted == {}
        await week.rise(0.42)
        assert week.counted == {Kind.MISSED: {0.4: 1}}
        week.advice.close()

    a_week(test, path)


@pytest.mark.parametrize("days", [1, -1])
def test_it_does_not_grow(tmp_path: Path, days: int) -> None:
    """Not with a clock that runs backwards either."""

    async def test(week: Week) -> None:
        for day in range(3 * DAYS):
            week.today += timedelta(days=days)
            for number in range(2 * MOST_PHRASES):
                for score in (0.42, *[0.0] * ENDS):
                    week.advice.heard({f"phrase {day} {number}": score}, playing=False)
        week.advice.close()
        assert len(week.path.read_text()) < DAYS * MOST_PHRASES * 150

    a_week(test, tmp_path / "wake.json")


def test_a_box_counts_its_own_wakes() -> None:
    async def main() -> dict[str, dict[str, list[int]]]:
        async with living(options={"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "2"}) as house:
            await wake(house)
            house.say()
            await house.until_phase(Phase.SPEAKING)
            await house.until_phase(Phase.IDLE)
            await wake(house)
            await house.until_phase(Phase.IDLE)
            await asyncio.sleep(ENDS * HOP)
            return house.app.advice.totals()

    async def wake(house: House) -> None:
        house.ear.score = 0.9
        await house.wake()
        house.ear.score = 0.0
        await asyncio.sleep((ENDS + 1) * HOP)

    kinds = run_virtual(main())[PHRASE]
    assert {kind: sum(steps) for kind, steps in kinds.items()} == {Kind.ANSWERED: 1, Kind.SILENT: 1}
