"""Which reply sound and words belong to, on a wire that names none; and which of them belong to a dead one."""

from collections.abc import Sequence
from enum import Enum, auto

from voicebox.core.events import Interrupted, ReplyAudio, ReplyDone, ReplyStarted
from voicebox.services.base import Effect, Later

RELEASE = 2.0  # seconds without late sound of a dead reply until sound is believed again
RELEASE_UNBORN = 10.0  # … of a reply that was cut before its first sound
KEY = "release"  # of the Later effects


class _Stage(Enum):
    NONE = auto()  # nothing comes in
    COMING = auto()
    ENDED = auto()  # all its words have come; sound may still follow
    DEAD = auto()  # what comes in belongs to a reply that was cut


class Replies:
    """A reply begins with its first words or its first sound, whichever comes first; both belong together. One instance
    lives as long as the adapter, so that ids only rise."""

    def __init__(self) -> None:
        self.newest = 0
        self.dropped_bytes = 0
        self.forget()

    def forget(self) -> None:
        """A new connection knows nothing of the last."""
        self._awaited = False  # the user was understood and no reply has begun since
        self._words: set[str] = set()  # what was said in this reply
        self._close()

    def _close(self) -> None:
        self._stage = _Stage.NONE
        self._sounded = False  # sound of the reply has come
        self._words_due = False  # the dead reply's words have not come yet

    def sound(self, pcm: bytes) -> Sequence[Effect]:
        """Sound came (s16le, whole samples)."""
        if self._stage is _Stage.DEAD:
            self.dropped_bytes += len(pcm)
            return [Later(RELEASE, KEY)]
        if not pcm:
            return []
        started = self._begin() if self._stage is _Stage.NONE else []
        self._sounded = True
        return [*started, ReplyAudio(self.newest, pcm)]

    def words(self, text: str) -> Sequence[Effect] | None:
        """Words came. None: they were shown before, or are a dead reply's, which they do not bring back to life."""
        if self._stage is not _Stage.NONE and text in self._words:
            return None
        if self._stage is _Stage.DEAD:
            if self._words_due:
                self._words_due = False
                self._words.add(text)
                return None
            self.release()
        started = [] if self._stage is _Stage.COMING else self._begin()  # words after the end begin the next
        self._words.add(text)
        return started

    def end(self) -> Sequence[Effect]:
        """The service says that the reply is complete."""
        if self._stage is _Stage.DEAD:
            self._words_due = False
            return [Later(RELEASE, KEY)]
        if self._stage is not _Stage.COMING:
            return []
        self._stage = _Stage.ENDED
        return [ReplyDone(self.newest)]

    def user_understood(self) -> None:
        """What comes next answers this; a reply that is still coming in goes on."""
        if self._stage is not _Stage.COMING:
            self._close()
        self._awaited = True

    def interrupted(self) -> Sequence[Effect]:
        """The service cut its reply."""
        self._kill(words_due=False)
        return [Interrupted(self.newest), Later(RELEASE, KEY)]

    def cancelled(self) -> Sequence[Effect]:
        """The reply was cut here, perhaps before anything of it has come."""
        if self._stage is _Stage.NONE and not self._awaited:
            return []
        wait = RELEASE if self._sounded else RELEASE_UNBORN
        self._kill(words_due=True)
        return [Later(wait, KEY)]

    def release(self) -> Sequence[Effect]:
        """What comes in from now on is believed again."""
        if self._stage is _Stage.DEAD:
            self._close()
        return []

    def _begin(self) -> list[Effect]:
        self.newest += 1
        self._stage = _Stage.COMING
        self._sounded = self._awaited = False
        self._words.clear()
        return [ReplyStarted(self.newest)]

    def _kill(self, *, words_due: bool) -> None:
        """``words_due``: of a reply that has not begun, words are still to be expected."""
        if self._stage is _Stage.DEAD:
            return
        if self._stage is _Stage.NONE:
            self._words.clear()
            self._words_due = words_due
        else:
            self._words_due = self._stage is _Stage.COMING and not self._words
        self._stage = _Stage.DEAD
        self._awaited = False
