"""What a light promises."""

from typing import Protocol

from voicebox.core.scenes import Scene


class Light(Protocol):
    """Shows scenes. All methods are called on the event loop's thread and return at once."""

    def show(self, scene: Scene) -> None:
        """Begin to show ``scene``; showing the present one again changes nothing."""

    def close(self) -> None:
        """Dark, and the pins given back. Safe to call twice."""
