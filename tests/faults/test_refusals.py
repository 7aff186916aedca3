"""N11 to N15, N19, N20: somebody else answers, or the service does but will not serve."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from tests.faults.town import Town, authority, town
from tests.support.certificates import served
from tests.support.house import House, now
from tests.support.session import TOKEN, Tcp, listening
from voicebox.core.events import Category, SessionLost
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.services.lira import ASK_AGAIN
from voicebox.virtualtime import run_virtual

WRONG = "canary-wrong-9f8e7d6c5b4a"


async def instead(there: Town, stack: AsyncExitStack, answer: bytes) -> Tcp:
    """Behind the right certificate somebody answers so to everything."""
    server = Tcp(answer)
    there.proxy.target = await stack.enter_async_context(listening(server))
    return server


def test_n11_a_portal_with_a_certificate_of_its_own() -> None:
    """It sees nothing of the token, and is not asked too often."""

    async def main() -> None:
        async with town() as there:
            good = there.proxy.tls
            await there.proxy.present(served(authority().certificate("login.portal.example")))
            await there.talk_in_vain()
            assert there.proxy.passages == []  # nobody got as far as to say anything
            assert there.fault() is Fault.OFFLINE
            assert "certificate" in there.losses[0].message
            assert len(there.losses) <= 8
            await there.proxy.present(good)

    run_virtual(main())


@pytest.mark.parametrize("length", [500, 500_000, 10_000_000])
@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
def test_n12_a_portal_that_answers_in_http(status: str, length: int) -> None:
    """No more of its page is read than it takes to see that it is one, and no redirect is followed."""

    async def main() -> None:
        async with town() as there, AsyncExitStack() as stack:
            thief = Tcp()
            elsewhere = f"Location: ws://127.0.0.1:{await stack.enter_async_context(listening(thief))}/ws\r\n"
            head = f"HTTP/1.1 {status}\r\n{elsewhere}Content-Length: {length}\r\n\r\n"
            before = there.proxy.target
            await instead(there, stack, head.encode() + b"<" * min(length, 1_000_000))
            await there.talk_in_vain()
            assert there.fault() is Fault.OFFLINE
            assert thief.connections == 0
            for passage in there.proxy.passages:
                assert passage.given <= 64 * 1024 + 2 * 16_384  # the last piece was on its way
            assert all(lost.category is Category.NETWORK for lost in there.losses)
            there.proxy.target = before

    run_virtual(main())


def test_n13_a_token_that_is_refused() -> None:
    """It is read anew each time, but the same one is not shown again for a long while; the light says why."""

    async def main() -> None:
        async with town(options={"VOICEBOX_LIRA_TOKEN": WRONG}) as there:
            await there.talk_in_vain()
            assert there.proxy.dials == 1
            assert there.house.lamp.scenes[-1] is Scene.REFUSED
            for _ in range(3):
                await there.house.wake()
                await asyncio.sleep(10)
            assert there.proxy.dials == 1
            assert ASK_AGAIN >= 300
            assert WRONG not in there.log.getvalue()
            there.house.app.session._credentials = lambda: {"lira_token": TOKEN}
            await there.house.ask()

    run_virtual(main())


@pytest.mark.parametrize(
    ("said", "wait"), [("3600", 3600.0), ("-1", 6.0), ("abc", 6.0), ("1000000000000", 3600.0), ("nan", 6.0)]
)
@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Unavailable"])
def test_n14_come_back_later(status: str, said: str, wait: float) -> None:
    """As long as it says, but no more than an hour; nonsense is none of our business."""

    async def main() -> None:
        async with town() as there, AsyncExitStack() as stack:
            before = there.proxy.target
            answer = f"HTTP/1.1 {status}\r\nRetry-After: {said}\r\nContent-Length: 0\r\n\r\n"
            await instead(there, stack, answer.encode())
            await there.house.wake()
            await there.house.until(lambda: bool(there.losses))
            assert there.losses[0].retry_in == wait
            await there.house.until_phase(Phase.IDLE)
            assert there.fault() is Fault.BUSY
            there.proxy.target = before

    run_virtual(main())


async def no_tls(there: Town) -> None:
    """Somebody takes the connection, and never answers the first word of TLS."""
    await there.proxy.present(None)
    there.proxy.freeze()


async def no_upgrade(there: Town) -> None:
    there.proxy.freeze()


async def no_hello(there: Town) -> None:
    """It opens the WebSocket and says nothing more."""
    there.proxy.given_most = 1  # the first piece, and no more


@pytest.mark.parametrize("until", [no_tls, no_upgrade, no_hello])
def test_n15_a_server_that_takes_the_connection_and_falls_silent(until: object) -> None:
    async def main() -> None:
        async with town() as there:
            good = there.proxy.tls
            await until(there)  # type: ignore[operator]  # one of the three above
            woken = now()
            await there.house.wake()
            await there.house.until(lambda: bool(there.losses))
            assert there.events(SessionLost)[0][0] - woken == pytest.approx(10.0, abs=0.5)
            await there.house.until_phase(Phase.IDLE)
            assert there.fault() is Fault.OFFLINE
            there.proxy.given_most = 0
            there.proxy.thaw()
            await there.proxy.present(good)

    run_virtual(main())


async def hang_up(there: Town, code: int) -> None:
    """The service closes the session so."""
    server = there.simulator._server
    assert server is not None
    for client in list(server.connections):
        await client.close(code)


@pytest.mark.parametrize(
    ("code", "fault", "soonest"),
    [
        (1000, None, None),
        (1001, None, 0.0),
        (1008, Fault.BUSY, 60.0),
        (1011, None, 0.0),
        (1012, None, 0.0),
        (1013, None, 0.0),
        (4401, Fault.REFUSED, None),
        (4999, None, 0.0),
    ],
)
def test_n19_the_service_hangs_up_in_mid_utterance(code: int, fault: Fault | None, soonest: float | None) -> None:
    """``soonest``: when it is dialled again; None: not by itself."""

    async def main() -> None:
        async with town() as there:
            await there.house.wake()
            await there.house.until_phase(Phase.LISTENING)
            there.house.say()
            await asyncio.sleep(0.5)
            await hang_up(there, code)
            await there.house.until(lambda: bool(there.losses or there.ends))
            assert [lost.retry_in >= (soonest or 0.0) for lost in there.losses] == [True] * (soonest is not None)
            await there.house.until_phase(Phase.IDLE, within=120)
            assert fault in (None, *there.house.faults)
            assert (Fault.REFUSED in there.house.faults) is (code == 4401)
            if code == 4401:
                there.house.app.adapter._refused_token = ""  # type: ignore[attr-defined]  # another one is stored
                await there.house.ask()

    run_virtual(main())


def limited(house: House, seconds: float) -> None:
    """The service's sessions last so long."""
    adapter = house.app.adapter
    adapter.capabilities = replace(adapter.capabilities, session_limit=seconds)  # type: ignore[misc]  # this one alone


def test_n20_a_session_nears_its_limit() -> None:
    """The box begins a new one in time, but not while anybody speaks; where the service is quicker it comes back."""

    async def main() -> None:
        patient = {"VOICEBOX_CONVERSATION__FOLLOW_UP_S": "30", "VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "30"}
        async with town(options=patient, all_arrives=False) as there:
            limited(there.house, 305.0)
            await there.house.ask()
            spoke = now()
            await there.house.until(lambda: there.house.phase is not Phase.SPEAKING)
            assert now() - spoke > 10  # the time to begin anew came while it spoke
            assert len(there.house.heard(1)) == len(there.simulator.connections[0].sent_pcm[1]) // 2
            assert [lost.message for lost in there.losses] in ([], ["the service's own limit is near"])
            await there.house.until(lambda: there.sessions > 1)
            await hang_up(there, 1001)
            await there.house.until(lambda: there.house.phase is not Phase.LISTENING)

    run_virtual(main())
