"""The status page: is it well, what does it do, what happened last; as the running box tells it."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.house import House, living
from voicebox import control
from voicebox.commands.status import ago, screen
from voicebox.control import socket_path
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual


async def status(house: House) -> dict[str, Any]:
    return await control.ask(socket_path(house.app.environ), {"do": "status"})


def page(answer: dict[str, Any]) -> list[str]:
    lines = list(screen(answer))
    assert all(len(line) <= 100 for line in lines)
    assert len(lines) <= 22
    return lines


def test_a_box_that_has_just_started() -> None:
    async def main() -> list[str]:
        async with living() as house:
            await asyncio.sleep(5)
            return page(await status(house))

    lines = run_virtual(main())
    assert lines[0].endswith("service simulator, running for 7 s")
    assert "well     yes" in lines
    assert 'doing    waiting for "hey jarvis"' in lines
    assert "service  no connection (opened when needed)" in lines
    assert "last     nothing has happened yet" in lines


def test_what_happened_is_told_and_nothing_that_was_said() -> None:
    async def main() -> tuple[list[str], str]:
        async with living(options={"VOICEBOX_CONVERSATION__FOLLOW_UP_S": "0"}) as house:
            await house.ask()
            await asyncio.sleep(0.5)
            await house.wake()  # it interrupts
            await house.until_phase(Phase.LISTENING)
            house.app.mute.set(True)
            await house.until_phase(Phase.IDLE)
            await asyncio.sleep(600)
            answer = await status(house)
            return page(answer), json.dumps(answer["recent"])

    lines, recent = run_virtual(main())
    told = [line[9:].strip() for line in lines if " ago  " in line]
    assert all(line.startswith("10 min ") for line in told), told
    assert [line.split("ago  ")[1] for line in told] == [
        "muted",
        "an answer was interrupted by the wake word",
        'heard "hey jarvis" (0.90)',
        'heard "hey jarvis" (0.90)',
    ]
    assert any("MUTED" in line for line in lines)
    assert "time" not in recent


def test_trouble_is_the_first_thing_told() -> None:
    async def main() -> list[str]:
        async with living() as house:
            house.app._device_lost("microphone", "unplugged")
            return page(await status(house))

    assert any(line.startswith("well     NO:") for line in run_virtual(main()))


def test_a_box_that_hears_only_silence_or_was_given_wrong_settings_is_not_well() -> None:
    async def main() -> list[str]:
        async with living() as house:
            house.app.flatline.silent = True
            house.app.refused = "audio.output is a number"
            return page_of(await status(house))

    def page_of(answer: dict[str, Any]) -> list[str]:
        return list(screen(answer))

    lines = run_virtual(main())
    well = next(line for line in lines if line.startswith("well"))
    assert "not quite: the microphone delivers only silence; the settings are wrong" in well
    assert "audio.output is a number" in well


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (61, "1 min"),
        (599, "9 min"),
        (600, "10 min"),
        (3_700, "1 h 1 min"),
        (90_000, "1 day 1 h"),
        (260_000, "3 days"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert ago(seconds) == words
