"""The whole examination: of a box that has nothing, in a room with an echo, with an owner and without."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockPWMPin

from tests.support.gpio import mock_pins, no_pins
from tests.support.house import NO_FILE
from tests.support.room import Room
from tests.support.session import TOKEN, websocket, welcome
from voicebox import parts, settings
from voicebox.assets import speech
from voicebox.audio.base import Handlers
from voicebox.audio.wavfile import WavBackend
from voicebox.doctor import examination, network, pins, sound
from voicebox.doctor.acoustics import sweep
from voicebox.doctor.base import Case, Check, Finding, left_out, well
from voicebox.doctor.examination import Family, examine
from voicebox.errors import DeviceError
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual

NOTHING = {"VOICEBOX_LIGHTS__BACKEND": "none", "VOICEBOX_BUTTON__PIN": "false"}


@dataclass
class Owner:
    """Answers what it is told to, in turn, and notes what is said to it. ``does`` is called when told something."""

    answers: list[bool | None] = field(default_factory=list)
    present: bool = True
    heard: list[str] = field(default_factory=list)
    meters: list[str] = field(default_factory=list)
    does: "dict[str, object]" = field(default_factory=dict)

    async def asked(self, question: str) -> bool | None:
        self.heard.append(question)
        return self.answers.pop(0) if self.present else None

    def told(self, text: str) -> None:
        self.heard.append(text)
        for words, act in self.does.items():
            if words in text:
                act()  # type: ignore[operator]  # a function without parameters

    def meter(self, text: str) -> None:
        self.meters.append(text)


def nobody() -> Owner:
    return Owner(present=False)


def box(owner: Owner, tmp_path: Path, options: dict[str, str] | None = None) -> Case:
    chosen = settings.load(NO_FILE, NOTHING | (options or {}))
    return Case(chosen, owner, state=tmp_path)


async def collect(check: Check, case: Case) -> list[Finding]:
    return [finding async for finding in check(case)]


def told(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.mark}: {finding.text}" for finding in findings)


# --- the frame -------------------------------------------------------------------------------------------------------


def test_a_check_that_hangs_or_fails_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def hangs(_case: Case) -> AsyncIterator[Finding]:
        yield well("so far")
        await asyncio.Event().wait()

    async def fails(case: Case) -> AsyncIterator[Finding]:
        if case.settings is not None:
            raise DeviceError("no such thing")
        yield left_out("never")

    async def works(_case: Case) -> AsyncIterator[Finding]:
        yield well("works")

    for name, check in (("configuration", hangs), ("service", fails), ("machine", works)):
        monkeypatch.setattr(f"voicebox.doctor.{name}.check", check)
    families = (
        Family("1", "configuration", 5.0, patience=100.0),
        Family("2", "service", 5.0),
        Family("3", "machine", 5.0),
    )

    async def main() -> tuple[list[Finding], float]:
        found = [finding async for _, finding in examine(box(nobody(), tmp_path), families)]
        return found, asyncio.get_running_loop().time()

    found, took = run_virtual(main())
    assert [finding.mark.value for finding in found] == ["ok", "WRONG", "left out", "ok"]
    assert "within 5 s" in found[1].text
    assert took == pytest.approx(5.0)


def test_every_family_has_its_check() -> None:
    for family in examination.CHECKS:
        module = __import__(f"voicebox.doctor.{family.module}", fromlist=["check"])
        assert callable(module.check)


# --- sound -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    made = Room(delay=0.1, gain=0.5)
    monkeypatch.setattr(parts, "backend", lambda _: made)
    return made


def test_loop_delay_and_echo_are_those_of_the_room(room: Room, tmp_path: Path) -> None:
    found = run_virtual(collect(sound.check, box(nobody(), tmp_path)))
    text = told(found)
    assert 'its own recording of "hey jarvis" scores' in text
    echo = next(finding.text for finding in found if "came back" in finding.text)
    milliseconds, level = (
        float(part) for part in (echo.split(" ms")[0].split()[-1], echo.split(" dBFS")[0].split()[-1])
    )
    assert milliseconds == pytest.approx(100 + 1000 * room.speaker._latency, abs=45)  # blocks of 20 ms on both ways
    assert level == pytest.approx(-23.1 - 6.0, abs=1.5)
    assert "no sample was lost" in text
    assert "WRONG" not in text
    assert found[-1].mark == "left out"  # nobody speaks
    assert room.speaker.recorded.count(0) < len(room.speaker.recorded)


def test_with_an_owner_voice_and_wake_word_are_heard(room: Room, tmp_path: Path) -> None:
    does = {"Please speak": lambda: room.say(speech("ask_time")), "Please say": lambda: room.say(speech("wake"))}
    owner = Owner([True], does=dict(does))
    text = told(run_virtual(collect(sound.check, box(owner, tmp_path))))
    assert "your voice reaches" in text
    assert "the wake word was heard, best score 0.9" in text or "best score 1.0" in text
    assert any("#" in line for line in owner.meters)
    assert owner.meters[-1] == ""


def test_an_owner_who_says_nothing_is_told(room: Room, tmp_path: Path) -> None:
    assert room.position == 0
    text = told(run_virtual(collect(sound.check, box(Owner([True]), tmp_path))))
    assert "WRONG: your voice reaches only" in text
    assert "WRONG: the wake word was not heard" in text


def test_a_speaker_nobody_hears(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(parts, "backend", lambda _: WavBackend(noise=-75.0))
    for answer, expected in ((False, "WRONG: the speaker was not heard"), (True, "ok: the microphone hears nothing")):
        assert expected in told(run_virtual(collect(sound.check, box(Owner([answer]), tmp_path))))


def test_a_card_that_does_not_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Busy(WavBackend):
        async def start(self, handlers: Handlers) -> None:
            handlers.lost("microphone", "another program holds it")
            handlers.ready("speaker")

    monkeypatch.setattr(parts, "backend", lambda _: Busy())
    found = run_virtual(collect(sound.check, box(nobody(), tmp_path)))
    assert found[-1].text == "the microphone did not open: microphone: another program holds it"


def test_a_running_box_keeps_its_cards_and_pins(tmp_path: Path) -> None:
    case = box(nobody(), tmp_path)
    running = Case(case.settings, case.owner, status={"phase": "idle"})
    for check in (sound.check, pins.check):
        assert [finding.mark for finding in asyncio.run(collect(check, running))] == ["left out"]


# --- button and light ------------------------------------------------------------------------------------------------

WIRED = {"VOICEBOX_LIGHTS__BACKEND": "gpio", "VOICEBOX_BUTTON__PIN": "17"}


def test_a_light_that_is_seen_and_a_button_that_is_pressed(tmp_path: Path) -> None:
    with mock_pins():
        press = {"press the button": lambda: Device.pin_factory.pin(17).drive_low()}
        case = box(Owner([True], does=dict(press)), tmp_path, WIRED)
        found = run_virtual(collect(pins.check, case))
        assert told(found).splitlines() == [
            "ok: the light (gpio) can be had, and was shown 4 scenes",
            "ok: the button on GPIO17 works",
        ]
        assert Device.pin_factory.pin(25).state == 0


class _Grounded(MockPWMPin):  # type: ignore[misc]  # gpiozero ships no types
    """The button's pin lies on ground, whatever pulls at it."""

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.info.name == "GPIO17":
            self.drive_low()


@pytest.mark.parametrize("down", [False, True])
def test_a_button_nobody_presses(tmp_path: Path, down: bool) -> None:
    with mock_pins(MockPWMPin if not down else _Grounded):
        found = run_virtual(collect(pins.check, box(Owner([False]), tmp_path, WIRED)))
    assert found[0].text == "the light was not seen"
    assert ("is down, though" if down else "nobody pressed") in found[1].text


def test_without_pins_the_cure_is_named(tmp_path: Path) -> None:
    with no_pins():
        found = run_virtual(collect(pins.check, box(nobody(), tmp_path, WIRED)))
    assert [finding.mark for finding in found] == ["WRONG", "WRONG"]
    assert examination.fragment(found) == '[button]\npin = false\n\n[lights]\nbackend = "none"'


# --- network ---------------------------------------------------------------------------------------------------------


def lira(url: str) -> dict[str, str]:
    options = {"SERVICE": "lira", "LIRA__URL": url, "LIRA__MEETING_ID": "m", "LIRA__ALLOW_PLAIN": "true"}
    return {f"VOICEBOX_{key}": value for key, value in options.items()} | {"VOICEBOX_LIRA_TOKEN": TOKEN}


def test_one_handshake_proves_the_token(tmp_path: Path) -> None:
    async def main() -> list[Finding]:
        async with websocket(welcome) as url:
            return await collect(network.check, box(nobody(), tmp_path, lira(url)))

    text = told(run_virtual(main()))
    assert "ok: port" in text
    assert "ok: lira opened a session with this token" in text
    assert TOKEN not in text


def test_a_token_that_is_refused(tmp_path: Path) -> None:
    async def main() -> list[Finding]:
        async with Simulator("lira", meeting_id="m") as simulator:
            return await collect(network.check, box(nobody(), tmp_path, lira(simulator.url)))

    found = run_virtual(main())
    assert found[-1].mark == "WRONG"
    assert "lira refuses" in found[-1].text
    assert TOKEN not in told(found)


def test_nobody_answers(tmp_path: Path) -> None:
    found = asyncio.run(collect(network.check, box(nobody(), tmp_path, lira("ws://127.0.0.1:9/"))))
    assert found[-1].mark == "WRONG"
    assert "connection refused" in found[-1].text


def test_a_missing_token(tmp_path: Path) -> None:
    options = {key: value for key, value in lira("ws://127.0.0.1:9/").items() if "TOKEN" not in key}
    found = asyncio.run(collect(network.check, box(nobody(), tmp_path, options)))
    assert [finding.mark for finding in found] == ["WRONG"]
    assert "voicebox secret set lira_token" in found[0].text


def test_without_a_service_no_network_is_needed(tmp_path: Path) -> None:
    found = asyncio.run(collect(network.check, box(nobody(), tmp_path)))
    assert [finding.mark for finding in found] == ["ok"]


def test_a_sweep_is_not_too_loud() -> None:
    assert int(np.abs(sweep().astype(np.int32)).max()) <= 3_277
