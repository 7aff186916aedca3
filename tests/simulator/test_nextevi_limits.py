"""EVI-79: what the simulated NextEVI refuses: sloppy messages, and more of anything than the vendor's table allows."""

import asyncio
import base64
from collections import Counter
from typing import Any

import pytest

from tests.simulator.client import Got
from tests.simulator.nextevi_client import (
    RATE,
    EviClient,
    evi_client_of,
    status_of,
)
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual

# --- what is refused -----------------------------------------------------------------------------------------------


async def _refused(client: EviClient, message: dict[str, Any] | bytes) -> Got:
    await client.send(message)
    return await client.until("error", 1)


def test_evi_79_sloppy_messages_are_complained_of() -> None:
    """EVI-13, EVI-14: what the vendor calls required is; twice the same id is not unique."""

    async def main() -> Counter[str]:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator) as client:
            good = {"type": "keep_alive", "timestamp": 1.5, "message_id": "a"}
            await client.begin()
            await client.send(good)
            for bad in (
                good,
                good | {"message_id": ""},
                {"type": "keep_alive", "timestamp": 1.5},
                good | {"message_id": "b", "timestamp": "1.5"},
                {"type": "session_settings", "data": {"audio": {"sample_rate": RATE}}},
                {"type": "session_settings", "sample_rate": 16_000, "channels": 1, "encoding": "linear16"},
                {"type": "audio_input", "audio": "%%%", "chunk_id": "c-1"},
                {"type": "audio_input", "audio": base64.b64encode(b"odd").decode()},
                b"odd",
                {"type": 7},
                {"type": "nonsense"},
            ):
                await _refused(client, bad)
        return Counter(error["error_code"] for error in client.of("error"))

    assert run_virtual(main()) == {
        "INVALID_MESSAGE": 5,
        "INVALID_SETTINGS": 1,
        "AUDIO_PROCESSING_FAILED": 3,
        "UNKNOWN_MESSAGE_TYPE": 2,
    }


async def _closed_by(client: EviClient, within: float = 5) -> tuple[int, str]:
    closed = await client.until_closed(within)
    assert closed.rcvd is not None
    return closed.rcvd.code, closed.rcvd.reason


@pytest.mark.parametrize("message", [b"\0\0", "[1]", "nonsense"])
def test_evi_79_sound_before_settings_and_what_is_no_json_are_protocol_errors(message: bytes | str) -> None:
    async def main() -> tuple[int, str]:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator) as client:
            await client.send(message)
            return await _closed_by(client)

    assert run_virtual(main())[0] == 1002


def _overrun(messages: int, gap: float, *, text: bool) -> tuple[int, int, str]:
    """(sent until it was refused, close code, reason); code 0: it never was"""

    async def main() -> tuple[int, int, str]:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator) as client:
            await client.begin("sdk")
            await asyncio.sleep(61)
            closing = asyncio.create_task(_closed_by(client, 1000))
            sent = 0
            while sent < messages and not closing.done():
                await client.send({"type": "keep_alive"} if text else b"\0\0")
                sent += 1
                await asyncio.sleep(gap)
            await asyncio.wait({closing}, timeout=5)
            return (sent, *closing.result()) if closing.done() else (sent, 0, "")

    return run_virtual(main())


def test_evi_79_and_28_the_thousand_and_first_sound_message_of_a_minute_is_refused() -> None:
    sent, code, reason = _overrun(1100, 0.055, text=False)
    assert (sent, code) == (1001, 4004)
    assert "audio" in reason


def test_evi_79_and_29_the_hundred_and_first_text_message_of_a_minute_is_refused() -> None:
    sent, code, reason = _overrun(150, 0.5, text=True)
    assert (sent, code) == (101, 4004)
    assert "text" in reason


def test_evi_79_and_30_the_hundred_and_first_message_of_a_second_is_refused() -> None:
    sent, code, reason = _overrun(150, 0.005, text=False)
    assert (sent, code) == (101, 4004)
    assert "any" in reason


def test_evi_79_what_stays_within_the_limits_is_not() -> None:
    assert _overrun(1100, 0.0601, text=False) == (1100, 0, "")
    assert _overrun(100, 0.011, text=True) == (100, 0, "")


def test_evi_79_and_31_more_than_a_megabyte_of_sound_at_once_is_refused() -> None:
    async def main() -> tuple[int, str]:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator) as client:
            await client.begin()
            await client.send(bytes(1_000_000))
            await client.send(bytes(1_000_002))
            return await _closed_by(client)

    code, reason = run_virtual(main())
    assert code == 4004
    assert "1 MB" in reason


def test_evi_79_and_35_the_eleventh_session_is_refused_until_one_ends() -> None:
    async def main() -> None:
        async with Simulator("nextevi") as simulator, asyncio.TaskGroup() as group:
            leave = asyncio.Event()

            async def stay() -> None:
                async with evi_client_of(simulator) as client:
                    await client.begin()
                    await leave.wait()

            sessions = [group.create_task(stay()) for _ in range(10)]
            await asyncio.sleep(1)
            async with evi_client_of(simulator) as client:
                assert (await _closed_by(client))[0] == 4004
            leave.set()
            await asyncio.wait(sessions)
            await asyncio.sleep(1)
            async with evi_client_of(simulator) as client:
                await client.begin()

    run_virtual(main())


def test_evi_79_and_36_the_fifty_first_connection_of_a_minute_is_refused() -> None:
    async def main() -> tuple[list[int], int]:
        async with Simulator("nextevi") as simulator:
            statuses = [await status_of(simulator, api_key="oak_no") for _ in range(51)]
            await asyncio.sleep(61)
            return statuses, await status_of(simulator)

    statuses, later = run_virtual(main())
    assert statuses == [401] * 50 + [429]
    assert later == 101


def test_evi_79_and_34_a_session_is_over_after_an_hour() -> None:
    async def main() -> tuple[float, tuple[int, str]]:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator) as client:
            await client.begin()
            begun = asyncio.get_running_loop().time()
            closed = await client.until_closed(3700)
            assert closed.rcvd is not None
            return asyncio.get_running_loop().time() - begun, (closed.rcvd.code, closed.rcvd.reason)

    lived, (code, reason) = run_virtual(main())
    assert lived == pytest.approx(3600, abs=2)
    assert code == 4004
    assert "duration" in reason
