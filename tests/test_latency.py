"""COM-13, EVI-73: the box knows how long it takes."""

from voicebox.audio.base import Flushed
from voicebox.box import Step
from voicebox.core.commands import Command, Flush, Play
from voicebox.core.events import Event, Interrupted, ReplyAudio, Source, SpeechStopped, Transcript, WakeDetected
from voicebox.core.state import Phase, State
from voicebox.latency import GATE_HANGOVER, Latency


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def step(event: Event, *commands: Command, before: Phase = Phase.LISTENING) -> Step:
    return Step(State(phase=before), event, State(), commands)


def test_com_13_evi_73_each_figure_is_the_time_that_passed() -> None:
    clock = Clock()
    started: list[float] = []
    latency = Latency(clock, lambda: started[-1] if started else None)
    latency.observe(step(WakeDetected("hey_jarvis", 0.9, 0), before=Phase.IDLE), None)
    assert latency.marks == {}
    started.append(100.25)
    clock.now = 102.0
    latency.observe(step(SpeechStopped()), None)
    clock.now = 102.3
    latency.observe(step(Transcript("user", "hello")), None)
    clock.now = 102.9
    latency.observe(step(ReplyAudio(1, b""), Play(1, b"")), None)
    clock.now = 104.0  # neither a cough over the answer nor more of it changes anything
    latency.observe(step(SpeechStopped(), before=Phase.SPEAKING), None)
    latency.observe(step(ReplyAudio(1, b""), Play(1, b"")), None)
    latency.observe(step(Interrupted(1), Flush(1, Source.SERVER)), Flushed(1, 1000, 500, 0.0125))
    said = 102.0 - GATE_HANGOVER
    assert latency.marks == {
        "wake_to_uplink": 250.0,
        "speech_to_text": round((102.3 - said) * 1000, 1),
        "speech_to_sound": round((102.9 - said) * 1000, 1),
        "interrupt_to_silence": 12.5,
    }


def test_com_13_an_interruption_of_nothing_is_no_figure() -> None:
    latency = Latency(Clock(), lambda: None)
    latency.observe(step(Interrupted(0), Flush(0, Source.SERVER)), Flushed(0, 0, 0, 0.0))
    assert latency.marks == {}
