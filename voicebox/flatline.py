"""Whether the microphone lives but says nothing: only zeros (muted, a broken cable), or one other value for ever."""

import logging
from collections.abc import Callable

from voicebox.audio.base import BLOCK, CAPTURE_RATE, Block

_log = logging.getLogger(__name__)

SILENT_AFTER = 60.0
"""Seconds. A muted source or a microphone that cleans its sound may well deliver zeros for a while: so the owner is
told, and it is no fault. (By then the card has been opened anew once: see audio/streams.py.)"""


class Flatline:
    """``changed`` is called whenever ``silent`` has."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._flat = 0  # samples
        self.silent = False

    def block(self, block: Block) -> None:
        """The next microphone block."""
        alike = block.pcm[2:] == block.pcm[:-2]
        self._flat = self._flat + BLOCK if alike else 0
        if (self._flat >= SILENT_AFTER * CAPTURE_RATE) is self.silent:
            return
        self.silent = not self.silent
        if self.silent:
            value = int.from_bytes(block.pcm[:2], "little", signed=True)
            text = "the microphone has delivered nothing but the value %d for %.0f s: is it muted, or its cable broken?"
            _log.warning(text, value, SILENT_AFTER)
        else:
            _log.info("the microphone delivers sound again")
        self._changed()
