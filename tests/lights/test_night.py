"""The night schedule: local time, over midnight, on the days on which the clocks change, and without a clock."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.support.gpio import manual_loop, mock_pins
from voicebox.core.scenes import Scene
from voicebox.lights.base import LightOptions
from voicebox.lights.gpio import GpioLight
from voicebox.lights.night import CLOCK_IS_SET, LOOK_AGAIN, Dimmer, Night

NIGHT = Night(22 * 60, 7 * 60, 0.2)


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """CET, and CEST from the last Sunday of March to that of October; written out, so that no zone files are needed."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("moment", "is_night"),
    [
        ("2026-01-15 20:59:59", False),  # 21:59:59
        ("2026-01-15 21:00:00", True),
        ("2026-01-15 23:30:00", True),
        ("2026-01-16 05:59:59", True),
        ("2026-01-16 06:00:00", False),
        ("2026-07-15 19:59:59", False),  # CEST
        ("2026-07-15 20:00:00", True),
        ("2026-07-16 05:00:00", False),
    ],
)
def test_night_is_by_the_clock_on_the_wall(moment: str, is_night: bool) -> None:
    assert NIGHT.holds(utc(moment)) is is_night


def test_a_night_within_one_day() -> None:
    siesta = Night(13 * 60, 15 * 60, 0.1)
    assert [siesta.holds(utc(f"2026-01-15 {hour}:30:00")) for hour in (11, 12, 13, 14)] == [False, True, True, False]


def test_while_the_clock_is_not_set_it_is_day() -> None:
    assert not any(NIGHT.holds(hour * 3600.0) for hour in range(24))
    assert not NIGHT.holds(CLOCK_IS_SET - 1)


@pytest.mark.parametrize("day", ["2026-01-15", "2026-03-28", "2026-03-29", "2026-10-24", "2026-10-25", "2026-12-31"])
def test_every_border_is_met_to_the_second(day: str) -> None:
    """Also on the two days with 23 and 25 hours: whoever looks when told to is never wrong for longer than a second."""
    now, end = utc(f"{day} 00:00:00"), utc(f"{day} 00:00:00") + 86_400
    minutes = range(int(now), int(end), 60)
    changes = [moment for moment in minutes if NIGHT.holds(moment) is not NIGHT.holds(moment - 60)]
    looked = []
    while now < end:
        pause = NIGHT.next_border(now)
        assert 0 < pause <= LOOK_AGAIN
        now += pause
        looked.append(now)
    assert len(changes) == 2
    assert set(changes) <= set(looked)


def test_a_lit_light_dims_when_night_begins_and_a_dark_one_sets_no_timer() -> None:
    loop, began = manual_loop(), utc("2026-01-15 20:30:00")
    dimmer = Dimmer(1.0, Night(22 * 60, 7 * 60, 0.5), lambda: began + loop.time())
    with mock_pins() as factory:
        light = GpioLight(LightOptions(led=25, dimmer=dimmer), loop)
        light.show(Scene.LISTENING)
        loop.advance(1799)
        assert factory.pin(25).state == 1
        loop.advance(2)
        assert factory.pin(25).state == 0.25
        loop.advance(9 * 3600)
        assert factory.pin(25).state == 1
        assert loop.wakeups < 15
        light.show(Scene.IDLE)
        assert loop.pending == 0
        light.close()
