"""What the lights should say, derived from the state and nothing else: fault over mute over phase."""

from enum import StrEnum

from voicebox.core.state import Fault, Phase, State


class Scene(StrEnum):
    STARTING = "starting"  # before the first state: shown by the app itself
    IDLE = "idle"
    CONNECTING = "connecting"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    MUTED = "muted"
    NO_MICROPHONE = "no_microphone"
    NO_SPEAKER = "no_speaker"
    REFUSED = "refused"
    TROUBLE = "trouble"  # offline, no reply, busy: passes by itself


_FAULTS = {
    Fault.NO_MICROPHONE: Scene.NO_MICROPHONE,
    Fault.NO_SPEAKER: Scene.NO_SPEAKER,
    Fault.REFUSED: Scene.REFUSED,
    Fault.OFFLINE: Scene.TROUBLE,
    Fault.NO_REPLY: Scene.TROUBLE,
    Fault.BUSY: Scene.TROUBLE,
    Fault.USED_UP: Scene.TROUBLE,
    Fault.CLOCK_WRONG: Scene.TROUBLE,
    Fault.UPDATE_NEEDED: Scene.REFUSED,
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
    return _PHASES[state.phase]
