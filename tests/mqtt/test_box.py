"""The whole box beside a real broker: what is asked there is done, and a broker that dies in mid-reply is not heard."""

import asyncio
import socket
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.house import House, living
from tests.support.mosquitto import Mosquitto, Watcher
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

BASE = "voicebox/kitchen"


def options(broker: Mosquitto, **more: str) -> Mapping[str, str]:
    wanted = {"ENABLED": "true", "HOST": "127.0.0.1", "PORT": str(broker.port), "NODE": "kitchen", **more}
    return {f"VOICEBOX_MQTT__{key}": value for key, value in wanted.items()}


async def asked(house: House, watcher: Watcher, command: str, payload: str, phase: Phase) -> None:
    watcher.ask(f"{BASE}/{command}/set", payload)
    await until(house, lambda: house.phase is phase)


async def until(house: House, happened: Callable[[], bool]) -> None:
    """The broker's time is real, the box's is not: the box has all the time it wants."""
    for _ in range(200_000):
        if happened():
            return
        await asyncio.sleep(0.001)
        assert not house.running.done()
    raise AssertionError("it never happened")


def test_what_is_asked_over_the_broker_is_done(broker: Mosquitto) -> None:
    async def test() -> None:
        async with living(options=options(broker)) as house:
            app = house.app
            watcher.wait_for(f"{BASE}/availability", "online")
            await asked(house, watcher, "talk", "PRESS", Phase.LISTENING)
            await asked(house, watcher, "stop", "PRESS", Phase.IDLE)
            watcher.ask(f"{BASE}/volume/set", "35")
            await until(house, lambda: app.volume.level == 35)
            watcher.wait_for(f"{BASE}/volume", "35")
            watcher.ask(f"{BASE}/mute/set", "ON")
            await until(house, lambda: app.box.state.muted)
            watcher.wait_for(f"{BASE}/mute", "ON")
            app.mute.switch(True)  # the switch on the box goes before all else
            watcher.ask(f"{BASE}/mute/set", "OFF")
            await asked(house, watcher, "say", "what time is it?", Phase.SPEAKING)
            await asked(house, watcher, "restart_session", "PRESS", Phase.IDLE)
            assert app.box.state.muted
            await app.session.closed()
            topics = {topic for topic, *_ in watcher.seen}
            assert not any("what time" in payload for topic, payload, _ in watcher.seen if not topic.endswith("/set"))
            assert "homeassistant/switch/kitchen/mute/config" in topics

    with broker.watch() as watcher:
        run_virtual(test())


def test_a_broker_killed_and_restarted_in_mid_conversation_changes_no_sample(broker: Mosquitto) -> None:
    """Neither of what is heard, nor of what the service hears, which goes on while the reply is heard."""

    async def reply(*, disturbed: bool) -> NDArray[np.int16]:
        async with living(options=options(broker)) as house:
            with broker.watch(f"{BASE}/#") as watcher:
                watcher.wait_for(f"{BASE}/availability", "online")
                await house.ask()
                watcher.wait_for(f"{BASE}/phase", "speaking")
            if disturbed:
                await asyncio.sleep(0.5)
                broker.kill()
                await until(house, lambda: house.app.mqtt is not None and house.app.mqtt._connection is None)
                broker.start()
                assert house.phase is Phase.SPEAKING
            number = house.app.box.state.newest
            await house.until(lambda: house.phase is not Phase.SPEAKING)
            if disturbed:
                with broker.watch(f"{BASE}/#") as watcher:
                    await until(house, lambda: watcher.last(f"{BASE}/phase") == house.phase)
            sent = bytes(house.wire.received_pcm)
            assert len(sent) > 2 * 16_000 * 3
            assert sent in house.backend.mic.tobytes()  # in one piece: nothing lost, nothing twice
            return house.heard(number)

    undisturbed, through_it_all = run_virtual(reply(disturbed=False)), run_virtual(reply(disturbed=True))
    assert np.count_nonzero(undisturbed) > 24_000
    assert np.array_equal(through_it_all, undisturbed)


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_without_a_broker_the_box_works(host: str) -> None:
    with socket.socket() as nobody:  # bound, but does not listen
        nobody.bind(("127.0.0.1", 0))

        async def test() -> None:
            port = str(nobody.getsockname()[1])
            wanted = {"ENABLED": "true", "HOST": host, "PORT": port}
            async with living(options={f"VOICEBOX_MQTT__{key}": value for key, value in wanted.items()}) as house:
                await house.ask()
                assert house.app.mqtt is not None
                assert house.app.mqtt._complaint
                assert house.faults == set()

        run_virtual(test())
