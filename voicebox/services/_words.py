"""Text that comes in numbered pieces: in any order, each an addition or, as some services have it, the whole so far."""


class Words:
    """The text of one generation."""

    def __init__(self, generation: str = "") -> None:
        self.generation = generation
        self.complete = False
        self._pieces: dict[int, str] = {}  # every piece that came, by its number
        self._next: int | None = None  # the number that continues what was given out; None: nothing was
        self._grows: bool | None = None  # each piece is the whole so far; None: not to be told yet
        self._told = ""

    @property
    def begun(self) -> bool:
        return bool(self._pieces)

    @property
    def waiting(self) -> bool:
        """Pieces have come that do not continue the text."""
        return any(index >= (self._next or 0) for index in self._pieces)

    def whole(self) -> str:
        """All that has come, in order."""
        if self._grows:
            return max(self._pieces.items())[1]
        return "".join(piece for _, piece in sorted(self._pieces.items()))

    def add(self, content: str, index: int | None, *, final: bool) -> str:
        """A piece came; returns what can be added to the text now. A last piece that says all of it again adds
        nothing."""
        number = max(self._pieces, default=-1) + 1 if index is None else max(0, index)
        if number in self._pieces and self._pieces[number] != content:
            number = max(self._pieces) + 1  # numbers that do not count
        if not (final and self._pieces and content in ("", self.whole())):
            self._pieces[number] = content
        self.complete = final
        if self._next is None and number <= 1:  # services count from 0 or from 1
            self._next = number
        return self.flush() if final else self._in_order()

    def flush(self) -> str:
        """What waits is waited for no longer: all that has come, whatever lacks in between."""
        text = ""
        while self.waiting:
            self._next = min(index for index in self._pieces if index >= (self._next or 0))
            text += self._in_order()
        return text

    def _in_order(self) -> str:
        text = ""
        while self._next is not None and self._next in self._pieces:
            text += self._addition(self._pieces[self._next])
            self._next += 1
        return text

    def _addition(self, piece: str) -> str:
        if self._told and self._grows is None:
            self._grows = piece.startswith(self._told) and piece != self._told
        new = piece.removeprefix(self._told) if self._grows else piece
        self._told = piece if self._grows else self._told + piece
        return new
