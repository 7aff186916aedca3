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
from voicebox.core.moves import Outcome, device_fault, dial, enter, finish, interrupt, listen, open_window, show, stay
from voicebox.core.state import LASTING, Fault, Link, Phase, State, Window

# --- starting and ending a conversation ----------------------------------------------------------------------------


def _start(state: State, since: int, **changes: Any) -> Outcome:
    return dial(replace(state, **changes), since) if open_window(state, since) else (state, ())


def wake(state: State, event: WakeDetected) -> Outcome:
    return _start(state, event.at - state.policy.preroll)


def press_idle(state: State, event: ButtonPressed) -> Outcome:
    return _start(state, event.at - state.policy.press_preroll, press_used=True)


def press_noted(state: State, _event: ButtonPressed) -> Outcome:
    """Tap or hold? Both make sense here, so wait for what follows."""
    return stay(state, press_used=False)


def tap_ends(state: State, _event: ButtonTapped) -> Outcome:
    return stay(state, press_used=False) if state.press_used else finish(state)


def hold_connecting(state: State, _event: ButtonHeld) -> Outcome:
    return stay(state, held=True, window=_reopened(state))


def end(state: State, _event: Event) -> Outcome:
    return finish(state)


def _end_if_phase_timer(state: State, event: TimerExpired, fault: Fault | None) -> Outcome:
    return finish(state, fault=fault) if event.timer is Timer.PHASE else fault_timer(state, event)


def connect_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event, Fault.OFFLINE)


def listen_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event, None)


def reply_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event, Fault.NO_REPLY)


def wake_again(state: State, _event: WakeDetected) -> Outcome:
    """Somebody stands there and asks again: jump the redial queue."""
    return stay(state, OpenSession(), window=_reopened(state))


def _reopened(state: State) -> Window | None:
    """Pressed and released while connecting, and now there is more to say: all of it is kept."""
    return replace(state.window, until=None) if state.window else None


# --- listening -----------------------------------------------------------------------------------------------------


def ready(state: State, _event: SessionReady) -> Outcome:
    fault = device_fault(state.lost)
    spoken = state.window is not None and state.window.until is not None  # pressed and released while connecting
    return enter(state, Phase.THINKING if spoken else Phase.LISTENING, link=Link.UP, fault=fault)


def ready_speaking(state: State, _event: SessionReady) -> Outcome:
    """The link is back while the rest of the old reply is heard."""
    return stay(state, link=Link.UP, window=open_window(state, None) if state.policy.full_duplex else None)


def unwanted(state: State, _event: SessionReady | SessionLost) -> Outcome:
    """The session is up, or wants to be, after everybody has left."""
    return state, (CloseSession(),)


def speech_started(state: State, _event: SpeechStarted) -> Outcome:
    return state, (SetTimer(Timer.PHASE, state.policy.utterance_timeout),)


def speech_stopped(state: State, _event: SpeechStopped) -> Outcome:
    return state, () if state.held else (SetTimer(Timer.PHASE, state.policy.listen_timeout),)


def hold_listening(state: State, _event: ButtonHeld) -> Outcome:
    return enter(state, Phase.LISTENING, held=True)


def release_listening(state: State, event: ButtonReleased) -> Outcome:
    if not state.held:
        return state, ()
    return enter(state, Phase.THINKING, held=False, window=_closing(state, event))


def release_connecting(state: State, event: ButtonReleased) -> Outcome:
    return stay(state, held=False, window=_closing(state, event)) if state.held else (state, ())


def _closing(state: State, event: ButtonReleased) -> Window | None:
    return replace(state.window, until=event.at + state.policy.release_tail) if state.window else None


def wake_listening(state: State, _event: WakeDetected) -> Outcome:
    return enter(state, Phase.LISTENING)


# --- the reply -----------------------------------------------------------------------------------------------------


def heard(state: State, event: Transcript) -> Outcome:
    """The service has understood something the user said: it now thinks."""
    if event.role != "user" or not event.final or not event.text.strip() or state.held:
        return state, ()
    return enter(state, Phase.THINKING)


def _alive(state: State, reply_id: int) -> bool:
    """Neither cut nor overtaken by a newer reply."""
    return reply_id > state.floor and reply_id >= state.newest


def _newer(state: State, reply_id: int) -> dict[str, Any]:
    return {"newest": reply_id, "complete": False} if reply_id > state.newest else {}


def announced(state: State, event: ReplyStarted | ReplyText) -> Outcome:
    newer = _newer(state, event.reply_id)
    if not _alive(state, event.reply_id) or (state.complete and not newer):
        return state, ()
    if state.held:
        return _cut(state, event.reply_id)
    if state.phase is not Phase.SPEAKING:
        return enter(state, Phase.THINKING, **newer)
    return stay(state, *([SetTimer(Timer.PHASE, state.policy.reply_timeout)] if newer else []), **newer)


def _cut(state: State, reply_id: int) -> Outcome:
    """The service took a pause for the end: whoever holds the button is not done."""
    return stay(state, CancelReply(reply_id), newest=reply_id, floor=reply_id, complete=True)


def audio(state: State, event: ReplyAudio) -> Outcome:
    """The one place that decides whether a sample is heard."""
    if not _alive(state, event.reply_id):
        return state, ()
    newer = _newer(state, event.reply_id)
    if state.held:
        return _cut(state, event.reply_id)
    if Device.SPEAKER in state.lost:  # an answer nobody can hear
        return finish(replace(state, **newer))
    window = state.window if state.policy.full_duplex else None
    play: tuple[Command, ...] = (Play(event.reply_id, event.pcm),)
    if state.complete and not newer:  # audio after the end of its reply was announced: it has to end again
        play += (FinishReply(event.reply_id),)
    return enter(state, Phase.SPEAKING, *play, window=window, **newer)


def done(state: State, event: ReplyDone) -> Outcome:
    if event.reply_id != state.newest or state.complete:
        return state, ()
    return _all_sent(state) if state.phase is Phase.SPEAKING else listen(state, complete=True)  # or without sound


def _all_sent(state: State, **changes: Any) -> Outcome:
    """Nothing more of this reply will come: what there is of it is heard to its end."""
    return enter(state, Phase.SPEAKING, FinishReply(state.newest), complete=True, **changes)


def drained(state: State, event: SpeakerDrained) -> Outcome:
    return listen(state) if event.reply_id == state.newest and state.complete else (state, ())


def stalled(state: State, event: TimerExpired) -> Outcome:
    """The service fell silent without an end: what came is all there is, and is heard to its end."""
    if event.timer is Timer.PHASE:
        return (state, ()) if state.complete else _all_sent(state)
    return fault_timer(state, event)


def interrupted(state: State, event: Interrupted) -> Outcome:
    """The service cut its reply; a newer one than the dead one plays on."""
    floor = max(state.floor, event.reply_id)
    flush = Flush(floor, event.source)
    if state.newest > floor and state.phase is Phase.SPEAKING:
        return stay(state, flush, floor=floor)
    return listen(state, flush, floor=floor, newest=max(state.newest, floor), complete=True)


def interrupted_quietly(state: State, event: Interrupted) -> Outcome:
    """Nothing is being said: only make sure it stays so."""
    floor = max(state.floor, event.reply_id)
    return stay(state, Flush(floor, event.source), floor=floor, newest=max(state.newest, floor))


def wake_interrupts(state: State, event: WakeDetected) -> Outcome:
    return interrupt(state, Source.WAKE_WORD, event.at - state.policy.preroll)


def press_interrupts(state: State, event: ButtonPressed) -> Outcome:
    return interrupt(state, Source.BUTTON, event.at - state.policy.press_preroll, press_used=True)


def tap_interrupts(state: State, event: ButtonTapped) -> Outcome:
    """The press came while listening, the reply before the release."""
    if state.press_used:
        return stay(state, press_used=False)
    return interrupt(state, Source.BUTTON, event.at - state.policy.press_preroll)


def hold_interrupts(state: State, event: ButtonHeld) -> Outcome:
    return interrupt(state, Source.BUTTON, event.at - state.policy.press_preroll, held=True)


# --- links, devices, mute ------------------------------------------------------------------------------------------


def lost_connecting(state: State, _event: SessionLost) -> Outcome:
    return stay(state, link=Link.BACKOFF)


def lost_listening(state: State, _event: SessionLost) -> Outcome:
    """Half an utterance went with the link: stale speech is never replayed, so start afresh when it is back."""
    return listen(state, ForgetSpeech(), link=Link.BACKOFF, window=None, held=False, floor=state.newest, complete=True)


def lost_speaking(state: State, _event: SessionLost) -> Outcome:
    """What has arrived of the reply is heard to its end."""
    return _cut_off(state, Link.BACKOFF)


def _cut_off(state: State, link: Link) -> Outcome:
    if state.complete:
        return stay(state, link=link, window=None)
    return _all_sent(state, link=link, window=None)


def ended(state: State, event: SessionEnded) -> Outcome:
    return finish(state, fault=_why(event))


def _why(event: SessionEnded) -> Fault | None:
    if event.category is None:
        return None
    return Fault.OFFLINE if event.category is Category.NETWORK else Fault.REFUSED


def ended_speaking(state: State, event: SessionEnded) -> Outcome:
    return _cut_off(state, Link.DOWN) if event.category is None else ended(state, event)


def ended_idle(state: State, event: SessionEnded) -> Outcome:
    fault = _why(event)
    return show(state, fault) if fault else (state, ())


def complaint(state: State, event: ServiceError) -> Outcome:
    return show(state, Fault.BUSY) if event.category is Category.RATE_LIMIT else (state, ())


def mute(state: State, event: MuteChanged) -> Outcome:
    """Muting ends what needs the microphone; a reply is heard to its end."""
    muted = replace(state, muted=event.muted, window=None if event.muted else state.window)
    if event.muted and state.phase in (Phase.CONNECTING, Phase.LISTENING):
        return finish(muted)
    return muted, ()


def device_lost(state: State, event: DeviceLost) -> Outcome:
    lost = state.lost | {event.device}
    state, shown = show(replace(state, lost=lost), device_fault(lost) or Fault.NO_SPEAKER)
    deaf = event.device is Device.MICROPHONE and state.phase in (Phase.CONNECTING, Phase.LISTENING)
    dumb = event.device is Device.SPEAKER and state.phase is Phase.SPEAKING
    if deaf or dumb:
        ended, commands = finish(state)
        return ended, shown + commands
    return (replace(state, window=None), shown) if event.device is Device.MICROPHONE else (state, shown)


def device_ready(state: State, event: DeviceReady) -> Outcome:
    lost = state.lost - {event.device}
    cured = state.fault in (Fault.NO_MICROPHONE, Fault.NO_SPEAKER)
    return stay(state, lost=lost, fault=device_fault(lost) if cured else state.fault)


def fault_timer(state: State, event: TimerExpired) -> Outcome:
    if event.timer is Timer.FAULT and state.fault not in LASTING:
        return stay(state, fault=device_fault(state.lost))
    return state, ()
