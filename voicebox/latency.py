"""How long the box takes, as its owner feels it: to the first audio on its way, to the first words and the first sound
of the answer, and to silence when it is interrupted."""

from collections.abc import Callable

from voicebox.audio.base import Flushed
from voicebox.box import Step
from voicebox.core.commands import Flush, Play
from voicebox.core.events import ButtonPressed, ReplyText, SpeechStopped, TextAsked, Transcript, WakeDetected
from voicebox.core.state import Phase

GATE_HANGOVER = 0.5
"""Seconds of quiet after which SpeechStopped comes; the speech ended that long before."""


class Latency:
    """Observes the box. ``marks`` holds the newest figure of each kind, in milliseconds:

    wake_to_uplink    wake word recognised, or button pressed, to the first audio handed to the session
    speech_to_text    end of speech, as the device heard it, to the first words of service or user
    speech_to_sound   … to the first sound handed to the speaker
    interrupt_to_silence  interruption to the last sample of the dead reply, by the card's clock
    """

    def __init__(self, clock: Callable[[], float], uplink_started: Callable[[], float | None]) -> None:
        """``uplink_started``: when the present stretch of uplink audio began to leave (``clock``), None: not yet."""
        self.marks: dict[str, float] = {}
        self._clock = clock
        self._uplink_started = uplink_started
        self._woken: float | None = None
        self._spoken: float | None = None
        self._open: set[str] = set()  # figures still to come for the last thing said

    def observe(self, step: Step, flushed: Flushed | None) -> None:
        """After each step of the box; ``flushed``: what its newest flush did."""
        now = self._clock()
        self._note_uplink()
        match step.event:
            case WakeDetected() | ButtonPressed() if step.before.phase is Phase.IDLE:
                self._woken = now
            case SpeechStopped() if step.before.phase is not Phase.SPEAKING:  # a cough over an answer asks nothing
                self._asked(now - GATE_HANGOVER)
            case TextAsked():
                self._asked(now)
            case Transcript() | ReplyText():
                self._answer("speech_to_text", now)
        for command in step.commands:
            if isinstance(command, Play):
                self._answer("speech_to_sound", now)
            if isinstance(command, Flush) and command.source is not None and flushed is not None and flushed.reply_id:
                self.marks["interrupt_to_silence"] = round(flushed.latency * 1000, 1)

    def _asked(self, at: float) -> None:
        self._spoken = at
        self._open = {"speech_to_text", "speech_to_sound"}

    def _answer(self, name: str, now: float) -> None:
        if name in self._open and self._spoken is not None:
            self._open.discard(name)
            self.marks[name] = round(max(0.0, now - self._spoken) * 1000, 1)

    def _note_uplink(self) -> None:
        started = self._uplink_started()
        if self._woken is not None and started is not None and started >= self._woken:
            self.marks["wake_to_uplink"] = round((started - self._woken) * 1000, 1)
            self._woken = None
