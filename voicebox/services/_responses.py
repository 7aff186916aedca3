"""Which reply sound and words belong to, on a wire where words may carry a response id, sound carries none, and nobody
says when a reply ends or is cut."""

from collections.abc import Sequence
from enum import Enum, auto

from voicebox.core.events import Interrupted, ReplyAudio, ReplyDone, ReplyStarted
from voicebox.services.base import Effect, Later

GAP = 0.6  # seconds without sound that end a reply
SOUNDLESS = 5.0  # … that has had none yet
KEY = "gap"  # of the Later effects

_REMEMBERED = 256  # response ids


class _Stage(Enum):
    NONE = auto()  # nothing has come since the user spoke
    COMING = auto()
    ENDED = auto()  # words may still follow; sound would be the next reply's
    DEAD = auto()  # what comes belongs to a reply that was cut


class Responses:
    """A reply begins with its first words or its first sound. It ends after a gap. What was cut stays dead until the
    user is understood anew or words carry a response id that nobody has seen: no time is long enough, servers may take
    any. One instance lives as long as the adapter, so that ids only rise."""

    def __init__(self) -> None:
        self.newest = 0
        self.dropped_bytes = 0
        self.sound_bytes = 0  # of the newest reply
        self.forget()

    def forget(self) -> None:
        """A new connection knows nothing of the last."""
        self._stage = _Stage.NONE
        self._awaited = False  # the user was understood and no reply has begun since
        self._worded = False  # words of the newest reply have come
        self._named = False  # … and carried its response id
        self._ids: dict[str, int] = {}  # response id -> reply id, 0 for one that was cut before it began
        self._floor = self.newest

    def sound(self, pcm: bytes) -> Sequence[Effect]:
        """Sound came (s16le, whole samples)."""
        if self._stage is _Stage.DEAD:
            self.dropped_bytes += len(pcm)
            return []
        if not pcm:
            return []
        started = [] if self._stage is _Stage.COMING else self._begin()
        self.sound_bytes += len(pcm)
        return [*started, ReplyAudio(self.newest, pcm), Later(GAP, KEY)]

    def words(self, response_id: str) -> tuple[int, Sequence[Effect]] | None:
        """Words came: the reply they belong to. None: it is dead."""
        if response_id in self._ids:
            reply = self._ids[response_id]
            return None if reply <= self._floor else (reply, [])
        started: list[Effect] = []
        if not self._belongs_to_the_newest(response_id):
            started = [*self.end(), *self._begin(), Later(SOUNDLESS, KEY)]
        self.name(response_id)
        self._worded = True
        return None if self._stage is _Stage.DEAD else (self.newest, started)

    def name(self, response_id: str) -> None:
        """This is the id of the newest reply, if it has none yet."""
        if not response_id or self._named or self._stage is _Stage.NONE:
            return
        self._named = True
        self._ids[response_id] = 0 if self._stage is _Stage.DEAD else self.newest
        if len(self._ids) > _REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def _belongs_to_the_newest(self, response_id: str) -> bool:
        """Words with an id not seen before, or with none."""
        if self._stage is _Stage.NONE:
            return False
        if self._stage is _Stage.ENDED and not response_id:
            return not self._worded
        return not (self._named and response_id)

    def end(self) -> Sequence[Effect]:
        """The gap is over, or the next reply begins."""
        if self._stage is not _Stage.COMING:
            return []
        self._stage = _Stage.ENDED
        return [ReplyDone(self.newest)]

    def user_understood(self) -> None:
        """What comes next answers this; a reply that is still coming in goes on."""
        if self._stage is not _Stage.COMING:
            self._stage = _Stage.NONE
            self._awaited = True

    def interrupted(self) -> Sequence[Effect]:
        """The user was understood in the middle of the newest reply: it is dead, and the next is on its way."""
        self._floor = self.newest
        self._stage = _Stage.NONE
        self._awaited = True
        return [Interrupted(self.newest)]

    def cancelled(self) -> None:
        """The reply was cut here, perhaps before anything of it has come."""
        if self._stage is _Stage.NONE:
            if not self._awaited:
                return
            self._named = False
        self._floor = self.newest
        self._stage = _Stage.DEAD
        self._awaited = False

    def _begin(self) -> list[Effect]:
        self.newest += 1
        self._stage = _Stage.COMING
        self._awaited = self._worded = self._named = False
        self.sound_bytes = 0
        return [ReplyStarted(self.newest)]
