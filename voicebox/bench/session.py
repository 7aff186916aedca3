"""A thousand conversations one after another: whether anything of them stays."""

import asyncio
import gc
from pathlib import Path
from random import Random

from voicebox.bench._cold import ColdBox, cold_box
from voicebox.bench._figures import Figure, Options, at_most
from voicebox.core.events import SessionReady
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

_WARM = 30
"""Conversations after which everything has been used once."""


def run(options: Options) -> list[Figure]:
    return run_virtual(_converse(options.times(1000)))


async def _converse(sessions: int) -> list[Figure]:
    chance = Random(1)  # noqa: S311  # not secret
    async with cold_box("lira", chance, VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S="2") as box:
        await _sessions(box, _WARM)
        before = _counts()
        await _sessions(box, sessions)
        left = [after - count for after, count in zip(_counts(), before, strict=True)]
    names, limits = ("Python objects", "tasks", "open files"), (sessions // 10, 2, 2)
    return [
        at_most(f"{sessions} conversations in virtual time: {name} left", count, "", limit)
        for name, count, limit in zip(names, left, limits, strict=True)
    ]


async def _sessions(box: ColdBox, count: int) -> None:
    for _ in range(count):
        since = len(box.steps)
        box.wake()
        await box.happened(SessionReady, since)
        async with asyncio.timeout(60):
            while box.app.box.state.phase is not Phase.IDLE:  # noqa: ASYNC110  # a state, not an event
                await asyncio.sleep(0.1)
        await asyncio.sleep(3)  # past the refractory time
        box.forget()
        box.steps.clear()
        box.backend.flushes.clear()  # the recording is no part of a box


def _counts() -> tuple[int, int, int]:
    gc.collect()
    return len(gc.get_objects()), len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))
