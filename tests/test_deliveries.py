"""An idle box is woken for its microphone once in 80 ms, one that listens for each block."""

import asyncio
from dataclasses import replace

from tests.support.house import living, now
from voicebox.audio.base import Block, Handlers
from voicebox.audio.wavfile import WavBackend
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual


class Deliveries(WavBackend):
    """Notes how many blocks have come each time that any did."""

    def __init__(self) -> None:
        super().__init__(noise=-75.0)
        self.counts: dict[float, int] = {}

    async def start(self, handlers: Handlers) -> None:
        def block(block: Block) -> None:
            self.counts[now()] = self.counts.get(now(), 0) + 1
            handlers.block(block)

        await super().start(replace(handlers, block=block))


def test_blocks_wait_for_the_next_step_of_the_wake_word_only_while_nobody_needs_them() -> None:
    async def main() -> tuple[set[int], set[int], int]:
        microphone = Deliveries()
        async with living(backend=microphone) as house:
            await asyncio.sleep(5)
            idle = dict(list(microphone.counts.items())[3:])
            microphone.counts.clear()
            await house.wake()
            woken = now()
            await house.until_phase(Phase.LISTENING)
            await asyncio.sleep(1)
            talking = [count for at, count in microphone.counts.items() if at > woken + 0.02]
            return set(idle.values()), set(talking), house.app.hearing.due

    idle, talking, due = run_virtual(main())
    assert idle == {4}  # 80 ms
    assert talking == {1}
    assert due == 0
