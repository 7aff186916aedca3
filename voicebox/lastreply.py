"""What was answered last, kept in memory so that it can be heard again."""

from collections.abc import Iterable

from voicebox.audio.base import PLAYBACK_RATE
from voicebox.core.commands import Command, Play

LONGEST = 60
"""Seconds of an answer that are kept: 2.9 MB."""


class LastReply:
    def __init__(self) -> None:
        self._reply_id = 0
        self._pcm = bytearray()

    def follow(self, commands: Iterable[Command]) -> None:
        """What the core has just had done."""
        for command in commands:
            if isinstance(command, Play):
                self._add(command)

    def _add(self, play: Play) -> None:
        if play.reply_id != self._reply_id:
            self._reply_id = play.reply_id
            self._pcm.clear()
        room = LONGEST * PLAYBACK_RATE * 2 - len(self._pcm)
        self._pcm += play.pcm[:room]

    @property
    def pcm(self) -> bytes:
        """s16le mono 24 kHz; empty if nothing was answered yet."""
        return bytes(self._pcm)
