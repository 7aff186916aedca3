"""What the lights should say. ``scene`` is derived from the state and nothing else: fault over mute over phase.
``flash`` is what passes: derived from one step, shown once, over by itself."""

from enum import StrEnum

from voicebox.core.events import ButtonPressed, Event, TimerExpired, WakeDetected
from voicebox.core.state import Fault, Phase, State


class Scene(StrEnum):
    STARTING = "starting"  # before the first state: shown by the app itself
    IDLE = "idle"
    WAKE = "wake"  # the wake word or the button was noticed: passes
    CONNECTING = "connecting"
    LISTENING = "listening"
    FOLLOW_UP = "follow_up"  # listening after an answer: no wake word needed
    THINKING = "thinking"
    SPEAKING = "speaking"
    HEARD_NOTHING = "heard_nothing"  # it ended because nobody spoke: passes
    MUTED = "muted"
    TROUBLE = "trouble"  # no reply, busy: passes by its deadline in the core
    NO_MICROPHONE = "no_microphone"
    NO_SPEAKER = "no_speaker"
    REFUSED = "refused"
    OFFLINE = "offline"
    CLOCK_NOT_SET = "clock_not_set"
    USED_UP = "used_up"
    UPDATE_NEEDED = "update_needed"
    LAST_GOOD_CONFIG = "last_good_config"  # the new configuration was rejected: the box runs on the one before
    UPDATING = "updating"  # asked for over the control socket


ONCE = frozenset({Scene.WAKE, Scene.HEARD_NOTHING})
"""The scenes that pass: shown once, from their beginning, by ``flash``."""

_FAULTS = {
    Fault.NO_MICROPHONE: Scene.NO_MICROPHONE,
    Fault.NO_SPEAKER: Scene.NO_SPEAKER,
    Fault.REFUSED: Scene.REFUSED,
    Fault.OFFLINE: Scene.OFFLINE,
    Fault.NO_REPLY: Scene.TROUBLE,
    Fault.BUSY: Scene.TROUBLE,
    Fault.USED_UP: Scene.USED_UP,
    Fault.CLOCK_WRONG: Scene.CLOCK_NOT_SET,
    Fault.UPDATE_NEEDED: Scene.UPDATE_NEEDED,
}

_PHASES = {
    Phase.IDLE: Scene.IDLE,
    Phase.CONNECTING: Scene.CONNECTING,
    Phase.LISTENING: Scene.LISTENING,
    Phase.THINKING: Scene.THINKING,
    Phase.SPEAKING: Scene.SPEAKING,
}


def scene(state: State) -> Scene:
    if state.fault is not None:
        return _FAULTS[state.fault]
    if state.muted and state.phase is Phase.IDLE:
        return Scene.MUTED
    if state.follow_up and state.phase is Phase.LISTENING:
        return Scene.FOLLOW_UP
    return _PHASES[state.phase]


def flash(before: State, event: Event, after: State) -> Scene | None:
    """The passing scene that this step shows before the scene of the state it led to; None: none."""
    began = isinstance(event, ButtonPressed) and before.phase is Phase.IDLE and after.phase is not Phase.IDLE
    if began or (isinstance(event, WakeDetected) and after.phase is not Phase.IDLE):
        return Scene.WAKE
    nobody_spoke = before.phase is Phase.LISTENING and not before.follow_up  # after an answer nobody need
    gave_up = isinstance(event, TimerExpired) and after.phase is Phase.IDLE
    return Scene.HEARD_NOTHING if nobody_spoke and gave_up else None
