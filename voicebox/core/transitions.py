"""The conversation as one table: (phase, event type) -> rule.

``step(state, event)`` looks the pair up, first among the rules of the present phase, then among those of any phase; a
pair in neither is ignored. A rule names every phase it may lead to, so that tests and the diagram in
docs/state-diagram.md read the same table the box runs on.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from voicebox.core import circumstances, interruptions, moves, rules
from voicebox.core.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ButtonTapped,
    DeviceLost,
    DeviceReady,
    Event,
    HangUp,
    Interrupted,
    MuteChanged,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    ServiceError,
    SessionEnded,
    SessionLost,
    SessionReady,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    StopRequested,
    TextAsked,
    TimerExpired,
    Transcript,
    WakeDetected,
)
from voicebox.core.moves import Outcome
from voicebox.core.state import Phase, State

Handler = Callable[[State, Any], Outcome]


@dataclass(frozen=True, slots=True)
class Rule:
    handler: Handler
    leads_to: tuple[Phase, ...]  # every phase the handler may end in; empty: it never changes the phase


# --- the table -----------------------------------------------------------------------------------------------------

_I, _C, _L, _T, _S = Phase.IDLE, Phase.CONNECTING, Phase.LISTENING, Phase.THINKING, Phase.SPEAKING

TABLE: dict[tuple[Phase, type[Event]], Rule] = {
    # idle: waiting for the wake word or the button
    (_I, WakeDetected): Rule(rules.wake, (_C,)),
    (_I, ButtonPressed): Rule(rules.press_idle, (_C,)),
    (_I, TextAsked): Rule(rules.text_idle, (_C,)),
    (_I, SessionReady): Rule(rules.unwanted, ()),
    (_I, SessionLost): Rule(rules.unwanted, ()),
    (_I, SessionEnded): Rule(circumstances.ended_idle, ()),
    (_I, Interrupted): Rule(interruptions.interrupted_quietly, ()),
    # connecting: the session is on its way, what is said is kept
    (_C, SessionReady): Rule(rules.ready, (_L, _T)),
    (_C, SessionLost): Rule(circumstances.lost_connecting, ()),
    (_C, SessionEnded): Rule(circumstances.ended, (_I,)),
    (_C, TimerExpired): Rule(rules.connect_expired, (_I,)),
    (_C, WakeDetected): Rule(rules.wake_again, ()),
    (_C, TextAsked): Rule(rules.text_connecting, ()),
    (_C, SpeechStarted): Rule(rules.speech_started_connecting, ()),
    (_C, SpeechStopped): Rule(rules.speech_stopped_connecting, ()),
    (_C, ButtonPressed): Rule(rules.press_noted, ()),
    (_C, ButtonTapped): Rule(rules.tap_ends, (_I,)),
    (_C, ButtonHeld): Rule(rules.hold_connecting, ()),
    (_C, ButtonReleased): Rule(rules.release_connecting, ()),
    (_C, Interrupted): Rule(interruptions.interrupted_quietly, ()),
    (_C, MuteChanged): Rule(circumstances.mute, (_I,)),
    (_C, DeviceLost): Rule(circumstances.device_lost, (_I,)),
    # listening: the service hears the microphone
    (_L, SpeechStarted): Rule(rules.speech_started, ()),
    (_L, SpeechStopped): Rule(rules.speech_stopped, (_T,)),
    (_L, TextAsked): Rule(rules.text_listening, (_T,)),
    (_L, WakeDetected): Rule(rules.wake_listening, ()),
    (_L, ButtonPressed): Rule(rules.press_noted, ()),
    (_L, ButtonTapped): Rule(rules.tap_ends, (_I,)),
    (_L, ButtonHeld): Rule(rules.hold_listening, ()),
    (_L, ButtonReleased): Rule(rules.release_listening, (_T,)),
    (_L, TimerExpired): Rule(rules.listen_expired, (_I,)),
    (_L, Transcript): Rule(rules.heard, (_T,)),
    (_L, ReplyStarted): Rule(rules.announced, (_T,)),
    (_L, ReplyText): Rule(rules.announced, (_T,)),
    (_L, ReplyAudio): Rule(rules.audio, (_S, _I)),
    (_L, Interrupted): Rule(interruptions.interrupted_quietly, ()),
    (_L, SessionLost): Rule(circumstances.lost_listening, (_C,)),
    (_L, SessionEnded): Rule(circumstances.ended, (_I,)),
    (_L, MuteChanged): Rule(circumstances.mute, (_I,)),
    (_L, DeviceLost): Rule(circumstances.device_lost, (_I,)),
    # thinking: the service has heard; no sound yet
    (_T, WakeDetected): Rule(interruptions.wake_interrupts, (_L, _I)),
    (_T, ButtonPressed): Rule(interruptions.press_interrupts, (_L, _I)),
    (_T, ButtonTapped): Rule(interruptions.tap_interrupts, (_L, _I)),
    (_T, ButtonHeld): Rule(interruptions.hold_interrupts, (_L, _I)),
    (_T, TextAsked): Rule(interruptions.text_interrupts, ()),
    (_T, TimerExpired): Rule(rules.reply_expired, (_I,)),
    (_T, Transcript): Rule(rules.heard, ()),
    (_T, ReplyStarted): Rule(rules.announced, ()),
    (_T, ReplyText): Rule(rules.announced, ()),
    (_T, ReplyAudio): Rule(rules.audio, (_S, _I)),
    (_T, ReplyDone): Rule(rules.done, (_L, _I)),
    (_T, Interrupted): Rule(interruptions.interrupted, (_L, _I)),
    (_T, SessionLost): Rule(circumstances.lost_listening, (_C, _I)),
    (_T, SessionEnded): Rule(circumstances.ended, (_I,)),
    # speaking: the reply is heard
    (_S, WakeDetected): Rule(interruptions.wake_interrupts, (_L, _C, _I)),
    (_S, ButtonPressed): Rule(interruptions.press_interrupts, (_L, _C, _I)),
    (_S, ButtonTapped): Rule(interruptions.tap_interrupts, (_L, _C, _I)),
    (_S, ButtonHeld): Rule(interruptions.hold_interrupts, (_L, _C, _I)),
    (_S, TextAsked): Rule(interruptions.text_interrupts, (_C, _T)),
    (_S, ReplyStarted): Rule(rules.announced, ()),
    (_S, ReplyText): Rule(rules.announced, ()),
    (_S, ReplyAudio): Rule(rules.audio, ()),
    (_S, ReplyDone): Rule(rules.done, ()),
    (_S, SpeakerDrained): Rule(rules.drained, (_L, _C, _I)),
    (_S, TimerExpired): Rule(interruptions.timer_speaking, (_L, _C, _I)),
    (_S, SpeechStarted): Rule(interruptions.spoken_over, ()),
    (_S, SpeechStopped): Rule(interruptions.spoken_over_no_more, ()),
    (_S, Transcript): Rule(interruptions.words_over, (_L, _C, _I)),
    (_S, Interrupted): Rule(interruptions.interrupted, (_L, _C, _I)),
    (_S, SessionReady): Rule(rules.ready_speaking, ()),
    (_S, SessionLost): Rule(circumstances.lost_speaking, ()),
    (_S, SessionEnded): Rule(circumstances.ended_speaking, (_I,)),
    (_S, DeviceLost): Rule(circumstances.device_lost, (_I,)),
}

ANY_PHASE: dict[type[Event], Rule] = {
    TimerExpired: Rule(moves.fault_timer, ()),
    ServiceError: Rule(circumstances.complaint, ()),
    MuteChanged: Rule(circumstances.mute, ()),
    DeviceLost: Rule(circumstances.device_lost, ()),
    DeviceReady: Rule(circumstances.device_ready, ()),
    HangUp: Rule(rules.end, (_I,)),
    StopRequested: Rule(rules.end, (_I,)),
}


def rule_for(phase: Phase, event_type: type[Event]) -> Rule | None:
    return TABLE.get((phase, event_type)) or ANY_PHASE.get(event_type)


def step(state: State, event: Event) -> Outcome:
    """What becomes of ``state`` when ``event`` happens, and what is to be done about it. Pure."""
    rule = rule_for(state.phase, type(event))
    return rule.handler(state, event) if rule else (state, ())


def arrows() -> Iterable[tuple[Phase, str, Phase]]:
    """Every change of phase the table allows: (from, event name, to)."""
    for (phase, event_type), rule in TABLE.items():
        for target in rule.leads_to:
            yield phase, event_type.__name__, target
    for event_type, rule in ANY_PHASE.items():
        for phase in Phase:
            for target in rule.leads_to:
                if phase is not target and (phase, event_type) not in TABLE:
                    yield phase, event_type.__name__, target
