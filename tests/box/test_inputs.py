"""Buttons and the mute switch on mock pins, wired into the whole box."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from gpiozero import LED
from gpiozero.pins.mock import MockFactory

from tests.support.gpio import mock_pins
from tests.support.house import House, living
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.core.state import Phase
from voicebox.errors import VoiceboxError
from voicebox.inputs import ACTIONS, SHUT_DOWN, VOLUME_STEP
from voicebox.settings.schema import Action
from voicebox.virtualtime import run_virtual

PIN, SWITCH = 5, 6


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    with mock_pins() as factory:
        yield factory


def living_with(buttons: str = "[]", **more: str) -> AbstractAsyncContextManager[House]:
    return living(options={"VOICEBOX_BUTTONS": buttons, **more})


def is_muted(house: House) -> bool:
    return house.app.box.state.muted


async def press(pins: MockFactory, seconds: float = 0.15) -> None:
    pins.pin(PIN).drive_low()
    await asyncio.sleep(seconds)
    pins.pin(PIN).drive_high()
    await asyncio.sleep(0.15)


def test_every_action_of_the_settings_can_be_done() -> None:
    assert set(ACTIONS) == set(get_args(Action))


def test_a_stop_button_ends_the_conversation_at_once(pins: MockFactory) -> None:
    async def main() -> None:
        async with living_with(f'[{{ pin = {PIN}, tap = "stop" }}]') as house:
            await house.ask()
            await press(pins)
            assert house.phase is Phase.IDLE
            assert len(house.cuts) == 1
            assert house.stale(house.cuts[0]) == 0

    run_virtual(main())


def test_a_mute_button_closes_the_microphone_and_opens_it_again(pins: MockFactory) -> None:
    async def main() -> None:
        async with living_with(f'[{{ pin = {PIN}, tap = "mute" }}]') as house:
            await press(pins)
            assert is_muted(house)
            before = house.app.uplink.ring.end
            await asyncio.sleep(1)
            assert house.app.uplink.ring.end == before
            await press(pins)
            await asyncio.sleep(1)
            assert house.app.uplink.ring.end > before

    run_virtual(main())


def test_volume_buttons_go_up_and_down_by_a_step(pins: MockFactory) -> None:
    async def main() -> None:
        async with living_with(f'[{{ pin = {PIN}, tap = "volume_down", double_tap = "volume_up" }}]') as house:
            before = house.app.volume.level
            await press(pins)
            await asyncio.sleep(0.5)
            assert house.app.volume.level == before - VOLUME_STEP
            await press(pins)
            await press(pins)
            await asyncio.sleep(0.5)
            assert house.app.volume.level == before

    run_virtual(main())


def test_the_last_answer_is_said_again_and_a_stop_ends_it(pins: MockFactory) -> None:
    async def main() -> None:
        async with living_with(f'[{{ pin = {PIN}, tap = "repeat", hold = "stop" }}]') as house:
            await press(pins)  # nothing was said yet
            await house.ask()
            await asyncio.sleep(1.5)
            await press(pins)
            assert house.phase is Phase.IDLE
            said = house.app.last_reply.pcm
            begins = len(house.backend.spk)
            await asyncio.sleep(2)
            again = house.backend.spk[begins - PLAYBACK_RATE // 2 :]
            wanted = np.frombuffer(said, np.int16)[12_000:24_000]
            found = [at for at in np.flatnonzero(again == wanted[0]) if np.array_equal(again[at : at + 12_000], wanted)]
            assert len(found) == 1
            await press(pins, 0.6)
            silent = len(house.backend.spk)
            await asyncio.sleep(1)
            assert not house.backend.spk[silent:].any()

    run_virtual(main())


def switched(pins: MockFactory, *, closed: bool) -> None:
    pin = pins.pin(SWITCH)
    (pin.drive_low if closed else pin.drive_high)()


@pytest.fixture
def contact(pins: MockFactory, monkeypatch: pytest.MonkeyPatch) -> MockFactory:
    """Pins on which a pull resistor loses against a contact, as on a board."""
    monkeypatch.setattr(type(pins.pin(SWITCH)), "_set_pull", lambda self, value: setattr(self, "_pull", value))
    return pins


def test_the_mute_switch_counts_from_the_start_and_software_cannot_open_it(contact: MockFactory) -> None:
    pins = contact

    async def main() -> None:
        switched(pins, closed=True)
        async with living_with(VOICEBOX_MUTE_SWITCH__PIN=str(SWITCH)) as house:
            assert is_muted(house)
            assert house.app.uplink.ring.end == 0
            with pytest.raises(VoiceboxError, match="the mute switch"):
                house.app.mute.set(False)
            switched(pins, closed=False)
            await asyncio.sleep(1)
            assert not is_muted(house)
            assert house.app.uplink.ring.end > 0
            switched(pins, closed=True)
            await asyncio.sleep(0.1)
            assert is_muted(house)

    run_virtual(main())


def test_a_lost_edge_of_the_switch_costs_a_second(pins: MockFactory) -> None:
    async def main() -> None:
        async with living_with(VOICEBOX_MUTE_SWITCH__PIN=str(SWITCH)) as house:
            pins.pin(SWITCH).when_changed = None
            switched(pins, closed=True)
            await asyncio.sleep(1.1)
            assert is_muted(house)

    run_virtual(main())


def test_a_switch_that_mutes_when_it_opens(contact: MockFactory) -> None:
    pins = contact

    async def main() -> None:
        switched(pins, closed=True)
        options = {"VOICEBOX_MUTE_SWITCH__PIN": str(SWITCH), "VOICEBOX_MUTE_SWITCH__MUTED_WHEN": "open"}
        async with living_with(**options) as house:
            assert not is_muted(house)
            switched(pins, closed=False)
            await asyncio.sleep(0.1)
            assert is_muted(house)

    run_virtual(main())


def test_a_closed_switch_whose_pin_is_lost_at_a_reload_does_not_open_the_microphone(contact: MockFactory) -> None:
    async def main() -> None:
        switched(contact, closed=True)
        async with living_with(VOICEBOX_MUTE_SWITCH__PIN=str(SWITCH)) as house:
            taken = LED(PIN)
            moved = house.app.settings.mute_switch.model_copy(update={"pin": PIN})
            house.app.inputs.use(house.app.settings.model_copy(update={"mute_switch": moved}))
            assert is_muted(house)
            house.app.mute.set(False)
            assert not is_muted(house)
            taken.close()

    run_virtual(main())


def test_shutting_down_needs_a_long_hold_and_asks_systemd(pins: MockFactory) -> None:
    async def main() -> None:
        async with living_with(f'[{{ pin = {PIN}, long_hold = "shut_down", long_hold_s = 3.0 }}]') as house:
            await press(pins, 2.9)
            assert not _asked(house)
            await press(pins, 3.1)
            assert _asked(house)

    run_virtual(main())


def _asked(house: House) -> bool:
    return Path(house.app.environ["RUNTIME_DIRECTORY"], SHUT_DOWN).exists()


def test_a_pin_that_cannot_be_had_costs_that_button_only(pins: MockFactory, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        taken = LED(PIN)
        buttons = f'[{{ pin = {PIN}, tap = "mute" }}, {{ pin = 13, tap = "mute" }}]'
        async with living_with(buttons) as house:
            pins.pin(13).drive_low()
            await asyncio.sleep(0.1)
            pins.pin(13).drive_high()
            await asyncio.sleep(0.2)
            assert is_muted(house)
        taken.close()

    with caplog.at_level(logging.WARNING):
        run_virtual(main())
    (warning,) = [text for text in caplog.messages if "works on without it" in text]
    assert f"GPIO{PIN}" in warning
    assert "buttons[1].pin" in warning
