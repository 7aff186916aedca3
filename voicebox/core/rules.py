"""What each rule of the table in transitions.py does. Pure: a state and an event in, a state and commands out."""

from dataclasses import replace
from typing import Any

from voicebox.core.commands import (
    CancelReply,
    CloseSession,
    Command,
    FinishReply,
    OpenSession,
    Play,
    SendText,
    SetTimer,
)
from voicebox.core.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ButtonTapped,
    Device,
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SessionLost,
    SessionReady,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    TextAsked,
    Timer,
    TimerExpired,
    Transcript,
    WakeDetected,
)
from voicebox.core.moves import (
    Outcome,
    all_sent,
    device_fault,
    dial,
    enter,
    fault_timer,
    finish,
    held_window,
    listen,
    open_window,
    speech_window,
    stay,
    waited_for,
)
from voicebox.core.state import Link, Phase, State, Window

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


def hold_connecting(state: State, event: ButtonHeld) -> Outcome:
    window = _reopened(state, event.at - state.policy.press_preroll)
    return stay(state, held=True, written=False, window=window) if window else (state, ())


def end(state: State, _event: Event) -> Outcome:
    return finish(state)


def _end_if_phase_timer(state: State, event: TimerExpired) -> Outcome:
    return finish(state, fault=waited_for(state)) if event.timer is Timer.PHASE else fault_timer(state, event)


def connect_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event)


def listen_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event)


def reply_expired(state: State, event: TimerExpired) -> Outcome:
    return _end_if_phase_timer(state, event)


def wake_again(state: State, event: WakeDetected) -> Outcome:
    """Somebody stands there and asks again: jump the redial queue."""
    spoken = replace(state, written=False)
    window = replace(state.window, until=None) if state.window else open_window(spoken, event.at - state.policy.preroll)
    return stay(spoken, OpenSession(), window=window) if window else (state, (OpenSession(),))


def _reopened(state: State, since: int) -> Window | None:
    """The button is held: pressed and released before, all of it is kept; what is said needs no other sign."""
    if state.window is None:
        window = open_window(replace(state, written=False), since)
        return replace(window, armed=False) if window else None
    window = held_window(state, since)
    return replace(window, until=None) if window else None


# --- written turns -------------------------------------------------------------------------------------------------

MOST_TEXTS = 8  # more than these wait for no session


def text_idle(state: State, event: TextAsked) -> Outcome:
    return enter(state, Phase.CONNECTING, OpenSession(), texts=(event.text,), written=True)


def text_connecting(state: State, event: TextAsked) -> Outcome:
    return stay(state, OpenSession(), texts=(*state.texts, event.text)[-MOST_TEXTS:])


def text_listening(state: State, event: TextAsked) -> Outcome:
    return (state, (SendText(event.text),)) if state.held else enter(state, Phase.THINKING, SendText(event.text))


# --- listening -----------------------------------------------------------------------------------------------------


def ready(state: State, _event: SessionReady) -> Outcome:
    fault = device_fault(state.lost)
    spoken = state.window is not None and state.window.until is not None  # all was said while connecting
    phase = Phase.THINKING if (spoken or state.texts) and not state.held else Phase.LISTENING
    return enter(state, phase, *map(SendText, state.texts), link=Link.UP, trouble=None, fault=fault, texts=())


def ready_speaking(state: State, _event: SessionReady) -> Outcome:
    """The link is back while the rest of the old reply is heard."""
    window = open_window(state, None) if state.policy.full_duplex else None
    return stay(state, link=Link.UP, trouble=None, window=window)


def unwanted(state: State, _event: SessionReady | SessionLost) -> Outcome:
    """The session is up, or wants to be, after everybody has left."""
    return state, (CloseSession(),)


def speech_started(state: State, event: SpeechStarted) -> Outcome:
    window = speech_window(state, event.at - state.policy.speech_preroll)
    return stay(state, SetTimer(Timer.PHASE, state.policy.utterance_timeout), window=window, follow_up=False)


def speech_stopped(state: State, event: SpeechStopped) -> Outcome:
    if state.held:
        return state, ()
    window = _ending(state, event.at)
    if window is not None:
        return enter(state, Phase.THINKING, window=window)
    return state, (SetTimer(Timer.PHASE, state.policy.listen_timeout),)


def speech_started_connecting(state: State, event: SpeechStarted) -> Outcome:
    return stay(state, window=speech_window(state, event.at - state.policy.speech_preroll))


def speech_stopped_connecting(state: State, event: SpeechStopped) -> Outcome:
    window = None if state.held else _ending(state, event.at)
    return stay(state, window=window) if window else (state, ())


def _ending(state: State, at: int) -> Window | None:
    """The window closed at the end of an utterance, where the device is the one to find it."""
    window = state.window
    if not state.policy.endpointing or window is None or window.armed or window.until is not None:
        return None
    return replace(window, until=at)


def hold_listening(state: State, event: ButtonHeld) -> Outcome:
    window = held_window(state, event.at - state.policy.press_preroll)
    return enter(state, Phase.LISTENING, held=True, window=window)


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
    return all_sent(state) if state.phase is Phase.SPEAKING else listen(state, complete=True)  # or without sound


def drained(state: State, event: SpeakerDrained) -> Outcome:
    """Heard to its end: perhaps there is more to say. Whoever has begun to speak over it is heard from there."""
    if event.reply_id != state.newest or not state.complete:
        return state, ()
    if not state.policy.follow_up:
        return finish(state)
    since = state.overlap.since - state.policy.speech_preroll if state.overlap else None
    return listen(state, since=since, follow_up=True)
