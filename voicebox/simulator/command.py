"""The simulator as a program of its own: what ``voicebox simulate`` does."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from voicebox.simulator.base import discover
from voicebox.simulator.faults import applies
from voicebox.simulator.pacing import BURSTY, SMOOTH
from voicebox.simulator.server import Simulator
from voicebox.wire.lira import Envelope

ALL = "all"


@dataclass(frozen=True, slots=True)
class Options:
    """See Simulator. ``service`` "all": every one, on ``port`` and the ports after it. ``bursty`` leaves gaps of 200 to
    400 ms in the replies."""

    service: str = "lira"
    brain: str = "parrot"
    port: int = 0
    faults: tuple[str, ...] = ()
    envelope: Envelope = "data"
    bursty: bool = False
    record: Path | None = None


async def serve(options: Options, say: Callable[[str], None] = print) -> None:
    """Run simulators until cancelled, having said where they are and how to reach them. Raises as Simulator does."""
    names = sorted(discover()) if options.service == ALL else [options.service]
    async with AsyncExitStack() as stack:
        for number, name in enumerate(names):
            simulator = await stack.enter_async_context(_simulator(options, name, number))
            say(f"{name} ({options.brain}) listens at {simulator.url}\n\n{simulator.owner_hint}\n")
        await asyncio.Event().wait()


def _simulator(options: Options, name: str, number: int) -> Simulator:
    return Simulator(
        name,
        brain=options.brain,
        port=options.port + number if options.port else 0,
        faults=[fault for fault in options.faults if applies(fault, name)],
        envelope=options.envelope,
        pace=BURSTY if options.bursty else SMOOTH,
        record=options.record / name if options.record and options.service == ALL else options.record,
    )
