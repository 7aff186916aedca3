"""What every audio back-end promises. The contract tests in tests/contract/test_audio*.py hold each back-end to it.

Capture is s16le mono at 16 kHz in blocks of 20 ms; playback is s16le mono at 24 kHz. All methods are called on the
event loop's thread and return at once, except the coroutines; all callbacks are made on the event loop's thread.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

CAPTURE_RATE = 16_000
PLAYBACK_RATE = 24_000
BLOCK = 320
"""Samples in one capture block: 20 ms."""
MAX_BUFFERED = 120.0
"""Seconds of reply a speaker holds before ``room`` is false; what is played beyond that is still kept."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of microphone audio. ``position`` counts samples since capture first began and never goes back: where
    audio was lost (overrun, card gone) it jumps by about what is missing. ``captured_at``: when the microphone heard
    its first sample, in seconds of the clock that also says when the speaker's samples are heard."""

    position: int
    pcm: bytes = field(repr=False)  # BLOCK samples
    captured_at: float


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush threw away. ``latency`` is how many seconds of sound the card may still hold, the fade included."""

    reply_id: int  # the reply that was being heard, 0 if none
    played: int  # samples of it heard so far
    discarded: int  # samples dropped, of all replies flushed
    latency: float


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One usable sound device, as ``voicebox devices`` lists it; any of ``name`` and ``aliases`` may be configured."""

    name: str
    inputs: int  # channels
    outputs: int
    rate: int  # the card's own rate in Hz
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Handlers:
    """Where a back-end reports; each is called on the event loop's thread."""

    block: Callable[[Block], None]
    drained: Callable[[int], None]  # reply id whose last sample the card has played, after ``finish``
    lost: Callable[[str, str], None]  # "microphone" or "speaker", and why in words for the owner
    ready: Callable[[str], None]  # "microphone" or "speaker" works (again); the microphone only once a block came
    heard: Callable[[bytes, int, float], None] | None = None
    """Told, on the card's own thread, everything the speaker's card is given, silence included, as it is given it:
    s16le mono, its rate in Hz, and when its first sample is heard (see ``Block.captured_at``)."""


class Speaker(Protocol):
    """Plays replies one after another, gapless, in the order given."""

    def play(self, reply_id: int, pcm: bytes) -> None:
        """Queue s16le mono 24 kHz audio of a reply. Ids at or below the last flush's floor are dropped."""

    def finish(self, reply_id: int) -> None:
        """No more of this reply will come: call ``drained(reply_id)`` once the card has played all of it.

        If it is already silent, ``drained`` follows at once (but never from within this call).
        """

    def flush(self, floor: int) -> Flushed:
        """Fall silent: fade over a few ms, drop everything queued of replies up to ``floor``; newer replies go on.

        Never blocks. No ``drained`` follows for a flushed reply. At most 20 ms are heard after the call.
        """

    def hold(self) -> None:
        """Fall silent: fade over a few ms, and keep everything queued. Until ``resume`` nothing is lost, ``playing``
        stands still and nothing is ``drained``; what is played meanwhile waits behind. Newest call wins."""

    def resume(self) -> None:
        """End a hold: fade in, with exactly the next sample. A ``flush`` ends it too; then living replies go on."""

    def duck(self, on: bool) -> None:
        """Replies 12 dB softer, or as loud as before, within 20 ms. Stays until told otherwise, through flushes."""

    def set_volume(self, level: float) -> None:
        """How loud everything is, from 0 (silence) to 1 (as it comes), as people hear it; within 20 ms, and without a
        click also while something sounds."""

    def notify(self, pcm: bytes) -> None:
        """A short sound of our own (s16le mono 24 kHz), heard at once and over replies. It belongs to none: no flush or
        hold cuts it, no ducking softens it, it does not delay ``drained`` nor is it reported there. The sound before it
        fades within a few ms, for an empty one too."""

    @property
    def buffered(self) -> float:
        """Seconds of sound not yet handed to the card."""

    @property
    def playing(self) -> tuple[int, int]:
        """(reply id being heard, samples of it heard so far) by the card's own clock; (0, 0) when silent."""

    @property
    def dry(self) -> float:
        """Seconds for which there has been silence in mid-reply, as no more of it came; 0 while it sounds or is held,
        and once it is finished."""

    @property
    def underruns(self) -> int:
        """How often the card wanted sound in mid-reply and there was none."""


class Backend(Protocol):
    """A microphone and a speaker with one owner. Survives its cards: a lost card is re-opened with back-off."""

    @property
    def speaker(self) -> Speaker: ...

    @property
    def mixer(self) -> str | None:
        """ALSA's name of the device that has the speaker's mixer ("hw:Headphones", "default"); None: there is none, or
        the speaker has not been opened yet."""

    async def start(self, handlers: Handlers) -> None:
        """Open the devices and begin to capture. Raises ConfigError if a configured device name matches nothing that
        could ever appear; a card that is merely missing is reported through ``lost`` and awaited."""

    async def stop(self) -> None:
        """Close everything within 1 s; no callback comes after it. Safe to call twice and before ``start``."""

    def capture(self, on: bool) -> None:
        """Close the microphone's device (False), or open it again: ``ready`` follows, or ``lost``,
        but never from within this call. Before ``start`` it
        says whether the microphone is to be opened at all. Once this has closed it no block is delivered, and ``lost``
        is not called for it."""

    def wait_for(self, position: int) -> None:
        """No microphone block before this position is needed: up to four may come together, with the one that reaches
        it. 0: each is needed at once, and those that waited with the next."""

    def trouble(self) -> str | None:
        """What only a new process can mend, for the owner; None: nothing of the kind."""

    @property
    def position(self) -> int:
        """Microphone position now: the end of the newest block; while there are none it goes on by the clock."""
