"""Keeps what must not be seen out of what a service says: it may quote our own credentials back at us."""

from collections.abc import Collection, Mapping
from typing import Any

from voicebox.redact import redact, remember


class Private:
    """``keys``: of the messages whose values are nobody's business."""

    def __init__(self, keys: Collection[str]) -> None:
        self._keys = frozenset(keys)
        self._secrets: set[str] = set()

    def add(self, *secrets: str) -> None:
        """Known from now on, here and in whatever is written anywhere."""
        for secret in filter(None, secrets):
            self._secrets.add(secret)
            remember(secret)

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redact(text)

    def scrub(self, message: Mapping[str, Any]) -> dict[str, Any]:
        return {self.clean(key): self._scrub(value, private=key in self._keys) for key, value in message.items()}

    def _scrub(self, value: object, *, private: bool) -> object:
        if isinstance(value, dict):
            return self.scrub(value)
        if isinstance(value, list):
            return [self._scrub(item, private=private) for item in value]
        if private:
            return "***"
        return self.clean(value) if isinstance(value, str) else value
