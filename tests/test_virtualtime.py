"""Virtual time: the clock jumps, real sockets still work, threads are replaced."""

import asyncio
import ctypes
import os
import socket
import struct
import threading
import time

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from voicebox.virtualtime import InlineExecutor, run_virtual


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


Moments = list[float]


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    """The real seconds that were waited, one by one."""
    waited: Moments = []
    sleep = time.sleep

    def counted(seconds: float) -> None:
        waited.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", counted)
    return waited


async def jumps(moments: Moments) -> int:
    """Moments that ten jumps of the clock wait for."""
    await asyncio.sleep(1)  # what was changed before is known then
    moments.clear()
    for _ in range(10):
        await asyncio.sleep(60)
    return len(moments)


async def pair(heard: list[bytes] | None = None) -> tuple[socket.socket, socket.socket]:
    """Connected with each other, and read by the loop."""
    loop, kept = asyncio.get_running_loop(), [] if heard is None else heard

    def hear(end: socket.socket) -> None:
        kept.append(end.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as server:
        ends = socket.create_connection(server.getsockname()), server.accept()[0]
    for end in ends:
        end.setblocking(False)
        loop.add_reader(end, hear, end)
    return ends


async def hang_up(*ends: socket.socket) -> None:
    for end in ends:
        asyncio.get_running_loop().remove_reader(end)
        end.close()


def test_it_waits_for_nothing_where_nobody_is_connected(moments: Moments) -> None:
    assert run_virtual(jumps(moments)) == 0


def test_it_waits_for_nothing_where_all_has_arrived(moments: Moments) -> None:
    heard: list[bytes] = []

    async def main() -> int:
        caller, called = await pair(heard)
        caller.send(b"one way")
        called.send(b"the other")
        waited = await jumps(moments)
        await hang_up(caller, called)
        return waited

    assert run_virtual(main()) == 0
    assert sorted(heard) == [b"one way", b"the other"]


def test_it_waits_for_what_is_on_its_way_but_not_for_ever(moments: Moments) -> None:
    """The kernel is told to lose what comes; it will be sent again after a fifth of a second only."""
    lose_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: ret 0
    program = struct.pack("HP", 1, ctypes.addressof(lose_all))

    async def main() -> tuple[int, int]:
        caller, called = await pair()
        await asyncio.sleep(1)
        called.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER
        caller.send(b"?")
        moments.clear()
        await asyncio.sleep(1)
        first = len(moments)
        later = await jumps(moments)
        await hang_up(caller, called)
        return first, later

    assert run_virtual(main()) == (50, 10)


@pytest.mark.parametrize("there", ["another end", "a pipe", "a thread"])
def test_what_others_do_has_a_moment_before_each_jump(moments: Moments, there: str) -> None:
    async def main() -> int:
        loop, over = asyncio.get_running_loop(), threading.Event()
        caller, called = await pair()
        pipe = os.pipe()
        thread = threading.Thread(target=over.wait)
        if there == "another end":
            loop.remove_reader(called)
        elif there == "a pipe":
            loop.add_reader(pipe[0], lambda: None)
        else:
            thread.start()
        waited = await jumps(moments)
        over.set()
        loop.remove_reader(pipe[0])
        for file in pipe:
            os.close(file)
        await hang_up(caller, called)
        return waited

    assert run_virtual(main()) == 10


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
