"""A hundred connections, good and broken ones, leave no task, socket or descriptor behind."""

import asyncio
import gc

from tests.support.session import Line, Tcp, line_to, listening, open_files, running
from voicebox.core.events import SessionLost, SessionReady
from voicebox.core.state import Window
from voicebox.simulator import Simulator
from voicebox.virtualtime import run_virtual


def test_com_09_a_hundred_cycles_leave_no_task_socket_or_descriptor() -> None:
    async def main() -> None:
        async with Simulator() as simulator:
            line = line_to(simulator)
            async with running(line):

                async def cycle(number: int) -> None:
                    line.session.open()
                    await line.until(SessionReady, number)
                    line.uplink.set_window(Window())
                    line.hear(10)
                    await asyncio.sleep(0.05)
                    line.uplink.set_window(None)
                    await line.hang_up()
                    await asyncio.sleep(0.05)

                await cycle(1)
                before = left_behind()
                for number in range(2, 102):
                    await cycle(number)
                assert left_behind() == before
                assert line.of(SessionLost) == []

    run_virtual(main())


def test_com_09_a_hundred_broken_dials_leave_nothing_either() -> None:
    async def main() -> None:
        async with listening(Tcp(b"nonsense\r\n\r\n")) as port:
            line = Line(f"ws://127.0.0.1:{port}/ws", dice=lambda: 0.0)
            async with running(line):
                line.session.open()
                await line.until(SessionLost, 1)
                before = left_behind()
                await line.until(SessionLost, 101)
                line.session.close()
                await asyncio.sleep(1)
                assert left_behind() <= before

    run_virtual(main())


def left_behind() -> tuple[int, int]:
    """(tasks, open file descriptors) now."""
    gc.collect()
    return len(asyncio.all_tasks()), open_files()
