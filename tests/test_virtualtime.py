"""Virtual time: the clock jumps, real sockets still work, threads are replaced."""

import asyncio
import threading
import time

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from voicebox.virtualtime import InlineExecutor, VirtualTimeLoop, run_virtual


def test_an_hour_passes_exactly_and_at_once() -> None:
    async def main() -> tuple[float, list[int]]:
        order: list[int] = []
        loop = asyncio.get_running_loop()
        for delay in (30, 10, 20):
            loop.call_later(delay, order.append, delay)
        await asyncio.sleep(3600)
        return loop.time(), order

    began = time.monotonic()
    now, order = run_virtual(main())
    assert now == pytest.approx(3600)
    assert order == [10, 20, 30]
    assert time.monotonic() - began < 60  # an hour would be 3600


def test_it_waits_for_packets_unless_told_that_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    async def main() -> list[int]:
        loop, counts = asyncio.get_running_loop(), []
        assert isinstance(loop, VirtualTimeLoop)
        for on in (False, True, False):
            loop.hurry(on)
            waits.clear()
            await asyncio.sleep(60)
            counts.append(len(waits))
        return counts

    assert run_virtual(main()) == [1, 0, 1]


def test_websocket_client_and_server_in_one_loop_lose_nothing() -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await asyncio.sleep(1)
            await connection.send(message)

    async def main() -> float:
        async with serve(echo, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}") as client:
                for number in range(200):
                    await client.send(bytes([number]) * 50_000)
                    async with asyncio.timeout(2):  # virtual: a jump too early would strike here
                        assert await client.recv() == bytes([number]) * 50_000
        return asyncio.get_running_loop().time()

    assert 200 <= run_virtual(main()) < 230


def test_blocks_really_where_nothing_is_scheduled() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        from_outside = loop.create_future()

        def answer() -> None:
            loop.call_soon_threadsafe(from_outside.set_result, "done")

        thread = threading.Thread(target=answer)
        thread.start()
        assert await from_outside == "done"
        thread.join()
        return loop.time()

    assert run_virtual(main()) == 0


def test_work_for_threads_runs_at_once() -> None:
    async def main() -> tuple[int, float]:
        return await asyncio.to_thread(lambda: 42), asyncio.get_running_loop().time()

    assert run_virtual(main()) == (42, 0)


def test_inline_executor_hands_errors_to_the_future() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        InlineExecutor().submit(fail).result(timeout=0)
