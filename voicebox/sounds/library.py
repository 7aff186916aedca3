"""Where the sounds are: the owner's own files, then those that ship with voicebox."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from voicebox.audio.pcm import from_bytes, scale, to_bytes
from voicebox.core.cues import MESSAGES, Cue

FORMATS = ("wav", "ogg", "flac", "mp3")
LARGEST = 4 * 2**20
"""Bytes of a file that is read."""
LONGEST_EARCON = 2.0
LONGEST_MESSAGE = 15.0
"""Seconds."""
FALLBACK = "en"

_log = logging.getLogger(__name__)

Decode = Callable[[bytes, float], bytes]
"""A whole file and how many seconds it may last, to s16le mono 24 kHz; raises ValueError."""


class Library:
    """Reads files: to be called from a thread. A file of the owner's that cannot be used is named, and ours taken."""

    def __init__(
        self,
        own: Path,
        shipped: Path,
        decode: Decode,
        *,
        language: str,
        volume: float,
        warn: Callable[[str], object] = lambda text: _log.warning("%s", text),
    ) -> None:
        """``volume``: 0 to 1, of the files as they are; half of it is heard as about half as loud. ``warn`` is told
        what is wrong with the owner's files, once of each."""
        self._own = own
        self._shipped = shipped
        self._decode = decode
        self._language = language
        self._gain = volume**2
        self._tell = warn
        self._told: set[str] = set()

    def load(self, cue: Cue) -> bytes:
        """The sound as s16le mono 24 kHz; empty if there is none at all."""
        longest = LONGEST_MESSAGE if cue in MESSAGES else LONGEST_EARCON
        for path in self._places(cue):
            try:
                pcm = self._decode(_read(path), longest)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                self._warn(f"{path} is not used: {getattr(error, 'strerror', None) or error}")
                continue
            return to_bytes(scale(from_bytes(pcm), self._gain))
        return b""

    def look(self) -> None:
        """Say which of the owner's files will never be heard, and whether their language is spoken here."""
        try:
            files = sorted([*self._own.glob("*.*"), *self._own.glob("*/*.*")])
        except OSError as error:
            self._warn(f"{self._own} cannot be read ({error.strerror}): the sounds that ship with voicebox are used")
            return
        for path in files:
            if (path.stem in set(Cue)) is not (path.suffix.removeprefix(".") in FORMATS):
                self._warn(f"{path} is never heard: sounds are called {', '.join(Cue)}, with .{', .'.join(FORMATS)}")
        spoken = {path.parent.name for path in files} | {path.name for path in self._shipped.iterdir()}
        if self._language not in spoken:
            self._warn(f"there are no messages in the language {self._language!r}: they are in {FALLBACK!r}")

    def _places(self, cue: Cue) -> Iterator[Path]:
        own, shipped, language = self._own, self._shipped, self._language
        for folder in (own / language, own, shipped / language, shipped, own / FALLBACK, shipped / FALLBACK):
            for ending in FORMATS:
                yield folder / f"{cue}.{ending}"

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)


def _read(path: Path) -> bytes:
    """Raises OSError, or ValueError for what is no file of a reasonable size."""
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("is no file")
    if size > LARGEST:
        raise ValueError(f"is larger than {LARGEST // 2**20} MB")
    with path.open("rb") as file:
        return file.read(LARGEST)
