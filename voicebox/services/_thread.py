"""The conversation that utterances belong to, where the service names it and one can go on with it later."""

from collections.abc import Mapping

from voicebox.services.base import Remember


class Thread:
    """``keep``: under which name its id is kept over restarts; None: not at all."""

    def __init__(self, configured: str, keep: str | None) -> None:
        self.id = configured  # empty: a new one
        self.number = 0  # how often it was changed here; what was asked before says nothing about the present one
        self._keep = keep
        self._recalled = False

    def recall(self, credentials: Mapping[str, str]) -> None:
        """At the first dialling: the one before the restart, unless another is configured."""
        if self._keep and not self._recalled:
            self.id = self.id or credentials.get(self._keep, "")
        self._recalled = True

    def named(self, name: str, number: int) -> list[Remember]:
        """The service has named the one that an utterance of this number belongs to."""
        return self._become(name) if name and number == self.number and name != self.id else []

    def change(self, name: str) -> list[Remember]:
        """Go on with another, or with a new one (empty)."""
        self.number += 1
        return self._become(name)

    def _become(self, name: str) -> list[Remember]:
        self.id = name
        return [Remember(self._keep, name or None)] if self._keep else []
