"""Sound that comes as numbered pieces of base64, in any order, cut anywhere: given out at once as far as it goes."""

import binascii
import re

MAX_WAITING = 2**24
"""Characters kept of pieces whose turn has not come."""

_BLANK = re.compile(r"\s+")
_QUAD = 4
_FILE_BEGINS = re.compile(rb"ID3|RIFF....WAVE|fLaC|OggS.\x02|\xff[\xe2-\xff].{0,180}?(?:Xing|Info|LAME)", re.DOTALL)
_FRAME_BEGINS = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]")  # MP3; may also stand at the begin of a later piece


class Base64Text:
    """Decodes text piece by piece. Whether each piece was encoded by itself or one text was cut up need not be known:
    pieces encoded by themselves end at a multiple of four characters, so padding can only follow there."""

    def __init__(self) -> None:
        self._rest = ""  # less than four characters
        self.malformed = 0  # pieces that were none

    def feed(self, text: str) -> bytes:
        """The bytes that can be known now."""
        fresh = _plain(text)
        decoded = _decode(self._rest + fresh)
        if decoded is None and self._rest:  # the piece before was cut short: this one stands for itself
            decoded = _decode(fresh)
        if decoded is None:
            self.malformed += 1
            self._rest = ""
            return b""
        data, self._rest = decoded
        return data

    def finish(self) -> bytes:
        """What is left where the padding at the end was left out."""
        rest, self._rest = self._rest, ""
        decoded = _decode(rest + "=" * (-len(rest) % _QUAD)) if len(rest) > 1 else None
        return decoded[0] if decoded else b""


def _plain(text: str) -> str:
    """Without line ends and the prefix of a data URL, in the usual alphabet."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    return _BLANK.sub("", text).translate(str.maketrans("-_", "+/"))


def _decode(text: str) -> tuple[bytes, str] | None:
    """(bytes of the whole quads, the rest); None where it is no base64. Padding may end any quad."""
    whole = len(text) - len(text) % _QUAD
    parts = []
    start = 0
    while start < whole:
        pad = text.find("=", start, whole)
        end = whole if pad < 0 else pad - pad % _QUAD + _QUAD
        try:
            parts.append(binascii.a2b_base64(text[start:end], strict_mode=True))
        except (binascii.Error, ValueError):
            return None
        start = end
    rest = text[whole:]
    return None if "=" in rest[:1] else (b"".join(parts), rest)


class Chunks:
    """One stream of numbered pieces. ``base``: the number of the first one, where streams before have shown it; some
    count from 0 and some from 1. ``total``: how many are said to come."""

    def __init__(self, base: int | None = None, total: int | None = None) -> None:
        self.base = base
        self.total = total
        self.duplicates = 0
        self.overflowed = 0  # pieces that there was no room for
        self._next: int | None = None  # number whose turn it is
        self._waiting: dict[int, str] = {}
        self._size = 0  # characters waiting
        self._released = 0
        self._seen: set[int] = set()
        self._text = Base64Text()

    @property
    def complete(self) -> bool:
        """As many came as were said to come; more may follow all the same."""
        return self.total is not None and len(self._seen) >= self.total

    @property
    def malformed(self) -> int:
        return self._text.malformed

    def feed(self, text: str, index: int | None, total: int | None) -> bytes:
        """The sound that follows on what was given out before; empty where something before this is missing."""
        if total is not None and total > 0:
            self.total = total
        index = self._guess() if index is None else index
        if index in self._seen:
            self.duplicates += 1
            return b""
        self._seen.add(index)
        if self._size + len(text) > MAX_WAITING:
            self.overflowed += 1
            return b""
        self._waiting[index] = text
        self._size += len(text)
        if self._next is None and self._first_is_here():
            self._next = self.base = min(self._waiting)
        return self._release()

    def finish(self) -> tuple[bytes, int]:
        """The stream is over: (what can still be heard, number of pieces that cannot). Where the first never came, the
        lowest that did is the first; what lies behind a gap is not heard."""
        if self._next is None and self._waiting:
            self._next = min(self._waiting)
        sound = self._release() + self._text.finish()
        span = max(self._seen) - min(self._seen) + 1 if self._seen else 0
        return sound, max(self.total or 0, span, self._released) - self._released

    def _guess(self) -> int:
        """Numbered by nobody: it follows on the last."""
        return max(self._seen, default=(self.base or 0) - 1) + 1

    def _first_is_here(self) -> bool:
        lowest = min(self._waiting)
        if lowest <= 0 or lowest == self.base:
            return True
        if lowest > 1:
            return False
        if self.total is not None and max(self._seen) >= self.total:
            return True  # counting from 0 does not come that far
        begin = Base64Text().feed(self._waiting[lowest])
        return bool(_FILE_BEGINS.match(begin)) or (lowest + 1 in self._waiting and bool(_FRAME_BEGINS.match(begin)))

    def _release(self) -> bytes:
        parts = []
        while self._next is not None and self._next in self._waiting:
            text = self._waiting.pop(self._next)
            self._size -= len(text)
            self._next += 1
            self._released += 1
            parts.append(self._text.feed(text))
        return b"".join(parts)
