"""The meters: what they tell, that they rest while nobody looks, and that nobody who looks can hold up the box."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.house import House, living
from voicebox.audio.base import BLOCK
from voicebox.audio.pcm import SILENCE
from voicebox.control import Control, ask, find_socket, follow
from voicebox.errors import VoiceboxError
from voicebox.meters import Heard, Meters
from voicebox.virtualtime import run_virtual
from voicebox.wake.base import Scored


class Source:
    meter: Heard | None = None

    @property
    def rests(self) -> bool:
        return self.meter is None


def tone(peak: int) -> bytes:
    """20 ms of a square wave."""
    return np.tile(np.array([peak, -peak], np.int16), BLOCK // 2).tobytes()


def test_a_reading_tells_the_loudest_since_the_last_one() -> None:
    source, scored = Source(), list[Scored]()
    meters = Meters(source, scored, lambda: {"phase": "idle"})
    with meters.reading() as read:
        assert source.meter is meters
        for loud in (3277, 32767, 33):
            meters.before(tone(loud))
        meters.after(tone(3277))
        for score in (0.1, 0.7654, 0.2):
            scored[0]({"hey": score}, playing=False)
        assert read() == {
            "event": "Meters",
            "before": {"level": 0.0, "peak": 0.0},
            "after": {"level": -20.0, "peak": -20.0},
            "scores": {"hey": 0.765},
            "phase": "idle",
        }
        meters.before(bytes(2 * BLOCK))
        assert (read()["before"], read()["before"]) == ({"level": SILENCE, "peak": SILENCE}, None)
    assert source.rests
    assert scored == []


def test_two_who_look_do_not_take_from_each_other() -> None:
    source, scored = Source(), list[Scored]()
    meters = Meters(source, scored, dict)
    with meters.reading() as one:
        with meters.reading() as other:
            meters.before(tone(3277))
            assert one()["before"] == other()["before"] == {"level": -20.0, "peak": -20.0}
        meters.before(tone(3277))
        assert one()["before"] is not None
    assert source.rests


def resting(house: House) -> bool:
    return house.app.hearing.meter is None


async def readings(house: House, number: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    async with aclosing(follow(find_socket(house.app.environ), meters=10)) as news:
        async for line in news:
            event = json.loads(line)
            found += [event] if event["event"] == "Meters" else []
            if len(found) == number:
                break
    return found


def test_a_box_tells_its_meters_over_the_socket_and_rests_when_nobody_looks() -> None:
    async def main() -> list[Mapping[str, Any]]:
        async with living() as house:
            assert resting(house)
            counting = len(house.app.listener.scored) if house.app.listener else 0
            seen = await readings(house, 5)
            async with asyncio.timeout(5):
                while not resting(house):  # noqa: ASYNC110  # it says nothing when it happens
                    await asyncio.sleep(0.01)
            assert house.app.listener is not None
            assert len(house.app.listener.scored) == counting
            assert not house.app.control.is_watched
            return seen

    for reading in run_virtual(main()):
        assert reading["before"]["level"] == reading["after"]["level"]  # nothing is switched on that cleans
        assert -80 < reading["before"]["level"] < -70
        assert (reading["phase"], reading["scene"], reading["sending"]) == ("idle", "idle", False)
        assert (reading["fault"], reading["muted"], reading["queued_s"]) == (None, False, 0.0)


def test_before_and_after_the_front_end() -> None:
    async def main() -> list[Mapping[str, Any]]:
        async with living(options={"VOICEBOX_AUDIO__HIGH_PASS": "true"}) as house:
            hum = 8000 * np.sin(2 * np.pi * 30 * np.arange(16_000) / 16_000)
            house.backend.say(hum.astype(np.int16))
            await asyncio.sleep(0.5)
            return await readings(house, 2)

    reading = run_virtual(main())[-1]
    assert reading["before"]["level"] > -20
    assert reading["after"]["level"] < reading["before"]["level"] - 15


class Looked:
    """Meters of which is noted who looks."""

    def __init__(self) -> None:
        self.looking = self.looks = 0

    @contextmanager
    def reading(self) -> Iterator[Callable[[], dict[str, Any]]]:
        self.looking += 1
        try:
            yield self._read
        finally:
            self.looking -= 1

    def _read(self) -> dict[str, Any]:
        self.looks += 1
        return {"padding": "x" * 10_000}


def test_one_who_does_not_read_is_cut_off_and_no_longer_measured_for(tmp_path: Path) -> None:
    async def main() -> None:
        meters, path = Looked(), tmp_path / "socket"
        server = Control(path, {}, meters=meters.reading)
        await server.start()
        with closing(socket.socket(socket.AF_UNIX)) as sleeper:
            sleeper.connect(str(path))
            sleeper.send(b'{"do": "watch", "meters": 10}\n')
            await asyncio.sleep(1)
            assert (meters.looking, server.is_watched) == (1, True)
            await asyncio.sleep(60)
            assert (meters.looking, server.is_watched) == (0, False)
            looks = meters.looks
            await asyncio.sleep(60)
            assert meters.looks == looks
        await server.stop()

    run_virtual(main())


@pytest.mark.parametrize("rate", [-1, 11, 1.5, "10", True, None])
def test_how_often_is_limited(tmp_path: Path, rate: object) -> None:
    async def main() -> None:
        meters, path = Looked(), tmp_path / "socket"
        server = Control(path, {}, meters=meters.reading)
        await server.start()
        with pytest.raises(VoiceboxError, match='"meters" of watch is a whole number from 0 to 10'):
            await ask(path, {"do": "watch", "meters": rate})
        await server.stop()
        assert meters.looks == 0

    run_virtual(main())
