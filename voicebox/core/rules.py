"""What each rule of the table in transitions.py does. Pure: a state and an event in, a state and commands out."""

from dataclasses import replace
from typing import Any

from voicebox.core.commands import (
    CancelReply,
    CloseSession,
    Command,
    FinishReply,
    Flush,
    ForgetSpeech,
    OpenSession,
    Play,
    SetTimer,
)
from voicebox.core.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ButtonTapped,
    Category,
    Device,
    DeviceLost,
    DeviceReady,
    Event,
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
    Source,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    Timer,
    TimerExpired,
    Transcript,
    WakeDetected,
)
from voicebox.core.state import LASTING, Fault, Link, Phase, State, Window

Outcome = tuple[State, tuple[Command, ...]]

# --- building blocks -----------------------------------------------------------------------------------------------


def _deadline(state: State) -> float | None:
    """How long the phase just entered may last."""
    policy = state.policy
    return {
        Phase.IDLE: None,
        Phase.CONNECTING: policy.connect_timeout,
        Phase.LISTENING: policy.utterance_timeout if state.held else policy.listen_timeout,
        Phase.THINKING: policy.reply_timeout,
        Phase.SPEAKING: None,  # the speaker reports the end; see _drained
    }[state.phase]


def _enter(state: State, phase: Phase, *before: Command, **changes: Any) -> Outcome:
    new = replace(state, phase=phase, **changes)
    return new, (*before, SetTimer(Timer.PHASE, _deadline(new)))


def _stay(state: State, *commands: Command, **changes: Any) -> Outcome:
    return replace(state, **changes), commands


def _show(state: State, fault: Fault) -> Outcome:
    """Note a fault; a passing one fades, and never hides a lasting one."""
    if state.fault in LASTING and fault not in LASTING:
        return state, ()
    return _stay(state, SetTimer(Timer.FAULT, None if fault in LASTING else state.policy.fault_shown), fault=fault)


def _device_fault(lost: frozenset[Device]) -> Fault | None:
    if Device.MICROPHONE in lost:
        return Fault.NO_MICROPHONE
    return Fault.NO_SPEAKER if Device.SPEAKER in lost else None


def _open_window(state: State, since: int | None) -> Window | None:
    return None if state.muted or Device.MICROPHONE in state.lost else Window(since)


def _finish(state: State, *, source: Source | None = None, fault: Fault | None = None) -> Outcome:
    """End the conversation: silence, hang up, microphone closed."""
    ended, commands = _enter(
        state,
        Phase.IDLE,
        Flush(state.newest, source),
        CloseSession(),
        window=None,
        held=False,
        press_used=False,
        link=Link.DOWN,
        floor=state.newest,
        complete=True,
    )
    if fault is None:
        return ended, commands
    shown, more = _show(ended, fault)
    return shown, commands + more


def _listen(state: State, *before: Command, since: int | None = None, **changes: Any) -> Outcome:
    """Back to listening, unless there is nobody left to listen for us or nothing to listen with."""
    window = state.window if state.window and state.window.until is None else _open_window(state, since)
    if state.link is Link.DOWN or window is None:
        ended, commands = _finish(replace(state, **changes))
        return ended, before + commands
    return _enter(state, Phase.LISTENING, *before, window=window, **changes)


def _interrupt(state: State, source: Source, since: int, **changes: Any) -> Outcome:
    """Someone here cut the reply: silence first, then tell the service, and the new speech is already on its way."""
    return _listen(
        state,
        Flush(state.newest, source),
        CancelReply(state.newest),
        since=since,
        floor=state.newest,
        complete=True,
        **changes,
    )


# --- starting and ending a conversation ----------------------------------------------------------------------------


def _start(state: State, since: int, **changes: Any) -> Outcome:
    window = _open_window(state, max(0, since))
    if window is None:
        return state, ()
    return _enter(state, Phase.CONNECTING, OpenSession(), window=window, **changes)


def wake(state: State, event: WakeDetected) -> Outcome:
    return _start(state, event.at - state.policy.preroll)


def press_idle(state: State, event: ButtonPressed) -> Outcome:
    return _start(state, event.at - state.policy.press_preroll, press_used=True)


def press_noted(state: State, _event: ButtonPressed) -> Outcome:
    """Tap or hold? Both make sense here, so wait for what follows."""
    return _stay(state, press_used=False)


def tap_ends(state: State, _event: ButtonTapped) -> Outcome:
    return _stay(state, press_used=False) if state.press_used else _finish(state)


def hold_connecting(state: State, _event: ButtonHeld) -> Outcome:
    return _stay(state, held=True)


def end(state: State, _event: Event) -> Outcome:
    return _finish(state)


def _end_if_phase_timer(state: State, event: TimerExpired, fault: Fault | None) -> Outcome:
    return _finish(state, fault=fault) if event.timer is Timer.PHASE else fault_timer(state, event)


def connect_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event, Fault.OFFLINE)


def listen_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event, None)


def reply_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event, Fault.NO_REPLY)


def wake_again(state: State, _event: WakeDetected) -> Outcome:
    """Somebody stands there and asks again: jump the redial queue."""
    return state, (OpenSession(),)


# --- listening -----------------------------------------------------------------------------------------------------


def ready(state: State, _event: SessionReady) -> Outcome:
    fault = _device_fault(state.lost)
    spoken = state.window is not None and state.window.until is not None  # pressed and released while connecting
    return _enter(state, Phase.THINKING if spoken else Phase.LISTENING, link=Link.UP, fault=fault)


def ready_while_busy(state: State, _event: SessionReady) -> Outcome:
    return _stay(state, link=Link.UP)


def ready_while_idle(state: State, _event: SessionReady) -> Outcome:
    """The session came up after everybody had left."""
    return state, (CloseSession(),)


def speech_started(state: State, _event: SpeechStarted) -> Outcome:
    return state, (SetTimer(Timer.PHASE, state.policy.utterance_timeout),)


def speech_stopped(state: State, _event: SpeechStopped) -> Outcome:
    return state, () if state.held else (SetTimer(Timer.PHASE, state.policy.listen_timeout),)


def hold_listening(state: State, _event: ButtonHeld) -> Outcome:
    return _enter(state, Phase.LISTENING, held=True)


def release_listening(state: State, event: ButtonReleased) -> Outcome:
    if not state.held:
        return state, ()
    return _enter(state, Phase.THINKING, held=False, window=_closing(state, event))


def release_connecting(state: State, event: ButtonReleased) -> Outcome:
    return _stay(state, held=False, window=_closing(state, event)) if state.held else (state, ())


def _closing(state: State, event: ButtonReleased) -> Window | None:
    return replace(state.window, until=event.at + state.policy.release_tail) if state.window else None


def wake_listening(state: State, _event: WakeDetected) -> Outcome:
    return _enter(state, Phase.LISTENING)


# --- the reply -----------------------------------------------------------------------------------------------------


def heard(state: State, event: Transcript) -> Outcome:
    """The service has understood something the user said: it now thinks."""
    if event.role != "user" or not event.final or state.held:
        return state, ()
    return _enter(state, Phase.THINKING)


def announced(state: State, event: ReplyStarted | ReplyText) -> Outcome:
    if event.reply_id <= state.floor:
        return state, ()
    newer = {"newest": event.reply_id, "complete": False} if event.reply_id > state.newest else {}
    if state.phase is Phase.SPEAKING:
        return _stay(state, **newer)
    return _enter(state, Phase.THINKING, **newer)


def audio(state: State, event: ReplyAudio) -> Outcome:
    """The one place that decides whether a sample is heard."""
    if event.reply_id <= state.floor:
        return state, ()
    newer = {"newest": event.reply_id, "complete": False} if event.reply_id > state.newest else {}
    window = state.window if state.policy.full_duplex else None
    play = Play(event.reply_id, event.pcm)
    if state.complete and not newer:  # audio after the end of its reply was announced: it has to end again
        return _enter(state, Phase.SPEAKING, play, FinishReply(event.reply_id), window=window, held=False)
    return _enter(state, Phase.SPEAKING, play, window=window, held=False, **newer)


def done(state: State, event: ReplyDone) -> Outcome:
    if event.reply_id != state.newest or event.reply_id <= state.floor:
        return state, ()
    if state.phase is Phase.THINKING:  # a reply without sound
        return _listen(state, complete=True)
    return _stay(state, FinishReply(event.reply_id), complete=True)


def _drained(state: State, event: SpeakerDrained) -> Outcome:
    if event.reply_id != state.newest:
        return state, ()
    if state.complete:
        return _listen(state)
    return state, (SetTimer(Timer.PHASE, state.policy.stall_timeout),)


def stalled(state: State, event: TimerExpired) -> Outcome:
    """The rest of the reply never came: what was heard was all there is."""
    return _listen(state, complete=True) if event.timer is Timer.PHASE else fault_timer(state, event)


def interrupted(state: State, event: Interrupted) -> Outcome:
    """The service cut its reply; a newer one than the dead one plays on."""
    floor = max(state.floor, event.reply_id)
    flush = Flush(floor, event.source)
    if state.newest > floor and state.phase is Phase.SPEAKING:
        return _stay(state, flush, floor=floor)
    return _listen(state, flush, floor=floor, newest=max(state.newest, floor), complete=True)


def interrupted_quietly(state: State, event: Interrupted) -> Outcome:
    """Nothing is being said: only make sure it stays so."""
    floor = max(state.floor, event.reply_id)
    return _stay(state, Flush(floor, event.source), floor=floor, newest=max(state.newest, floor))


def wake_interrupts(state: State, event: WakeDetected) -> Outcome:
    return _interrupt(state, Source.WAKE_WORD, event.at - state.policy.preroll)


def press_interrupts(state: State, event: ButtonPressed) -> Outcome:
    return _interrupt(state, Source.BUTTON, event.at - state.policy.press_preroll, press_used=True)


def tap_interrupts(state: State, event: ButtonTapped) -> Outcome:
    """The press came while listening, the reply before the release."""
    if state.press_used:
        return _stay(state, press_used=False)
    return _interrupt(state, Source.BUTTON, event.at - state.policy.press_preroll)


def hold_interrupts(state: State, event: ButtonHeld) -> Outcome:
    return _interrupt(state, Source.BUTTON, event.at - state.policy.press_preroll, held=True)


# --- links, devices, mute ------------------------------------------------------------------------------------------


def lost_connecting(state: State, _event: SessionLost) -> Outcome:
    return _stay(state, link=Link.BACKOFF)


def lost_listening(state: State, _event: SessionLost) -> Outcome:
    """Half an utterance went with the link: stale speech is never replayed, so start afresh when it is back."""
    window = _open_window(state, None)
    return _enter(state, Phase.CONNECTING, ForgetSpeech(), link=Link.BACKOFF, window=window, held=False)


def lost_speaking(state: State, _event: SessionLost) -> Outcome:
    """What has arrived of the reply is heard to its end."""
    return _stay(state, FinishReply(state.newest), link=Link.BACKOFF, complete=True, window=None)


def drained_or_reconnecting(state: State, event: SpeakerDrained) -> Outcome:
    if state.link is Link.BACKOFF and event.reply_id == state.newest and state.complete:
        return _enter(state, Phase.CONNECTING, window=_open_window(state, None))
    return _drained(state, event)


def ended(state: State, event: SessionEnded) -> Outcome:
    if event.category is None:
        return _finish(state)
    return _finish(state, fault=Fault.OFFLINE if event.category is Category.NETWORK else Fault.REFUSED)


def ended_speaking(state: State, event: SessionEnded) -> Outcome:
    if event.category is not None:
        return ended(state, event)
    return _stay(state, FinishReply(state.newest), link=Link.DOWN, complete=True, window=None)


def ended_idle(state: State, event: SessionEnded) -> Outcome:
    return (state, ()) if event.category is None else _show(replace(state, link=Link.DOWN), Fault.REFUSED)


def complaint(state: State, event: ServiceError) -> Outcome:
    return _show(state, Fault.BUSY) if event.category is Category.RATE_LIMIT else (state, ())


def mute(state: State, event: MuteChanged) -> Outcome:
    """Muting ends what needs the microphone; a reply is heard to its end."""
    muted = replace(state, muted=event.muted, window=None if event.muted else state.window)
    if event.muted and state.phase in (Phase.CONNECTING, Phase.LISTENING):
        return _finish(muted)
    return muted, ()


def device_lost(state: State, event: DeviceLost) -> Outcome:
    lost = state.lost | {event.device}
    state, shown = _show(replace(state, lost=lost), _device_fault(lost) or Fault.NO_SPEAKER)
    deaf = event.device is Device.MICROPHONE and state.phase in (Phase.CONNECTING, Phase.LISTENING)
    dumb = event.device is Device.SPEAKER and state.phase is Phase.SPEAKING
    if deaf or dumb:
        ended, commands = _finish(state)
        return ended, shown + commands
    return (replace(state, window=None), shown) if event.device is Device.MICROPHONE else (state, shown)


def device_ready(state: State, event: DeviceReady) -> Outcome:
    lost = state.lost - {event.device}
    cured = state.fault in (Fault.NO_MICROPHONE, Fault.NO_SPEAKER)
    return _stay(state, lost=lost, fault=_device_fault(lost) if cured else state.fault)


def fault_timer(state: State, event: TimerExpired) -> Outcome:
    if event.timer is Timer.FAULT and state.fault not in LASTING:
        return _stay(state, fault=_device_fault(state.lost))
    return state, ()
