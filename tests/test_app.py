"""The box's life: ready once it is put together, watched while it runs, gone within two seconds when told to stop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from tests.support.gpio import no_pins
from tests.support.house import NO_FILE, House, Systemd, living, now
from tests.support.session import TOKEN, websocket, welcome
from voicebox import daemon, inputs, parts, reload, settings
from voicebox.app import App
from voicebox.audio.base import Handlers
from voicebox.audio.wavfile import WavBackend
from voicebox.control import AlreadyRunningError
from voicebox.core.events import MuteChanged
from voicebox.core.state import Fault, Phase
from voicebox.errors import AuthError, ConfigError, DeviceError
from voicebox.hearing import DEAF_AFTER
from voicebox.lights.base import Light, LightOptions
from voicebox.lights.none import NullLight
from voicebox.parts import Parts
from voicebox.uplink import STUCK_AFTER
from voicebox.virtualtime import run_virtual

# --- the end -------------------------------------------------------------------------------------------------------

PHASES = {
    Phase.IDLE: [],
    Phase.CONNECTING: ["never_joined"],
    Phase.LISTENING: [],
    Phase.THINKING: ["no_reply"],
    Phase.SPEAKING: [],
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_stop_ends_it_within_2_s_in_every_phase(phase: Phase) -> None:
    async def main() -> tuple[House, float]:
        async with living(faults=PHASES[phase]) as house:
            if phase is not Phase.IDLE:
                await house.wake()
                house.say()
                await house.until_phase(phase)
                await asyncio.sleep(0.3)
            assert house.phase is phase
            house.stop.set()
            told = now()
        took = now() - told
        heard = house.backend.position
        await asyncio.sleep(1)
        assert house.backend.position == heard  # the microphone is closed
        assert len(asyncio.all_tasks()) == 1
        return house, took

    house, took = run_virtual(main())
    assert took <= 2.0
    assert house.phase is Phase.IDLE
    assert house.systemd.count("STOPPING=1") == 1
    assert house.lamp.closed == 1
    assert not house.app.session.connected
    if phase in (Phase.LISTENING, Phase.THINKING, Phase.SPEAKING):
        assert [message.text for message in house.received()][-1] == '{"type":"leave"}'


def test_a_stop_while_the_service_does_not_answer_the_goodbye() -> None:
    async def deaf(client: ServerConnection) -> None:
        await welcome(client)
        client.transport.pause_reading()
        await asyncio.Event().wait()

    async def main() -> float:
        async with websocket(deaf) as url:
            lira = {"SERVICE": "lira", "LIRA__URL": url, "LIRA__MEETING_ID": "m", "LIRA__ALLOW_PLAIN": "true"}
            options = {f"VOICEBOX_{name}": value for name, value in lira.items()} | {"VOICEBOX_LIRA_TOKEN": TOKEN}
            async with living(options=options) as house:
                await house.wake()
                await house.until_phase(Phase.LISTENING)
                house.stop.set()
                told = now()
            return now() - told

    assert run_virtual(main()) <= 2.0


# --- ready ---------------------------------------------------------------------------------------------------------


class Late(WavBackend):
    """Its microphone is plugged in later."""

    def __init__(self, after: float) -> None:
        super().__init__(noise=-75.0)
        self._after = after

    async def start(self, handlers: Handlers) -> None:
        handlers.lost("microphone", "no such card")
        asyncio.get_running_loop().call_later(
            self._after, lambda: asyncio.ensure_future(super(Late, self).start(handlers))
        )


def test_a_box_without_a_microphone_is_ready_and_says_so(tmp_path: Path) -> None:
    """A38. Its settings are kept as good ones when they have been seen to work."""
    kept: list[bool] = []

    async def main() -> Systemd:
        environ = {"STATE_DIRECTORY": str(tmp_path)}
        async with living(backend=Late(30), watchdog=5.0, environ=environ) as house:
            for _ in range(2):
                await asyncio.sleep(20)
                kept.append((tmp_path / reload.FILE).exists())
            return house.systemd

    systemd = run_virtual(main())
    assert systemd.count("READY=1") == 1
    assert systemd.when("READY=1") < 1
    assert systemd.when("STATUS=no microphone") < 1
    assert systemd.when('STATUS=waiting for "hey jarvis"') == pytest.approx(30.02, abs=0.1)
    assert kept == [False, True]


def test_ready_only_once_the_wake_word_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = Systemd()
    order: list[str] = []

    def load(_settings: settings.Settings) -> None:
        assert systemd.count("READY=1") == 0
        order.append("loaded")

    monkeypatch.setattr(parts, "detector", load)

    async def main() -> None:
        async with living(detector=None, notifier=systemd):
            order.append("lives")

    run_virtual(main())
    assert order == ["loaded", "lives"]
    assert systemd.count("READY=1") == 1


def test_the_status_line_says_what_it_waits_for() -> None:
    async def main() -> list[str]:
        async with living(options={"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "2.0"}) as house:
            await house.wake()
            await house.until_phase(Phase.IDLE)
            return [text for _, text in house.systemd.told]

    told = run_virtual(main())
    assert told[0] == "STATUS=starting"
    assert 'STATUS=waiting for "hey jarvis"' in told
    assert "STATUS=listening, service simulator" in told


# --- the watchdog --------------------------------------------------------------------------------------------------


def test_a_deaf_box_is_not_fed() -> None:
    async def main() -> House:
        async with living(watchdog=1.0) as house:
            await asyncio.sleep(5)
            assert house.app.hearing.trouble() is None
            assert house.backend._timer is not None
            house.backend._timer.cancel()  # the callbacks just stop
            await asyncio.sleep(DEAF_AFTER + 1.5)
            assert "delivers nothing" in (house.app.hearing.trouble() or "")
            fed = house.systemd.count("WATCHDOG=1")
            assert fed >= 5
            await asyncio.sleep(30)
            assert house.systemd.count("WATCHDOG=1") == fed
            return house

    house = run_virtual(main())
    assert len([text for _, text in house.systemd.told if "not well" in text]) == 1


def test_a_lost_microphone_is_awaited_for_as_long_as_it_takes() -> None:
    """A restart would not bring it, but the box would say aloud once more, each time, that there is none."""

    async def main() -> None:
        async with living() as house:
            app = house.app
            assert house.backend._timer is not None
            house.backend._timer.cancel()
            app._device_lost("microphone", "unplugged")
            await asyncio.sleep(24 * 3600)
            assert app.hearing.trouble() is None
            assert app.status(app.box.state) == "no microphone"
            app._device_ready("microphone")
            assert app.hearing.trouble() is None
            await asyncio.sleep(DEAF_AFTER + 0.1)  # without a block, and nobody knows why
            assert "delivers nothing" in (app.hearing.trouble() or "")

    run_virtual(main())


class Hanging(Executor):
    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return Future()


def test_an_engine_that_hangs_is_not_fed() -> None:
    async def main() -> str | None:
        async with living(executor=Hanging()) as house:
            assert house.app.hearing.trouble() is None
            await asyncio.sleep(STUCK_AFTER + 1)
            return house.app.hearing.trouble()

    assert "wake word engine" in (run_virtual(main()) or "")


def test_an_unreachable_service_alone_never_stops_the_pings() -> None:
    async def main() -> None:
        async with living(watchdog=1.0, faults=["never_joined"]) as house:
            for _ in range(3):
                await house.wake()
                await asyncio.sleep(20)
                assert house.app.hearing.trouble() is None
            assert house.systemd.count("WATCHDOG=1") >= 60

    run_virtual(main())


# --- what is missing or broken -------------------------------------------------------------------------------------


def test_a_second_daemon_touches_neither_pins_nor_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with living() as house:
            monkeypatch.setattr(parts, "light", lambda *_: pytest.fail("it took the light"))
            with pytest.raises(AlreadyRunningError, match="another voicebox is running"):
                async with App(house.app.settings, Parts(environ=house.app.environ)):
                    pass

    run_virtual(main())


def test_a_missing_light_and_button_are_said_once_and_the_box_works_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S71."""

    def open_light(backend: str, _options: LightOptions, _loop: asyncio.AbstractEventLoop) -> Light:
        if backend == "none":
            return NullLight()
        raise DeviceError("no GPIO chip here")

    def no_button(*_: object, **__: object) -> None:
        raise DeviceError("no GPIO chip for the button")

    monkeypatch.setattr(parts, "open_light", open_light)
    monkeypatch.setattr(inputs, "Button", no_button)
    options = {"VOICEBOX_LIGHTS__BACKEND": "gpio", "VOICEBOX_BUTTON__PIN": "17"}

    async def main() -> None:
        async with living(light=None, options=options) as house:
            await house.ask()

    caplog.set_level(logging.WARNING, "voicebox")
    run_virtual(main())
    said = [record.getMessage() for record in caplog.records if "no GPIO chip" in record.getMessage()]
    assert len(said) == 2
    assert any("light" in text for text in said)
    assert any("button" in text for text in said)


@pytest.mark.parametrize("required", [False, True])
def test_a_privacy_lamp_that_cannot_be_had_is_said_and_forbids_to_send_only_where_it_is_required(
    required: bool, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"VOICEBOX_LIGHTS__PRIVACY": "24", "VOICEBOX_LIGHTS__PRIVACY_REQUIRED": str(required).lower()}

    async def main() -> tuple[House, int]:
        with no_pins():
            async with living(lamp=None, options=options) as house:
                await house.wake()
                house.say()
                await house.until(lambda: house.phase is Phase.SPEAKING or house.app.box.state.fault is Fault.REFUSED)
                return house, len(house.wire.received_pcm)

    caplog.set_level(logging.WARNING, "voicebox")
    house, sent = run_virtual(main())
    assert (sent == 0) is required
    assert (house.faults == {Fault.REFUSED}) is required
    said = [r.getMessage() for r in caplog.records if "privacy lamp on GPIO24 cannot be used" in r.getMessage()]
    assert len(said) == 1
    assert ("nothing is sent without it" in said[0]) is required


def break_engine(house: House) -> None:
    house.ear.failure = ZeroDivisionError("in a task")


def break_callback(house: House) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("in a callback")

    house.app._loop.call_later(0.1, explode)


def break_block(house: House) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("in the microphone's callback")

    house.app.uplink.block = explode  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize("how", [break_engine, break_callback, break_block])
def test_an_exception_nobody_expected_ends_the_run(how: Callable[[House], None]) -> None:
    async def main() -> tuple[House, BaseException | None]:
        house = error = None
        with suppress(ExceptionGroup):
            async with living() as house:
                await house.wake()
                await house.until_phase(Phase.LISTENING)
                how(house)
                await asyncio.wait({house.running}, timeout=5)
                assert house.running.done()
                error = house.running.exception()
        assert house is not None
        return house, error

    house, error = run_virtual(main())
    assert isinstance(error, ExceptionGroup)
    assert error.subgroup(ZeroDivisionError) is not None
    assert house.lamp.closed == 1


def test_muting_reaches_the_wake_word() -> None:
    async def main() -> None:
        async with living() as house:
            assert house.app.listener is not None
            house.app.box.dispatch(MuteChanged(muted=True))
            assert house.app.listener.muted
            await house.wake()
            await asyncio.sleep(1)
            assert house.phases == [Phase.IDLE]
            house.app.box.dispatch(MuteChanged(muted=False))
            await asyncio.sleep(0.2)  # the engine starts afresh
            await house.wake()
            await house.until_phase(Phase.LISTENING)

    run_virtual(main())


@pytest.mark.parametrize(
    ("environ", "error", "words"),
    [
        ({"VOICEBOX_LIRA__MEETING_ID": "m"}, AuthError, "lira_token"),
        ({"VOICEBOX_LIRA_TOKEN": "some-token"}, ConfigError, "lira.meeting_id"),
    ],
)
def test_what_the_service_lacks_is_said_at_the_start(
    environ: dict[str, str], error: type[Exception], words: str
) -> None:
    base = {
        "VOICEBOX_SERVICE": "lira",
        "VOICEBOX_AUDIO__BACKEND": "wav",
        "VOICEBOX_LIGHTS__BACKEND": "none",
        "VOICEBOX_BUTTON__PIN": "false",
    }
    with pytest.raises(error, match=words):
        daemon.main(settings.load(NO_FILE, base | environ))
