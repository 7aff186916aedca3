"""What the simulator answers. A brain is one class in the table at the end."""

from dataclasses import dataclass, field
from itertools import cycle
from typing import ClassVar, Protocol

import numpy as np

from voicebox.assets import RATE, speech
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import from_bytes, resample, to_bytes
from voicebox.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Heard:
    """One turn of the user: speech (s16le mono 16 kHz), or text and no sound."""

    text: str
    pcm: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to it: s16le mono 24 kHz."""

    text: str
    pcm: bytes = field(repr=False)


class Brain(Protocol):
    """Thinks of answers. One brain serves all connections of a simulator."""

    NAME: ClassVar[str]
    DESCRIPTION: ClassVar[str]

    def answer(self, heard: Heard) -> Answer: ...


class Parrot:
    """Cannot read aloud, so written turns get a chirp."""

    NAME: ClassVar[str] = "parrot"
    DESCRIPTION: ClassVar[str] = "says back exactly what it heard"

    def answer(self, heard: Heard) -> Answer:
        samples = resample(from_bytes(heard.pcm), CAPTURE_RATE, PLAYBACK_RATE)
        return Answer(heard.text, to_bytes(samples) if heard.pcm else chirp())


class Talker:
    """Does not listen: its answers are the long ones that ship with voicebox, in turn."""

    NAME: ClassVar[str] = "talker"
    DESCRIPTION: ClassVar[str] = "gives long spoken answers, so that one can interrupt it"

    def __init__(self) -> None:
        self._answers = cycle(
            (
                ("answer", "It is a quarter past nine in the evening. While you are here, …"),
                ("answer2", "Tomorrow will be mostly sunny, with a light wind from the west. …"),
            )
        )

    def answer(self, heard: Heard) -> Answer:  # noqa: ARG002  # see above
        name, text = next(self._answers)
        return Answer(text, to_bytes(resample(speech(name), RATE, PLAYBACK_RATE)))


_KINDS: tuple[type[Brain], ...] = (Parrot, Talker)
BRAINS = {kind.NAME: kind for kind in _KINDS}


def find_brain(name: str) -> Brain:
    """A new brain of this kind. Raises ConfigError, listing those there are."""
    if name not in BRAINS:
        raise ConfigError(f"the simulator has no brain called {name!r}; it has: {', '.join(BRAINS)}")
    return BRAINS[name]()


def chirp(seconds: float = 0.4) -> bytes:
    """A soft rising tone, s16le mono 24 kHz."""
    time = np.arange(round(seconds * PLAYBACK_RATE)) / PLAYBACK_RATE
    tone = np.sin(2 * np.pi * (600 + 500 * time) * time) * np.sin(np.pi * time / seconds)
    return (8000 * tone).astype("<i2").tobytes()
