"""What can be asked of a running box, over its socket, in virtual time."""

import asyncio
import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from tests.support.asking import ask, asked, refused
from tests.support.house import House, now
from voicebox import __version__, control
from voicebox.audio import mixer
from voicebox.audio.wavfile import WavBackend
from voicebox.control import socket_path
from voicebox.core.events import Event, ReplyAudio
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.errors import DeviceError
from voicebox.lights.none import NullLight
from voicebox.settings import SIMULATOR
from voicebox.virtualtime import run_virtual


async def subscribed(house: House) -> None:
    while not house.app.control.is_watched:  # noqa: ASYNC110  # it says nothing when it happens
        await asyncio.sleep(0.001)


# --- status --------------------------------------------------------------------------------------------------------


def test_status_says_how_it_is() -> None:
    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        async with asked() as house:
            idle = await ask(house, "status")
            await house.ask()
            house.app.usage._seconds = 90.0
            return idle, await ask(house, "status")

    idle, busy = run_virtual(main())
    assert idle["status"] == 'waiting for "hey jarvis"'
    assert idle["version"] == __version__
    assert idle["service"] == SIMULATOR
    assert (idle["phase"], idle["link"], idle["connected"], idle["muted"]) == ("idle", "down", False, False)
    assert (idle["fault"], idle["rtt_ms"], idle["minutes_left"]) == (None, None, None)
    assert (busy["phase"], busy["link"], busy["connected"]) == ("speaking", "up", True)
    assert busy["uplink"]["sent"] > 16_000
    assert busy["minutes_today"] == 1.5
    assert busy["underruns"] == 0


def test_status_names_no_secret() -> None:
    async def main() -> str:
        async with asked() as house:
            await house.ask()
            return json.dumps(await ask(house, "status")) + house.simulator.token

    text = run_virtual(main())
    token = text.rpartition("}")[2]
    assert len(token) > 20
    assert text.count(token) == 1


def test_without_a_socket_the_box_works_and_says_so(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environ = {"STATE_DIRECTORY": str(tmp_path), "VOICEBOX_CONTROL": str(tmp_path / "file" / "control.sock")}

    async def main() -> None:
        async with asked(environ=environ) as house:
            await house.ask()
            with pytest.raises(DeviceError, match="no voicebox answers"):
                await ask(house, "status")

    run_virtual(main())
    assert "without it the box works" in caplog.text


# --- volume --------------------------------------------------------------------------------------------------------


def test_the_volume_is_told_set_and_kept() -> None:
    loud = np.full(4_800, 8_000, np.int16).tobytes()

    async def notice(house: House) -> int:
        """How loud our own sounds are."""
        begin = house.backend.spk.size
        house.backend.speaker.notify(loud)
        await asyncio.sleep(0.5)
        return int(np.abs(house.backend.spk[begin:]).max())

    async def main(home: str) -> None:
        environ = {"STATE_DIRECTORY": home, "RUNTIME_DIRECTORY": home}
        async with asked(environ=environ) as house:
            assert await ask(house, "volume") == {"ok": True, "volume": 100, "control": "software"}
            assert await notice(house) == 8_000
            assert await ask(house, "volume", level=40) == {"ok": True, "volume": 40, "control": "software"}
            assert await ask(house, "volume", by=20) == {"ok": True, "volume": 60, "control": "software"}
            assert await ask(house, "volume", by=-10) == {"ok": True, "volume": 50, "control": "software"}
            assert (await ask(house, "status"))["volume"] == 50
            assert await notice(house) == 1_000
            assert "from 0 to 100: 101" in await refused(house, "volume", level=101)
            assert "whole number" in await refused(house, "volume", level="50")
            assert "whole number" in await refused(house, "volume", level=True)
            assert "whole number" in await refused(house, "volume", by=1.5)
            assert "not both" in await refused(house, "volume", level=1, by=1)
            assert (await ask(house, "volume"))["volume"] == 50
        async with asked(environ=environ) as house:
            assert await notice(house) == 1_000

    with TemporaryDirectory() as home:
        run_virtual(main(home))


class WithMixer(WavBackend):
    @property
    def mixer(self) -> str:
        return "hw:X"


def test_the_volume_is_that_of_the_cards_mixer_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    turned: list[tuple[str, ...]] = []

    def amixer(arguments: tuple[str, ...]) -> str:
        if "sset" in arguments:
            turned.append(arguments)
        return "Simple mixer control 'PCM',0\n  Capabilities: pvolume\n  Mono: Playback 7 [62%] [-9.00dB]\n"

    monkeypatch.setattr(mixer, "_run", amixer)

    async def main() -> None:
        async with asked(backend=WithMixer(noise=-75.0)) as house:
            assert await ask(house, "volume") == {"ok": True, "volume": 62, "control": "PCM"}
            assert turned == []
            await ask(house, "volume", by=-2)
            assert turned == [("-q", "-D", "hw:X", "sset", "'PCM',0", "60%")]

    run_virtual(main())


# --- mute ----------------------------------------------------------------------------------------------------------


def test_a_muted_box_records_nothing_and_stays_muted_through_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voicebox")

    async def main(home: str) -> None:
        environ = {"STATE_DIRECTORY": home, "RUNTIME_DIRECTORY": home}
        async with asked(environ=environ, watchdog=1.0) as house:
            blocks = house.app.uplink.ring.end
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            assert await ask(house, "mute") == {"ok": True}
            assert house.phase is Phase.IDLE
            status = await ask(house, "status")
            assert (status["status"], status["muted"]) == ("muted, microphone closed", True)
            heard = house.app.uplink.ring.end
            assert heard > blocks
            await asyncio.sleep(30)
            assert house.app.uplink.ring.end == heard
            assert house.app.hearing.trouble() is None
            assert house.systemd.count("STATUS=muted, microphone closed") == 1
        async with asked(environ=environ, watchdog=1.0) as house:
            assert house.systemd.count("READY=1") == 1
            house.app._device_lost("microphone", "this comes late")
            await asyncio.sleep(30)
            assert house.app.uplink.ring.end == 0
            assert house.systemd.count("WATCHDOG=1") >= 25
            assert [scene for scene in house.lamp.scenes if scene is not Scene.STARTING] == [Scene.MUTED]
            await ask(house, "unmute")
            await asyncio.sleep(0.3)  # the engine starts afresh
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            assert house.app.hearing.trouble() is None
        async with asked(environ=environ) as house:
            assert not house.app.box.state.muted

    with TemporaryDirectory() as home:
        run_virtual(main(home))
    assert [text for text in caplog.messages if "muted" in text and "ready" not in text] == [
        "muted: the microphone is closed",
        "muted: the microphone is closed",
        "no longer muted",
    ]


class Stubborn(WavBackend):
    """Its microphone is gone when it is opened again, and comes back much later."""

    def capture(self, on: bool) -> None:
        super().capture(False)
        if on:
            asyncio.get_running_loop().call_soon(self._handlers.lost, "microphone", "gone")
            asyncio.get_running_loop().call_later(60, lambda: WavBackend.capture(self, True))


def test_a_card_that_went_while_muted_is_missed_when_it_is_unmuted() -> None:
    async def main() -> None:
        async with asked(backend=Stubborn(noise=-75.0), watchdog=1.0) as house:
            await ask(house, "mute")
            await asyncio.sleep(10)
            await ask(house, "unmute")
            await house.until(lambda: house.app.box.state.fault is Fault.NO_MICROPHONE, 1)
            await asyncio.sleep(50)
            assert house.app.hearing.trouble() is None
            await house.until(lambda: house.app.box.state.fault is None, 30)

    run_virtual(main())


# --- watching ------------------------------------------------------------------------------------------------------


def test_whoever_watches_sees_what_happens_and_no_sound() -> None:
    async def main() -> tuple[list[dict[str, Any]], House]:
        async with asked() as house:
            seen: list[dict[str, Any]] = []

            async def watch() -> None:
                async for line in control.follow(socket_path(house.app.environ)):
                    seen.append(json.loads(line))  # noqa: PERF401  # what came before the end counts too

            watching = asyncio.ensure_future(watch())
            await subscribed(house)
            first = len(house.steps)
            await house.ask()
            await asyncio.sleep(0.1)
            expected = [step.event for _, step in house.steps[first:] if not isinstance(step.event, ReplyAudio)]
            watching.cancel()
            assert [event["event"] for event in seen[: len(expected)]] == names(expected)
            return seen, house

    seen, house = run_virtual(main())
    woken = next(event for event in seen if event["event"] == "WakeDetected")
    assert (woken["model"], woken["phase"], woken["fault"]) == ("hey_jarvis", "connecting", None)
    assert any(event["event"] == "ReplyText" and event["text"] for event in seen)
    assert "ReplyAudio" not in {event["event"] for event in seen}
    assert house.simulator.token not in json.dumps(seen)


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_stop_ends_the_watching_within_its_time() -> None:
    async def main() -> float:
        async with asked() as house:
            lines = control.follow(socket_path(house.app.environ))
            waiting = asyncio.ensure_future(anext(lines, None))
            await subscribed(house)
            house.stop.set()
            told = now()
        while await waiting is not None:
            waiting = asyncio.ensure_future(anext(lines, None))
        return now() - told

    assert run_virtual(main()) <= 2.0


# --- a device that goes --------------------------------------------------------------------------------------------


def test_a_lost_device_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "voicebox")

    async def main() -> None:
        async with asked() as house:
            house.app._device_lost("speaker", "somebody pulled the plug")

    run_virtual(main())
    said = [record for record in caplog.records if "somebody pulled the plug" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING"]


# --- the lights ------------------------------------------------------------------------------------------------------


def test_a_scene_is_shown_for_a_while_and_the_true_one_returns() -> None:
    async def main() -> None:
        async with asked() as house:
            await ask(house, "light", scene="updating", seconds=5)
            assert house.lamp.scenes[-2:] == [Scene.IDLE, Scene.UPDATING]
            await asyncio.sleep(5.1)
            assert house.lamp.scenes[-2:] == [Scene.UPDATING, Scene.IDLE]
            await ask(house, "light", scene="speaking", seconds=5)
            await ask(house, "light", scene=None)
            assert house.lamp.scenes[-2:] == [Scene.SPEAKING, Scene.IDLE]

    run_virtual(main())


def test_who_wakes_the_box_sees_its_own_light() -> None:
    async def main() -> None:
        async with asked() as house:
            await ask(house, "light", scene="updating", seconds=600)
            await house.wake()
            assert house.lamp.scenes[-1] is not Scene.UPDATING
            assert house.lamp.flashes == [Scene.WAKE]
            assert "its light is needed" in await refused(house, "light", scene="speaking")

    run_virtual(main())


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"scene": "disco"}, "choose one of starting, idle"),
        ({"scene": ["idle"]}, "choose one of"),
        ({"scene": "idle", "seconds": 0}, "above 0, at most 600"),
        ({"scene": "idle", "seconds": 601}, "above 0, at most 600"),
        ({"scene": "idle", "seconds": True}, "above 0, at most 600"),
        ({"scene": "idle", "seconds": "3"}, "above 0, at most 600"),
    ],
)
def test_what_no_light_can_show_is_refused(request_: dict[str, Any], words: str) -> None:
    async def main() -> None:
        async with asked() as house:
            assert words in await refused(house, "light", **request_)
            assert house.lamp.scenes[-1] is Scene.IDLE

    run_virtual(main())


def test_a_box_without_a_light_says_so() -> None:
    async def main() -> None:
        async with asked(light=NullLight()) as house:
            assert "the box has no light" in await refused(house, "light", scene="idle")

    run_virtual(main())
