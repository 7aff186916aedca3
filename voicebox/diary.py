"""What was said, one JSON object per line and one file per day, where the owner wants it. Personal data: readable by us
alone, and deleted after the days the owner names."""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from voicebox.core.events import EmotionUpdated, Event, ParticipantChanged, ReplyText, TaskCreated, Transcript

_log = logging.getLogger(__name__)

KEPT = (Transcript, ReplyText, EmotionUpdated, ParticipantChanged, TaskCreated)
LOOK_EVERY = 3600.0  # seconds between looks for what has become too old


class Diary:
    """``note`` every event; those that tell what was said are written. A full disk costs the lines, nothing else."""

    def __init__(
        self, directory: Path, days: int, now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    ) -> None:
        self._directory = directory
        self._days = days
        self._now = now
        self._complained = False

    def note(self, event: Event) -> None:
        if not isinstance(event, KEPT) or (isinstance(event, Transcript) and not event.final):
            return
        now = self._now()
        line = {"time": now.isoformat(timespec="milliseconds"), "event": type(event).__name__, **asdict(event)}
        try:
            self._append(self._directory / f"{now.date()}.jsonl", json.dumps(line, ensure_ascii=False, default=str))
        except OSError as error:
            if not self._complained:
                _log.warning("conversations cannot be written to %s: %s", self._directory, error.strerror)
            self._complained = True

    def _append(self, path: Path, line: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # half a surrogate pair, which JSON can smuggle in, is written as JSON writes it: \udXXX
        text = (line + "\n").encode("utf-8", "backslashreplace")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(text)

    async def run(self) -> None:
        """For ever: delete what is older than the owner wants, also while nobody says anything."""
        while True:
            self.forget()
            await asyncio.sleep(LOOK_EVERY)

    def forget(self) -> None:
        """Delete what is older than the owner wants."""
        oldest = (self._now().date() - timedelta(days=self._days)).isoformat()
        for file in self._directory.glob("????-??-??.jsonl"):
            if file.stem < oldest:
                try:
                    file.unlink()
                except OSError as error:
                    _log.warning("%s cannot be deleted: %s", file, error.strerror)
