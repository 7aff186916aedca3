"""Which reply words and sound belong to, on a wire where words name their generation and sound names nothing; and which
of them belong to a dead one. Nothing says that a reply is complete: silence does."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

from voicebox.core.events import Interrupted, ReplyDone, ReplyStarted, ReplyText, Transcript
from voicebox.services._words import Words
from voicebox.services.base import Effect, Later

GAP = 0.6  # seconds without sound, when what came can have been heard, until a reply is taken for complete
PATIENCE = 3.0  # … while its words still come
LONGEST = 5.0  # seconds of sound that are waited for
QUIET = 0.3  # seconds without late sound of a reply that the service cut until sound is believed again
QUIET_HERE = 2.0  # … of a reply that was cut here: the service may not know
QUIET_UNBORN = 10.0  # … before anything of it had come
HOLD = 0.3  # seconds that words wait for those before them


class _Stage(Enum):
    NONE = auto()  # nothing comes in
    COMING = auto()
    DEAD = auto()  # what comes in belongs to a reply that was cut


class Replies:
    """A reply begins with the first words of a new generation or with its first sound. One instance lives as long as
    the adapter, so that ids only rise. Give ``expired`` the keys of the Later effects."""

    def __init__(self) -> None:
        self.newest = 0
        self.dropped_bytes = 0
        self.forget()

    def forget(self) -> None:
        """A new connection knows nothing of the last."""
        self._stage = _Stage.NONE
        self._words = Words()
        self._dead: deque[str] = deque(maxlen=16)  # generations
        self._nameless = False  # words of the dead reply are to come, and nobody knows what it is called
        self._awaited = False  # the user was understood and no reply has begun since
        self._sounded = self._patient = False
        self._quiet = QUIET

    def words(self, generation: str, content: str, index: int | None, *, final: bool) -> Sequence[Effect]:
        if self._are_dead(generation, final=final):
            return []
        started = self._follow(generation)
        if self._words.complete:
            return started
        new = self._words.add(content, index, final=final)
        effects: list[Effect] = [*started, *self._text(new)]
        if self._words.waiting:
            effects.append(Later(HOLD, "words"))
        if final:
            effects.append(
                Transcript(
                    "assistant", self._words.whole(), details={"generation_id": generation} if generation else {}
                )
            )
            effects += [Later(GAP, "gap")] if self._patient else []
        return effects

    def sound(self, size: int, seconds: float, make: Callable[[int], Effect]) -> Sequence[Effect]:
        """Sound came; ``make`` puts it into an effect for the reply it belongs to."""
        if self._stage is _Stage.DEAD:
            self.dropped_bytes += size
            return [Later(self._quiet, "release")]
        started = self._begin(self._words) if self._stage is _Stage.NONE else []
        self._sounded, self._patient = True, False
        return [*started, make(self.newest), Later(GAP + min(seconds, LONGEST), "gap")]

    def end(self) -> Sequence[Effect]:
        """The service says that this was the last of the sound."""
        if self._stage is not _Stage.COMING:
            return []
        self._stage = _Stage.NONE
        return [ReplyDone(self.newest)]

    def turn_over(self) -> None:
        """The user was understood: what comes next answers this; a reply that is still coming in goes on."""
        if self._stage is _Stage.DEAD:
            self._release()
        self._awaited = True

    def interrupted(self) -> Sequence[Effect]:
        """The service cut its reply."""
        self._kill(QUIET)
        self._nameless = False
        return [Interrupted(self.newest), Later(QUIET, "release")]

    def cancelled(self) -> Sequence[Effect]:
        """The reply was cut here, perhaps before anything of it has come."""
        if self._stage is _Stage.DEAD:
            return []
        unborn = self._stage is _Stage.NONE and self._awaited
        due = unborn or (self._stage is _Stage.COMING and not self._words.begun)
        self._kill(QUIET_UNBORN if unborn else QUIET_HERE)
        self._nameless = due
        return [Later(self._quiet, "release")]

    def expired(self, key: str) -> Sequence[Effect]:
        if key == "words" and self._stage is not _Stage.DEAD:
            return self._text(self._words.flush())
        if key == "gap":
            return self._gap()
        if key == "release" and self._stage is _Stage.DEAD:
            self._release()
        return []

    def _text(self, new: str) -> Sequence[Effect]:
        return [ReplyText(self.newest, new)] if new else []

    def _are_dead(self, generation: str, *, final: bool) -> bool:
        """Whether these words are a dead reply's. Others than those to be expected bring sound back to life."""
        if generation and generation in self._dead:
            return True
        if self._stage is not _Stage.DEAD:
            return False
        if self._nameless:
            self._nameless = not generation and not final
            self._bury(generation)
            return True
        if not generation and not self._words.complete and not self._words.generation and self._words.begun:
            self._words.complete = final
            return True  # without names, these go on where the dead reply was cut
        self._release()
        return False

    def _follow(self, generation: str) -> list[Effect]:
        """Turn to the words of this generation: of the reply that comes, or of a new one."""
        same = generation == self._words.generation and not (self._words.complete and not generation)
        if same and self._words.begun:
            return []
        adopts = self._stage is _Stage.COMING and not self._words.begun  # its sound came first
        ended = self.end() if not adopts else []
        if adopts:
            self._words = Words(generation)
            return []
        return [*ended, *self._begin(Words(generation))]

    def _begin(self, words: Words) -> list[Effect]:
        self.newest += 1
        self._stage = _Stage.COMING
        self._words = words if not words.begun else Words()
        self._sounded = self._patient = self._awaited = False
        return [ReplyStarted(self.newest)]

    def _kill(self, quiet: float) -> None:
        self._bury(self._words.generation)
        self._stage = _Stage.DEAD
        self._quiet = quiet
        self._awaited = False

    def _bury(self, generation: str) -> None:
        if generation and generation not in self._dead:
            self._dead.append(generation)

    def _release(self) -> None:
        self._stage = _Stage.NONE
        self._nameless = False
        self._words = Words()

    def _gap(self) -> Sequence[Effect]:
        if self._stage is not _Stage.COMING or not self._sounded:
            return []
        if self._words.begun and not self._words.complete and not self._patient:
            self._patient = True
            return [Later(PATIENCE, "gap")]
        return self.end()
