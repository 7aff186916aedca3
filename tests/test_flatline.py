"""A microphone that lives but delivers nothing is told of, and nothing else."""

import asyncio
import logging

import numpy as np
import pytest

from tests.support.house import House, living
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.wavfile import WavBackend
from voicebox.core.events import MuteChanged
from voicebox.core.state import Phase
from voicebox.flatline import SILENT_AFTER, Flatline
from voicebox.virtualtime import run_virtual

ENOUGH = round(SILENT_AFTER * 50)  # blocks


class Line:
    def __init__(self) -> None:
        self.changes: list[bool] = []
        self.flatline = Flatline(lambda: self.changes.append(self.flatline.silent))
        self.position = 0

    def hear(self, value: int, blocks: int, *, odd: int = 0) -> None:
        samples = np.full(BLOCK, value, np.int16)
        samples[-1] += odd
        for _ in range(blocks):
            self.flatline.block(Block(self.position, samples.tobytes(), self.position / 16_000))
            self.position += BLOCK


@pytest.mark.parametrize("value", [0, -1, 12_345, -32_768])
def test_a_minute_of_one_value_is_silence_and_one_other_sample_ends_it(
    value: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A41: Fault 41, and a converter that is stuck."""
    caplog.set_level(logging.INFO, "voicebox")
    line = Line()
    line.hear(value, ENOUGH - 1)
    assert line.changes == []
    line.hear(value, 2 * ENOUGH)
    assert line.changes == [True]
    line.hear(value, 1, odd=1)
    assert line.changes == [True, False]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert f"the value {value} for 60 s" in caplog.messages[0]


def test_the_least_noise_is_no_silence() -> None:
    line = Line()
    for _ in range(5):
        line.hear(0, ENOUGH - 1)
        line.hear(0, 1, odd=1)
    assert line.changes == []


def test_a_gap_says_nothing_for_or_against_it() -> None:
    """The card may have been away, the box muted: what counts is what is heard."""
    line = Line()
    line.hear(0, ENOUGH - 1)
    line.position += 16_000
    line.hear(0, 1)
    line.position += 16_000
    line.hear(0, 1)
    assert line.changes == [True]


def test_a_silent_box_says_so_but_goes_on_as_it_is() -> None:
    """A41: No false wake, no new connection, no restart by systemd; and the button still starts a conversation."""

    async def main() -> House:
        async with living(backend=WavBackend(), watchdog=1.0) as house:
            await asyncio.sleep(SILENT_AFTER - 10)
            assert "silence" not in house.systemd.told[-1][1]
            await asyncio.sleep(20)
            told = [text for _, text in house.systemd.told if text.startswith("STATUS=")]
            assert told[-1] == 'STATUS=waiting for "hey jarvis" (the microphone delivers only silence)'
            assert house.app.hearing.trouble() is None
            assert (house.phases, house.faults) == ([Phase.IDLE], set())
            house.app.box.dispatch(MuteChanged(muted=True))
            assert house.app.status(house.app.box.state) == "muted, microphone closed"
            await asyncio.sleep(1)
            house.app.box.dispatch(MuteChanged(muted=False))
            await asyncio.sleep(1)
            assert "silence" in house.app.status(house.app.box.state)
            await house.ask()
            assert not house.app.flatline.silent
            return house

    house = run_virtual(main())
    assert len(house.simulator.connections) == 1
