"""What happened last, in words for the status page; nothing of what was said."""

from collections import deque
from collections.abc import Callable

from voicebox.box import Step
from voicebox.core.commands import Flush
from voicebox.core.events import ButtonPressed, MuteChanged, Source, SpeakerDrained, TextAsked, WakeDetected
from voicebox.core.state import Phase

KEPT = 6
_WHO = {
    Source.SERVER: "the service",
    Source.WAKE_WORD: "the wake word",
    Source.BUTTON: "the button",
    Source.SPEECH: "somebody who spoke",
    Source.TEXT: "a question in writing",
}


class Recent:
    """``clock`` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._happened: deque[tuple[float, str]] = deque(maxlen=KEPT)

    @property
    def age(self) -> float:
        """Seconds since the box was put together."""
        return self._clock() - self._began

    def told(self) -> list[dict[str, object]]:
        """The newest last: how many seconds ago (``ago_s``), and ``what``."""
        now = self._clock()
        return [{"ago_s": round(now - at), "what": what} for at, what in self._happened]

    def note(self, step: Step) -> None:
        """An observer of the box."""
        for what in _words(step):
            self._happened.append((self._clock(), what))


def _words(step: Step) -> list[str]:
    before, event, after = step.before, step.event, step.after
    said = []
    began = before.phase is Phase.IDLE and after.phase is not Phase.IDLE
    if isinstance(event, WakeDetected) and after.phase is not Phase.IDLE:
        said.append(f'heard "{event.model.replace("_", " ")}" ({event.score:.2f})')
    elif began and isinstance(event, ButtonPressed):
        said.append("the button was pressed")
    elif began and isinstance(event, TextAsked):
        said.append("was asked in writing")
    cuts = [c.source for c in step.commands if isinstance(c, Flush) and c.source is not None]
    if cuts:
        said.append(f"an answer was interrupted by {_WHO[cuts[0]]}")
    elif isinstance(event, SpeakerDrained) and before.phase is Phase.SPEAKING:
        said.append("an answer was heard to its end")
    if before.fault is not after.fault:
        said.append(f"trouble: {after.fault}" if after.fault else f"over: {before.fault}")
    if isinstance(event, MuteChanged) and before.muted is not after.muted:
        said.append("muted" if after.muted else "unmuted")
    return said
