"""Microphone blocks that nobody needs yet come together: an idle box wakes up once where it would four times."""

from voicebox.audio.base import Block

MOST = 4
"""Blocks: one step of the wake word engine."""


class Held:
    """``until`` is set from the event loop; ``add`` and ``drop`` are called where the blocks are made."""

    def __init__(self) -> None:
        self.until = 0
        """Microphone position before which no block is needed; 0: each is, at once."""
        self._blocks: list[Block] = []

    def add(self, block: Block) -> list[Block]:
        """Those to be delivered now: none, or all, this one the last."""
        self._blocks.append(block)
        if block.position + len(block.pcm) // 2 < self.until and len(self._blocks) < MOST:
            return []
        blocks, self._blocks = self._blocks, []
        return blocks

    def drop(self) -> None:
        """The microphone is opened anew: what was heard before is past."""
        self._blocks.clear()
