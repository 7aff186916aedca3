"""The one utterance in flight and the reply to it, on a wire that names neither: whatever comes answers that."""

from collections.abc import Sequence
from dataclasses import dataclass

from voicebox.core.events import Category, ReplyDone, ReplyStarted, ReplyText, ServiceError, SessionWarning
from voicebox.services._chunks import Chunks
from voicebox.services.base import Effect, Later, Sound

TIMEOUT = 30.0  # seconds without any sign of the reply
END_GRACE = 2.0  # … once all its pieces have come, and only its end has not
KEY = "answer"  # of the Later effects


@dataclass(slots=True)
class _Turn:
    """An utterance and its reply; or a reply nobody asked for."""

    conversation: int = 0
    reply_id: int = 0  # 0: has not begun
    dead: bool = False  # was cut here
    mute: bool = False  # its words cannot be spoken
    worded: bool = False
    chunks: Chunks | None = None  # its sound has begun


class InFlight:
    """One instance lives as long as the adapter, so that ids only rise."""

    def __init__(self) -> None:
        self.newest = 0  # reply id
        self.dropped_bytes = 0  # late sound of dead replies, never handed on
        self.duplicates = 0
        self._base: int | None = None  # the number from which the service counts pieces
        self.forget()

    def forget(self) -> None:
        """A new connection knows nothing of the last."""
        self._turn: _Turn | None = None
        self._last = _Turn(worded=True)
        self._orphaned = False  # the sound that comes in belongs to a reply that was given up

    @property
    def busy(self) -> bool:
        return self._turn is not None

    @property
    def dead(self) -> bool:
        """What comes in answers something that is no longer wanted."""
        return self._turn is not None and self._turn.dead

    @property
    def begun(self) -> bool:
        """Something of the reply has come."""
        return self._turn is not None and self._turn.reply_id > 0

    @property
    def conversation(self) -> int:
        """What ``sent`` was told of the utterance that is being answered, or was last."""
        return (self._turn or self._last).conversation

    def sent(self, conversation: int) -> Sequence[Effect]:
        """An utterance was sent."""
        self._turn = _Turn(conversation)
        return [Later(TIMEOUT, KEY)]

    def patience(self) -> Sequence[Effect]:
        """There was a sign of life of the reply: the wait begins anew."""
        if self._turn is None:
            return []
        complete = self._turn.chunks is not None and self._turn.chunks.complete
        return [Later(END_GRACE if complete else TIMEOUT, KEY)]

    def words(self, text: str) -> Sequence[Effect]:
        """The reply in words. They may come after its sound, too."""
        turn = self._last if self._turn is None and not self._last.worded else self._wanted()
        effects = self._begin(turn)
        turn.worded = True
        if text:
            effects.append(ReplyText(turn.reply_id, text))
        return [*effects, *(self.over() if turn.mute else self.patience())]

    def stream_begins(self, total: int | None) -> Sequence[Effect]:
        """Sound begins. A dead reply's own begin changes nothing, but the next one belongs to another reply."""
        self._orphaned = False
        if self._turn is not None and self._turn.dead and self._turn.chunks is not None:
            self._close()
        turn = self._wanted()
        effects = [] if turn.dead else [*self._begin(turn), *self._rest(turn)]
        turn.chunks = Chunks(self._base, total)
        return [*effects, *self.patience()]

    def chunk(self, text: str, index: int | None, total: int | None) -> Sequence[Effect]:
        """A piece of the sound, base64."""
        if self._orphaned or self.dead:
            self.dropped_bytes += len(text) * 3 // 4
            return self.patience()
        turn = self._wanted()
        effects = self._begin(turn)
        turn.chunks = turn.chunks or Chunks(self._base)
        sound = turn.chunks.feed(text, index, total)
        self._base = turn.chunks.base
        return [*effects, *([Sound(turn.reply_id, sound)] if sound else []), *self.patience()]

    def stream_ends(self) -> Sequence[Effect]:
        """All sound was sent."""
        if self._orphaned:
            self._orphaned = False
            return []
        return self.over()

    def unspoken(self) -> Sequence[Effect]:
        """The reply has no sound, or no more of it; its words may still come."""
        if self._turn is None or self._turn.dead or self._turn.worded:
            return self.over()
        self._turn.mute = True
        return []

    def over(self) -> Sequence[Effect]:
        """Nothing more comes. A reply that has not begun begins and ends here, so that nobody waits for it."""
        turn = self._turn
        if turn is None:
            return []
        self._close()
        if turn.dead:
            return []
        effects = [*self._begin(turn), *self._rest(turn, last=True)]
        return [*effects, ReplyDone(turn.reply_id)]

    def cancelled(self, reply_id: int) -> None:
        """Replies up to this one were cut here, perhaps before anything of it has come."""
        if self._turn is not None and self._turn.reply_id <= reply_id:
            self._turn.dead = True

    def timed_out(self) -> Sequence[Effect]:
        """Later(KEY) has come."""
        turn = self._turn
        if turn is None:
            return []
        complete = turn.chunks is not None and turn.chunks.complete
        self._orphaned = turn.chunks is not None and not complete
        silent = ServiceError(Category.SERVER, "timeout", f"no reply for {TIMEOUT:.0f} s: please repeat")
        return [*([] if complete or turn.dead else [silent]), *self.over()]

    def unheard(self) -> Sequence[Effect]:
        """What was said will not be answered: a reply without anything in it, unless another is still to come."""
        if self._turn is not None:
            return []
        self._turn = _Turn()
        return self.over()

    def _wanted(self) -> _Turn:
        """The turn that what comes in belongs to; a new one where nobody asked."""
        self._turn = self._turn or _Turn(self._last.conversation)
        return self._turn

    def _begin(self, turn: _Turn) -> list[Effect]:
        if turn.reply_id:
            return []
        self.newest += 1
        turn.reply_id = self.newest
        return [ReplyStarted(self.newest)]

    def _rest(self, turn: _Turn, *, last: bool = False) -> list[Effect]:
        """What can still be heard of the sound so far, and what cannot."""
        if turn.chunks is None:
            return []
        sound, lost = turn.chunks.finish()
        self._base = turn.chunks.base
        self.duplicates += turn.chunks.duplicates
        effects: list[Effect] = [Sound(turn.reply_id, sound, last=last)] if sound or last else []
        if lost or turn.chunks.malformed:
            text = f"{lost + turn.chunks.malformed} pieces of the reply's sound are missing"
            effects.append(SessionWarning("missing_sound", text))
        return effects

    def _close(self) -> None:
        if self._turn is not None:
            self._last, self._turn = self._turn, None
