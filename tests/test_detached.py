"""A look-up that hangs does not keep the process."""

import subprocess
import sys

import pytest

from voicebox.detached import Detached

HANGS = """
import asyncio, threading
from voicebox.detached import Detached

async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(Detached())
    began = threading.Event()
    never = threading.Event()
    loop.run_in_executor(None, lambda: (began.set(), never.wait()))
    await asyncio.to_thread(began.wait)
    print("leaving", flush=True)

asyncio.run(main())
"""


def test_a_hanging_look_up_does_not_keep_the_process() -> None:
    run = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "leaving\n"
    assert run.stderr == ""


def test_it_works_like_any_executor() -> None:
    executor = Detached()
    assert executor.submit(int, "7").result(timeout=10) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        executor.submit(int, "seven").result(timeout=10)
    executor.shutdown()
