"""The task beside a real mosquitto: what it tells, what it obeys, and what cannot disturb it. In real time."""

import asyncio
import gc
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from tests.mqtt.conftest import KITCHEN, PATIENCE, Relay, Said, address, at_home, in_real_time
from tests.support.mosquitto import PASSWORD, USER, Mosquitto, Watcher
from voicebox.core.events import WakeDetected
from voicebox.core.state import Fault, Phase, State
from voicebox.errors import AuthError
from voicebox.mqtt import broker as room
from voicebox.mqtt.base import Address
from voicebox.mqtt.homeassistant import Node

BASE = "voicebox/kitchen"


async def told(watcher: Watcher, topic: str, payload: str) -> None:
    await asyncio.to_thread(watcher.wait_for, topic, payload)


async def online(watcher: Watcher, node: str = "kitchen") -> None:
    await told(watcher, f"voicebox/{node}/availability", "online")


@in_real_time
async def test_it_tells_all_there_is_and_says_goodbye(broker: Mosquitto) -> None:
    with broker.watch() as watcher:
        async with at_home(address(broker)) as home:
            await told(watcher, f"{BASE}/last_error", "none")
            states = {topic: payload for topic, payload, _ in watcher.seen if topic.startswith("voicebox/")}
            assert states == {
                f"{BASE}/availability": "online",
                f"{BASE}/phase": "idle",
                f"{BASE}/mute": "OFF",
                f"{BASE}/volume": "70",
                f"{BASE}/problem": "OFF",
                f"{BASE}/last_error": "none",
                f"{BASE}/version": "1.2.3",
            }
            home.mqtt.volume(30)
            idle = State()
            wake = WakeDetected("hey_jarvis", 0.98765, 5)
            home.mqtt.follow(idle, wake, State(phase=Phase.CONNECTING, fault=Fault.OFFLINE, muted=True))
            await told(watcher, f"{BASE}/volume", "30")
            await told(watcher, f"{BASE}/phase", "connecting")
            await told(watcher, f"{BASE}/mute", "ON")
            await told(watcher, f"{BASE}/problem", "ON")
            await told(watcher, f"{BASE}/last_error", "service cannot be reached")
            wakened = '{"event_type": "wake", "model": "hey_jarvis", "score": 0.988}'
            await told(watcher, f"{BASE}/wake", wakened)
        await told(watcher, f"{BASE}/availability", "offline")
    with broker.watch() as late:  # what the broker keeps for those who come later
        late.ask("last", "")  # comes after all that was kept
        late.wait_for("last", "")
        assert late.last(f"{BASE}/volume") == "30"
        assert late.last(f"{BASE}/wake") is None
        assert late.last(f"{BASE}/availability") == "offline"


COMMANDS = [
    ("mute", "ON", {"do": "mute"}),
    ("mute", "OFF", {"do": "unmute"}),
    ("volume", "40", {"do": "volume", "level": 40}),
    ("say", "Grüß Gott", {"do": "say", "text": "Grüß Gott"}),
    ("talk", "PRESS", {"do": "talk"}),
    ("stop", "PRESS", {"do": "stop"}),
    ("restart_session", "PRESS", {"do": "session.restart"}),
]


@in_real_time
async def test_it_obeys_in_order(shared: Mosquitto) -> None:
    with shared.watch(f"{BASE}/#") as watcher:
        async with at_home(address(shared)) as home:
            await online(watcher)
            for name, payload, _ in COMMANDS:
                watcher.ask(f"{BASE}/{name}/set", payload)
            await home.until_asked(len(COMMANDS))
            assert home.asked == [request for *_, request in COMMANDS]


@in_real_time
async def test_what_is_no_command_is_refused_and_the_next_one_obeyed(shared: Mosquitto, said: Said) -> None:
    bad: list[tuple[str, bytes]] = [
        ("mute", b"\xff\xfe"),
        ("volume", b"1e3"),
        ("volume", "²".encode()),
        ("talk", b""),
        ("say", b"x" * 200_000),  # the broker keeps what is so large from us
        ("reload", b"PRESS"),
    ]
    with shared.watch(f"{BASE}/#") as watcher:
        async with at_home(address(shared)) as home:
            await online(watcher)
            for name, payload in bad:
                watcher.ask(f"{BASE}/{name}/set", payload)
            home.refuse = "the mute switch is set"
            watcher.ask(f"{BASE}/mute/set", "OFF")
            watcher.ask(f"{BASE}/stop/set", "PRESS")
            await home.until_asked(2)
            assert home.asked == [{"do": "unmute"}, {"do": "stop"}]
    assert said.warnings[:4] == [
        "mqtt: mute: the payload is no UTF-8 text",
        *["mqtt: volume: the payload must be a whole number from 0 to 100"] * 2,
        "mqtt: talk: the payload must be PRESS",
    ]
    assert "mqtt: mute: the mute switch is set" in said.warnings


@pytest.mark.parametrize("older", [False, True])
@in_real_time
async def test_a_command_that_the_broker_kept_is_stale_and_ignored(shared: Mosquitto, older: bool) -> None:
    node = Node(f"stale{older}")
    base = f"voicebox/{node.id}"
    with shared.watch(f"{base}/#") as watcher:
        watcher.ask(f"{base}/mute/set", "ON", retain=True)
        async with at_home(address(shared), node) as home:
            home.mqtt._plain = older  # MQTT 3.1.1 cannot ask to be spared them
            await online(watcher, node.id)
            watcher.ask(f"{base}/stop/set", "PRESS")
            await home.until_asked(1)
            assert home.asked == [{"do": "stop"}]


@in_real_time
async def test_a_flood_is_cut_off_and_the_box_lives_on(
    shared: Mosquitto, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "EVERY", 60.0)  # however slow this machine is
    with shared.watch(f"{BASE}/#") as watcher:
        async with at_home(address(shared)) as home:
            await online(watcher)
            for _ in range(3 * room.FLOOD):
                watcher._client.publish(f"{BASE}/stop/set", "PRESS", qos=0)
            await told(watcher, f"{BASE}/availability", "offline")
            await home.until_asked(room.BURST)
            assert len(home.asked) == room.BURST
            await said.until("it floods this box with commands")


@in_real_time
async def test_with_password_and_encryption(tmp_path: Path, said: Said) -> None:
    with (
        Mosquitto(tmp_path, login=True, tls=True) as broker,
        broker.watch(f"{BASE}/#") as watcher,
    ):
        there = Address("localhost", broker.port, tls=True, ca_file=broker.ca, username=USER)
        async with at_home(there, password=lambda: PASSWORD):
            await online(watcher)
        for wrong in (
            (Address("localhost", broker.port, tls=True, username=USER), PASSWORD, "certificate is not valid"),
            (Address("127.0.0.1", broker.port, True, broker.ca, USER), PASSWORD, "certificate is not valid"),
            (there, "wrong-pony-1", "it refuses this user: is mqtt.username right"),
        ):
            where, password, why = wrong
            said.clear()
            async with at_home(where, password=lambda p=password: p) as home:  # type: ignore[misc]
                await said.until(why)
                assert home.asked == []
    gc.collect()  # complains of each socket that was left open
    assert PASSWORD not in said.text
    assert "wrong-pony" not in said.text


@in_real_time
async def test_a_missing_password_is_said(shared: Mosquitto, said: Said) -> None:
    def missing() -> str:
        raise AuthError("mqtt_password is missing")

    async with at_home(address(shared, username=USER), password=missing):
        await said.until("mqtt_password is missing")


@in_real_time
async def test_a_broker_that_dies_is_found_again_and_told_the_newest(broker: Mosquitto, said: Said) -> None:
    async with at_home(address(broker)) as home:
        with broker.watch(f"{BASE}/#") as watcher:
            await online(watcher)
        broker.kill()
        await said.until("the connection broke")
        home.mqtt.volume(10)
        home.mqtt.volume(20)
        home.mqtt.follow(State(), WakeDetected("hey_jarvis", 0.9, 5), State())
        broker.start()
        with broker.watch(f"{BASE}/#") as watcher:
            await online(watcher)
            await told(watcher, f"{BASE}/volume", "20")
            assert watcher.last(f"{BASE}/wake") is None  # nobody wakes it now
            watcher.ask(f"{BASE}/stop/set", "PRESS")
            await home.until_asked(1)


@in_real_time
async def test_without_a_broker_it_says_so_once(broker: Mosquitto, said: Said) -> None:
    broker.kill()
    async with at_home(address(broker)):
        await said.until("nobody answers")
        await asyncio.sleep(0.2)
    assert said.text.count("nobody answers") == 1


@in_real_time
async def test_a_frozen_broker_does_not_hold_up_the_end(broker: Mosquitto) -> None:
    loop = asyncio.get_running_loop()
    with broker.watch(f"{BASE}/#") as watcher:
        async with at_home(address(broker)) as home:
            await online(watcher)
            broker.freeze()
            for level in range(100):
                home.mqtt.volume(level)
                await asyncio.sleep(0)
            began = loop.time()
        assert loop.time() - began < 1.5
        broker.thaw()
        watcher.wait_for(f"{BASE}/availability", "offline")


@in_real_time
async def test_an_end_that_comes_with_the_answer_is_not_lost() -> None:
    """Else a box that leaves, or is flooded, while it publishes would keep the connection for ever."""
    client = room._Client("nowhere.invalid")
    answer = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(client._wait_for(answer, None))
    await asyncio.sleep(0)
    answer.set_result(None)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


@in_real_time
async def test_no_answer_is_told_from_an_end_also_after_an_error() -> None:
    """Python 3.11's TaskGroup leaves the task that waited for it marked as cancelled."""
    client = room._Client("nowhere.invalid")
    this = asyncio.current_task()
    assert this is not None
    this.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    with pytest.raises(aiomqtt.MqttError, match="no answer in time"):
        await client._wait_for(asyncio.get_running_loop().create_future(), 0.0)
    this.uncancel()


@in_real_time
async def test_a_connection_that_comes_after_the_end_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    dials, may_connect = threading.Event(), threading.Event()
    connect, made = socket.create_connection, []

    def slow(*arguments: Any, **named: Any) -> socket.socket:
        dials.set()
        assert may_connect.wait(PATIENCE)
        made.append(connect(*arguments, **named))
        return made[0]

    monkeypatch.setattr(socket, "create_connection", slow)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        async with at_home(Address("127.0.0.1", server.getsockname()[1])):
            await asyncio.to_thread(dials.wait, PATIENCE)
        may_connect.set()
        with server.accept()[0] as there:
            there.settimeout(PATIENCE)
            while there.recv(4096):
                pass  # until it hangs up
    for thread in threading.enumerate():
        if thread.name == "detached":
            thread.join(PATIENCE)
    assert made[0].fileno() == -1


@in_real_time
async def test_a_broker_that_knows_only_the_older_version(shared: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs up on MQTT 5 without a word."""
    monkeypatch.setattr(room, "TIMEOUT", 1.0)

    node = Node("older")
    async with Relay(shared.port, takes=lambda head: head[8] != 5) as relay:  # the version in CONNECT
        with shared.watch("voicebox/older/#") as watcher:
            async with at_home(Address("127.0.0.1", relay.port), node) as home:
                await online(watcher, "older")
                watcher.ask("voicebox/older/stop/set", "PRESS")
                await home.until_asked(1)
                assert home.mqtt._plain
            await relay.until_all_have_left()


@in_real_time
async def test_of_a_box_that_vanishes_the_broker_says_that_it_is_offline(shared: Mosquitto) -> None:
    """Its last will: nobody has said goodbye."""
    node = Node("vanishing")
    async with Relay(shared.port) as relay:
        with shared.watch("voicebox/vanishing/#") as watcher:
            async with at_home(Address("127.0.0.1", relay.port), node):
                await online(watcher, "vanishing")
                relay.cut()
                await told(watcher, "voicebox/vanishing/availability", "offline")
                await online(watcher, "vanishing")


@in_real_time
async def test_two_boxes_of_one_name_are_told_apart(shared: Mosquitto, said: Said) -> None:
    async with at_home(address(shared, client_id="voicebox-twin"), KITCHEN):
        await said.until("mqtt: connected")
        async with at_home(address(shared, client_id="voicebox-twin"), KITCHEN):
            await said.until("is another box named kitchen, too? See mqtt.node")
