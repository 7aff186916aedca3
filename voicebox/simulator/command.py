"""The simulator as a program of its own: what ``voicebox simulate`` does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voicebox.simulator.pacing import BURSTY, SMOOTH
from voicebox.simulator.server import Simulator
from voicebox.wire.lira import Envelope


@dataclass(frozen=True, slots=True)
class Options:
    """See Simulator. ``bursty`` leaves gaps of 200 to 400 ms in the replies."""

    service: str = "lira"
    brain: str = "parrot"
    port: int = 0
    faults: tuple[str, ...] = ()
    envelope: Envelope = "data"
    bursty: bool = False
    record: Path | None = None


async def serve(options: Options, say: Callable[[str], None] = print) -> None:
    """Run a simulator until cancelled, having said where it is and how to reach it. Raises as Simulator does."""
    simulator = Simulator(
        options.service,
        brain=options.brain,
        port=options.port,
        faults=options.faults,
        envelope=options.envelope,
        pace=BURSTY if options.bursty else SMOOTH,
        record=options.record,
    )
    async with simulator:
        say(f"{options.service} ({options.brain}) listens at {simulator.url}\n\n{simulator.owner_hint}")
        await asyncio.Event().wait()
