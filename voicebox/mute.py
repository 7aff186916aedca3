"""Whether the microphone is off: because somebody said so, or because the mute switch says so, which wins."""

from collections.abc import Callable
from pathlib import Path

from voicebox import statefile
from voicebox.core.events import Event, MuteChanged
from voicebox.errors import VoiceboxError

FILE = "muted"
"""Its name in the state directory. Holds what somebody said, not what the switch says."""


class Mute:
    """A muted box stays muted through a restart."""

    def __init__(self, path: Path, dispatch: Callable[[Event], None]) -> None:
        self._path = path
        self._dispatch = dispatch
        self._wanted = bool(statefile.read(path).strip())
        self._switched = False

    @property
    def muted(self) -> bool:
        return self._wanted or self._switched

    def start(self) -> None:
        """Tell the core what was kept."""
        if self.muted:
            self._dispatch(MuteChanged(muted=True))

    def set(self, muted: bool) -> None:
        """Somebody says so. Raises VoiceboxError where the switch forbids it."""
        if self._switched and not muted:
            raise VoiceboxError("the mute switch on the box is set: only there can it be unmuted")
        if muted is not self._wanted:
            statefile.write(self._path, "muted\n" if muted else "")
        self._change(wanted=muted, switched=self._switched)

    def toggle(self) -> None:
        """Raises VoiceboxError where the switch forbids it."""
        self.set(not self.muted)

    def switch(self, closed: bool) -> None:
        """The switch says so."""
        self._change(wanted=self._wanted, switched=closed)

    def lose_switch(self) -> None:
        """The switch can be read no more: what it said last holds until somebody says otherwise."""
        if self._switched:
            self.set(True)
        self.switch(False)

    def _change(self, *, wanted: bool, switched: bool) -> None:
        before = self.muted
        self._wanted, self._switched = wanted, switched
        if self.muted is not before:
            self._dispatch(MuteChanged(self.muted))
