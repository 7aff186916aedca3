"""New settings for a running box: what changes live, what waits for the end of the conversation, what is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.house import NO_FILE, House, living
from voicebox import reload, settings, statefile
from voicebox.control import ask, socket_path
from voicebox.core.commands import Flush
from voicebox.core.events import Source
from voicebox.core.state import Phase
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.reload import FILE, Reloader, last_good
from voicebox.settings import Settings
from voicebox.virtualtime import run_virtual


@asynccontextmanager
async def reloading(**more: Any) -> AsyncIterator[tuple[House, dict[str, str]]]:
    """A box, and the variables that stand for its settings file at the next reload."""
    async with living(**more) as house:
        layers = type(house.app.settings).layers.highest_first
        environ = {
            f"VOICEBOX_{section}__{key}".upper(): str(value) if not isinstance(value, bool) else str(value).lower()
            for layer in layers
            for section, values in layer.values.items()
            for key, value in values.items()
        }
        house.app.reloader = Reloader(house.app, lambda: settings.load(NO_FILE, environ))
        yield house, environ


async def reload_now(house: House) -> str:
    assert house.app.reloader is not None
    return await house.app.reloader.reload()


def test_deadlines_change_in_the_middle_of_a_conversation() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            await house.ask()
            assert house.phase is Phase.SPEAKING
            environ["VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S"] = "1.5"
            assert await reload_now(house) == "changed: conversation; in effect now"
            assert house.app.box.state.policy.listen_timeout == 1.5
            assert house.phase is Phase.SPEAKING
            assert house.app.successor is None
            await house.until_phase(Phase.IDLE, 120)
        assert house.heard(1).size > 24_000  # and the reply went on

    run_virtual(main())


def test_who_may_interrupt_changes_in_the_middle_of_a_reply_with_what_it_takes_to_hear_them() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            await house.ask()
            await asyncio.sleep(1)
            environ["VOICEBOX_INTERRUPTION__BY"] = '["speech"]'
            assert await reload_now(house) == "changed: interruption; in effect now"
            await asyncio.sleep(1)
            house.say("cut_in")
            await house.until_phase(Phase.LISTENING)
            cuts = [command.source for command in house.steps[-1][1].commands if isinstance(command, Flush)]
            assert cuts == [Source.SPEECH]

    run_virtual(main())


def test_what_cannot_change_live_waits_for_the_end_of_the_conversation() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            await house.ask()
            environ["VOICEBOX_SESSION__KEEP_WARM_S"] = "5"
            assert await reload_now(house) == "changed: session; in effect when this conversation is over"
            await asyncio.sleep(1)
            assert house.phase is Phase.SPEAKING
            await house.until_phase(Phase.IDLE, 120)
            await asyncio.wait_for(house.running, 3)
            assert house.app.successor is not None
            assert house.app.successor.session.keep_warm_s == 5
            assert house.systemd.count("STOPPING=1") == 0

    run_virtual(main())


def test_an_idle_box_is_put_together_anew_at_once() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            environ["VOICEBOX_AUDIO__INPUT"] = "USB"
            assert await reload_now(house) == "changed: audio; in effect now"
            await asyncio.wait_for(house.running, 3)
            assert house.app.successor is not None

    run_virtual(main())


def test_a_change_taken_back_before_the_conversation_ends_is_none() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            await house.ask()
            environ["VOICEBOX_AUDIO__INPUT"] = "USB"
            await reload_now(house)
            del environ["VOICEBOX_AUDIO__INPUT"]
            assert await reload_now(house) == "nothing has changed"
            await house.until_phase(Phase.IDLE, 120)
            await asyncio.sleep(3)
            assert not house.running.done()

    run_virtual(main())


def test_a_change_taken_back_while_the_successor_takes_over_does_not_end_the_daemon() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            before = house.app.settings
            environ["VOICEBOX_AUDIO__INPUT"] = "USB"
            await reload_now(house)
            del environ["VOICEBOX_AUDIO__INPUT"]
            await reload_now(house)
            await asyncio.wait_for(house.running, 3)
            assert house.app.successor is not None
            assert house.app.successor.audio == before.audio

    run_virtual(main())


def test_a_reload_that_a_successor_cuts_off_is_made_up_for_by_the_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with reloading() as (house, _):
            reloader = house.app.reloader
            assert reloader is not None
            begun, asked = asyncio.Event(), asyncio.Event()

            async def endless() -> None:
                begun.set()
                await asyncio.Event().wait()

            monkeypatch.setattr(reloader, "reload", endless)
            task = asyncio.create_task(reloader.run(asked))
            asked.set()
            await begun.wait()
            assert not asked.is_set()
            task.cancel()
            await asyncio.wait([task])
            assert asked.is_set()

    run_virtual(main())


def test_wrong_settings_change_nothing_and_the_status_says_so_until_they_are_mended() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            before = house.app.settings
            environ["VOICEBOX_WAKE__PREROLL_MS"] = "many"
            with pytest.raises(ConfigError, match="a whole number from 0 to 5000"):
                await reload_now(house)
            assert house.app.settings is before
            told = [message for _, message in house.systemd.told]
            assert [message.partition("=")[0] for message in told[-3:]] == ["RELOADING", "STATUS", "READY"]
            assert "running on the last good ones: VOICEBOX_WAKE__PREROLL_MS" in told[-2]
            del environ["VOICEBOX_WAKE__PREROLL_MS"]
            await reload_now(house)
            assert "last good" not in house.systemd.told[-1][1]

    run_virtual(main())


def test_a_wake_word_without_its_model_is_refused_before_anything_changes() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            environ["VOICEBOX_WAKE__PHRASES"] = '[{ model = "/nowhere/psst.onnx" }]'
            environ["VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S"] = "1.5"
            with pytest.raises(ConfigError, match=r"psst\.onnx"):
                await reload_now(house)
            assert house.app.box.state.policy.listen_timeout == 10

    run_virtual(main())


def test_a_service_that_lacks_something_is_refused_before_anything_changes() -> None:
    """First its meeting, then its token; a secret stored meanwhile counts."""

    async def main() -> str:
        async with reloading() as (house, environ):
            environ["VOICEBOX_SERVICE"] = "lira"
            with pytest.raises(ConfigError, match="lira_token is missing"):
                await reload_now(house)
            house.app.settings.credentials.renewed["lira_token"] = "toy-credential-0815"  # noqa: S105  # a toy
            with pytest.raises(ConfigError, match=r"lira\.meeting_id is not set"):
                await reload_now(house)
            assert house.app.successor is None
            environ["VOICEBOX_LIRA__MEETING_ID"] = "kitchen"
            return await reload_now(house)

    assert run_virtual(main()) == "changed: service, lira; in effect now"


def test_another_threshold_is_listened_with_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Settings] = []

    async def main() -> None:
        async with reloading() as (house, environ):
            ear = house.ear

            def detector(new: Settings) -> object:
                made.append(new)
                return ear

            monkeypatch.setitem(reload.LIVE, "wake", (detector, reload.LIVE["wake"][1]))
            environ["VOICEBOX_WAKE__PHRASES"] = '[{ model = "hey_jarvis", threshold = 0.7 }]'
            environ["VOICEBOX_WAKE__PREROLL_MS"] = "700"
            assert await reload_now(house) == "changed: wake; in effect now"
            assert [new.wake.phrases[0].threshold for new in made] == [0.7]
            assert house.app.settings.wake.phrases[0].threshold == 0.7
            assert house.app.box.state.policy.preroll == 700 * 16
            await asyncio.sleep(3)  # a new engine has heard nothing yet
            await house.ask()  # and it is heard

    run_virtual(main())


def test_a_longer_wait_for_the_service_needs_a_longer_memory_and_so_a_new_box() -> None:
    async def main() -> None:
        async with reloading() as (house, environ):
            await house.ask()
            environ["VOICEBOX_CONVERSATION__CONNECT_TIMEOUT_S"] = "60"
            assert await reload_now(house) == "changed: conversation; in effect when this conversation is over"

    run_virtual(main())


def test_a_secret_renewed_over_the_socket_is_what_the_next_dial_uses() -> None:
    async def main() -> dict[str, str]:
        async with reloading() as (house, environ):
            environ["VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S"] = "1.5"
            await reload_now(house)
            path = socket_path(house.app.environ)
            answer = await ask(path, {"do": "secret.renew", "name": "lira_token", "value": "toy-credential-0815"})
            assert answer == {"ok": True, "in_use": False}
            with pytest.raises(VoiceboxError, match="both text"):
                await ask(path, {"do": "secret.renew", "name": "lira_token", "value": 3})
            return house.app.settings.credentials.read(["lira_token"])

    assert run_virtual(main()) == {"lira_token": "toy-credential-0815"}


def test_only_settings_that_work_are_kept_and_only_once(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    assert last_good(NO_FILE, environ) is None
    file = tmp_path / "voicebox.toml"
    file.write_text("[wake]\npreroll_ms = 700\n")
    reload.keep(settings.load(file, {}), environ)
    written = (tmp_path / FILE).stat().st_mtime_ns
    reload.keep(settings.load(file, {}), environ)
    assert (tmp_path / FILE).stat().st_mtime_ns == written
    file.write_text("[wake\n")
    found = last_good(file, environ)
    assert found is not None
    assert found.wake.preroll_ms == 700
    statefile.write(tmp_path / FILE, "[{")
    assert last_good(file, environ) is None


CONFIG = '[audio]\nbackend = "wav"\n[wake]\nenabled = false\n'


def test_a_daemon_reloads_at_sighup_refuses_nonsense_and_starts_on_the_last_good_settings(tmp_path: Path) -> None:
    with Daemon(tmp_path, CONFIG, environ={}) as box:
        box.ready()
        pid = box.process.pid
        box.config.write_text(CONFIG + "preroll_ms = many\n")
        box.reload()
        box.expect("the new settings are wrong and are not used: .*voicebox.toml:5:14: ")
        box.systemd.wait_for("STATUS=waiting for the button (the settings are wrong, running on the last good", 10)
        box.config.write_text(CONFIG + "[session]\nkeep_warm_s = 3.0\n")
        box.reload()
        box.expect("settings: changed: session; in effect now")
        box.expect("^ready: waiting for the button")
        assert box.process.poll() is None
        assert box.process.pid == pid
        box.terminate()
        assert box.wait(5) == 0
    broken = CONFIG + "[session]\nkeep_warm_s = 3.0\n[wake]\n"
    with Daemon(tmp_path, broken, environ={}) as box:
        box.expect("the settings are wrong, so the box runs on the last good ones: .*twice")
        box.expect("^ready: waiting for the button .*the settings are wrong")
        box.config.write_text(CONFIG)
        box.reload()
        box.expect("settings: changed: session; in effect now")
        box.expect("^ready: waiting for the button$")
