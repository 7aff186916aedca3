"""N01 to N10: the network goes, stalls and lies about addresses."""

import asyncio
import random
import socket
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.faults.town import Town, town
from tests.support.house import EARCONS, now
from voicebox.core.cues import Cue, cue
from voicebox.core.events import Category, SessionLost, SessionReady
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.detached import Detached
from voicebox.services.lira import Service
from voicebox.virtualtime import run_virtual
from voicebox.websocket import SEND_TIMEOUT_MS

TWO_PINGS = 2 * Service.capabilities.ping_interval
DEAD = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
"""Addresses of nobody (RFC 5737)."""


def cues(there: Town) -> list[Cue]:
    heard = [cue(step.before, step.event, step.after) for _, step in there.house.steps]
    return [sound for sound in heard if sound is not None]


async def listening(there: Town) -> None:
    await there.house.wake()
    await there.house.until_phase(Phase.LISTENING)


def test_n01_a_reset_in_mid_reply() -> None:
    """What has come is heard, at most one sound says that something broke, and the service is to blame."""

    async def main() -> None:
        async with town(options=EARCONS) as there:
            await there.house.ask()
            await asyncio.sleep(3)
            there.proxy.reset()
            await there.house.until(lambda: there.house.phase is not Phase.SPEAKING)
            assert len(there.house.heard(1)) == len(there.simulator.connections[0].sent_pcm[1]) // 2
            await there.house.until(lambda: there.house.phase is Phase.IDLE)
            assert [lost.category for lost in there.losses] == [Category.SERVER]
            assert "broken off" in there.losses[0].message
            assert len([sound for sound in cues(there) if sound is not Cue.WAKE]) <= 1

    run_virtual(main())


def test_n02_a_black_hole_while_idle() -> None:
    """Nobody has heard of it, and the next who wakes the box gets a link that lives."""

    async def main() -> None:
        kept = {"VOICEBOX_SESSION__KEEP_WARM_S": "120"}
        async with town(options=kept, mend=lambda there: there.proxy.thaw()) as there:
            await listening(there)
            await there.house.until_phase(Phase.IDLE)
            held = there.connected
            there.proxy.freeze()
            frozen = now()
            await asyncio.sleep(TWO_PINGS + 0.1)
            assert (held, there.connected) == (True, False)
            assert now() - frozen < 120
            assert not there.losses

    run_virtual(main())


def test_n03_a_black_hole_while_somebody_speaks() -> None:
    """The kernel breaks it off when 5 s of sound were not acknowledged (which virtual time knows nothing of), pings
    find it elsewhere; the owner is told, and what was said is never replayed."""

    async def main() -> None:
        async with town(all_arrives=False, options=EARCONS, mend=lambda there: there.proxy.thaw()) as there:
            await listening(there)
            pumps = there.house.app.session._pumps
            assert pumps is not None
            raw = pumps.connection.transport.get_extra_info("socket")
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SEND_TIMEOUT_MS == 5000
            began = now()
            while not there.losses:
                assert now() - began <= TWO_PINGS + 1
                there.house.say()
                there.proxy.freeze()
                await asyncio.sleep(1)
            await there.house.until_phase(Phase.IDLE)
            assert cues(there)[-1] is Cue.NO_NETWORK
            assert there.showed(Scene.OFFLINE)
            there.proxy.thaw()
            await asyncio.sleep(10)
            heard = len(there.simulator.connections)
            woken = there.house.backend.position
            await there.house.ask()
            preroll = there.house.app.box.state.policy.preroll
            (new,) = there.simulator.connections[heard:]
            assert len(new.received_pcm) // 2 <= there.house.backend.position - woken + preroll + 1600

    run_virtual(main())


def test_n04_a_half_closed_connection_is_closed() -> None:
    async def main() -> None:
        async with town(tls=False) as there:
            await listening(there)
            passage = there.proxy.passages[-1]
            there.proxy.half_close()
            await there.house.until(lambda: bool(there.losses))
            taken = passage.taken
            there.house.say()
            await asyncio.sleep(2)
            assert passage.ended
            assert passage.taken == taken

    run_virtual(main())


def test_n05_twenty_flaps_in_a_minute() -> None:
    async def main() -> None:
        async with town(all_arrives=False) as there:
            await listening(there)
            for _ in range(20):
                await there.proxy.close()
                await asyncio.sleep(1.5)
                await there.proxy.open()
                await asyncio.sleep(1.5)
                assert there.proxy.open_passages <= 1
                if there.house.phase is Phase.IDLE:
                    await there.house.wake()
            assert there.proxy.dials <= 21  # the first was none
            assert len(there.events(SessionLost)) <= 40  # nor did it hammer on the closed door

    run_virtual(main())


def test_n06_a_new_address() -> None:
    """The old connection leads nowhere; the new one is another."""

    async def main() -> None:
        async with town(all_arrives=False) as there:
            await listening(there)
            there.proxy.lose()
            began = now()
            while there.sessions < 2:
                there.house.say()
                await asyncio.sleep(1)
                assert now() - began <= TWO_PINGS + 3
            assert [passage.ended for passage in there.proxy.passages] == [True, False]

    run_virtual(main())


def names(there: Town, look_up: Callable[..., Any]) -> None:
    """From now on names are looked up so."""
    asyncio.get_running_loop().getaddrinfo = look_up  # type: ignore[method-assign]
    del there


def test_n07_a_name_that_is_not_known() -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        known = loop.getaddrinfo
        async with town(mend=lambda there: names(there, known), options=EARCONS) as there:
            names(there, unknown)
            await there.talk_in_vain()
            assert there.fault() is Fault.OFFLINE
            assert cues(there) == [Cue.WAKE, Cue.NO_NETWORK]
            assert there.proxy.dials == 0
            assert len(there.losses) <= 4  # as where a service is down: all boxes may be asking the same name server
            assert "cannot be resolved" in there.losses[0].message

    run_virtual(main())


def test_n08_a_name_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread that nobody waits for: the microphone is heard all the time."""
    answer = threading.Event()
    real = socket.getaddrinfo

    def hang(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # as the real one
        answer.wait()
        return real(*arguments, **options)

    async def main() -> None:
        async with town(mend=lambda _: answer.set()) as there:
            loop = asyncio.get_running_loop()
            loop.set_default_executor(Detached())
            monkeypatch.setattr(socket, "getaddrinfo", hang)
            woken, heard = now(), there.house.backend.position
            await there.house.wake()
            await there.house.until(lambda: bool(there.losses))
            assert now() - woken == pytest.approx(10.0, abs=0.5)
            assert "in time" in there.losses[0].message
            assert there.house.backend.position - heard == pytest.approx((now() - woken) * 16_000, abs=640)
            await there.house.until_phase(Phase.IDLE)
            monkeypatch.setattr(socket, "getaddrinfo", real)

    try:
        run_virtual(main())
    finally:
        answer.set()


def addresses(monkeypatch: pytest.MonkeyPatch, *dead: str) -> None:
    """The service has these addresses, where nobody answers, and its own at the end."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def look_up(_host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        kinds = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in (*dead, "127.0.0.1")]
        return [(kind, socket.SOCK_STREAM, 6, "", (address, port)) for kind, address in kinds]

    async def reach(sock: socket.socket, address: Any) -> None:  # noqa: ANN401  # as the loop's own
        if address[0] in dead:
            await asyncio.Event().wait()
        await connect(sock, address)

    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    monkeypatch.setattr(loop, "sock_connect", reach)


@pytest.mark.parametrize("dead", [DEAD, ("2001:db8::1",)], ids=["n09_three_dead_addresses", "n10_broken_ipv6"])
def test_n09_n10_addresses_where_nobody_answers(dead: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The next is tried a quarter of a second later, beside it."""

    async def main() -> None:
        async with town() as there:
            addresses(monkeypatch, *dead)
            woken = now()
            await there.house.wake()
            await there.house.until(lambda: there.sessions > 0)
            assert there.events(SessionReady)[0][0] - woken <= 0.25 * len(dead) + 0.5
            assert there.losses == []

    run_virtual(main())


def test_n16_one_byte_a_second() -> None:
    """The reply is given up when nothing more came of it for a while."""

    async def main() -> None:
        async with town(mend=lambda there: setattr(there.proxy, "rate", 0.0)) as there:
            there.proxy.piece, there.proxy.rate = 4096, 20_000.0
            await there.house.ask()
            there.proxy.piece, there.proxy.rate = 1, 1.0
            began, heard = now(), there.house.backend.position
            await there.house.until_phase(Phase.LISTENING, within=60)
            assert there.house.backend.position - heard == pytest.approx((now() - began) * 16_000, abs=640)
            await there.house.until_phase(Phase.IDLE)
            there.proxy.piece = 16_384

    run_virtual(main())


def test_n17_a_link_that_takes_nothing_more() -> None:
    """No more than 2 s of speech wait for it; the oldest is dropped, and counted."""

    async def main() -> None:
        async with town(all_arrives=False) as there:
            await listening(there)
            pumps = there.house.app.session._pumps
            assert pumps is not None

            async def stuck(_message: object) -> None:
                await asyncio.Event().wait()

            there.house.say()
            await asyncio.sleep(1)
            pumps.connection.send = stuck  # type: ignore[method-assign,assignment]
            for _ in range(5):
                there.house.say()
                await asyncio.sleep(2)
                uplink = there.house.app.uplink
                assert uplink.ring.end - uplink._cursor <= 2 * 16_000 + 320
            assert uplink.counts.dropped >= 5 * 16_000
            assert len(pumps._outbox) <= 3

    run_virtual(main())


def test_n18_half_a_second_of_jitter() -> None:
    """Every sample of the reply is heard once, and silence only where it ran dry. (TCP reorders nothing.)"""

    async def main() -> None:
        dice = random.Random(18)  # noqa: S311  # a network's
        async with town() as there:
            there.proxy.piece, there.proxy.delay = 8_000, lambda: dice.uniform(0.0, 0.5)
            await there.house.ask()
            await there.house.until(lambda: there.house.phase is not Phase.SPEAKING, within=120)
            sent = bytes(there.simulator.connections[0].sent_pcm[1])
            assert there.house.heard(1).tobytes() == sent
            spoken = pairwise(there.house.backend.speaker.spoken)
            gaps = sum(b[1] > a[2] for a, b in spoken if a[0] == b[0] == 1)
            assert gaps == there.house.backend.speaker.underruns > 0
            there.proxy.delay = lambda: 0.0

    run_virtual(main())
