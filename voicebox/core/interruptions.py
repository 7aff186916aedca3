"""What the rules of the table in transitions.py do when a reply is cut, or somebody speaks over it. Pure, as rules.py
is.

Who may cut a reply that is being heard is a setting. Who may not leaves no trace: the reply is heard to its end.
"""

from dataclasses import replace
from typing import Any

from voicebox.core.commands import CancelReply, Duck, Flush, Hold, OpenSession, SendText, SetTimer
from voicebox.core.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonTapped,
    Device,
    Interrupted,
    Source,
    SpeechStarted,
    SpeechStopped,
    TextAsked,
    Timer,
    TimerExpired,
    Transcript,
    WakeDetected,
)
from voicebox.core.moves import Outcome, all_sent, alone, dial, enter, fault_timer, finish, listen, speech_window, stay
from voicebox.core.state import Link, Overlap, Phase, State


def _may_cut(state: State, source: Source) -> bool:
    """While nothing is heard there is nothing that would have to be protected."""
    return state.phase is not Phase.SPEAKING or source in state.policy.interrupted_by


def _cut(state: State, source: Source, since: int, **changes: Any) -> Outcome:
    """Someone here cut the reply: silence first, then tell the service, and the new speech is already on its way."""
    dead = replace(state, floor=state.newest, complete=True, written=False, **changes)
    silence = Flush(state.newest, source)
    if state.link is Link.UP:
        return listen(dead, silence, CancelReply(state.newest), since=since)
    return dial(dead, since, silence)  # the link went while the reply was heard: there is nobody to tell


# --- the service -----------------------------------------------------------------------------------------------------


def interrupted(state: State, event: Interrupted) -> Outcome:
    """The service cut its reply; a newer one than the dead one plays on."""
    if not _may_cut(state, event.source):
        return _let_finish(state, event)
    floor = max(state.floor, event.reply_id)
    flush = Flush(floor, event.source)
    if state.newest > floor and state.phase is Phase.SPEAKING:
        return stay(state, flush, *([Hold()] if state.holding else []), floor=floor)  # a flush ends holds
    dead: dict[str, Any] = {"floor": floor, "newest": max(state.newest, floor), "complete": True}
    if state.written and state.phase is Phase.THINKING:  # what it cut was the answer to the turn before
        return enter(state, Phase.THINKING, flush, **dead)
    return listen(state, flush, **dead)


def _let_finish(state: State, event: Interrupted) -> Outcome:
    """The service may not cut its replies: what came of this one is all there is, and is heard to its end."""
    if state.holding:  # so the service, too, has heard somebody
        return _cut_by_speech(state)
    return all_sent(state) if event.reply_id >= state.newest and not state.complete else (state, ())


def interrupted_quietly(state: State, event: Interrupted) -> Outcome:
    """Nothing is being said: only make sure it stays so."""
    floor = max(state.floor, event.reply_id)
    return stay(state, Flush(floor, event.source), floor=floor, newest=max(state.newest, floor))


# --- the owner -------------------------------------------------------------------------------------------------------


def wake_interrupts(state: State, event: WakeDetected) -> Outcome:
    if not _may_cut(state, Source.WAKE_WORD):
        return state, ()
    return _cut(state, Source.WAKE_WORD, event.at - state.policy.preroll)


def press_interrupts(state: State, event: ButtonPressed) -> Outcome:
    if not _may_cut(state, Source.BUTTON):
        return stay(state, press_used=True)  # else its tap would end the conversation, if the reply ends before it
    return _cut(state, Source.BUTTON, event.at - state.policy.press_preroll, press_used=True)


def tap_interrupts(state: State, event: ButtonTapped) -> Outcome:
    """The press came while listening, the reply before the release."""
    if state.press_used or not _may_cut(state, Source.BUTTON):
        return stay(state, press_used=False)
    return _cut(state, Source.BUTTON, event.at - state.policy.press_preroll)


def hold_interrupts(state: State, event: ButtonHeld) -> Outcome:
    if not _may_cut(state, Source.BUTTON):
        return state, ()
    since = event.at - state.policy.press_preroll
    cut, commands = _cut(state, Source.BUTTON, since, held=True)
    return replace(cut, window=speech_window(cut, since)), commands


def text_interrupts(state: State, event: TextAsked) -> Outcome:
    """A written turn cuts a reply as a spoken one does."""
    dead = replace(state, floor=state.newest, complete=True)
    silence = Flush(state.newest, Source.TEXT)
    if state.link is not Link.UP:
        return enter(dead, Phase.CONNECTING, silence, OpenSession(), texts=(event.text,), written=state.window is None)
    return enter(dead, Phase.THINKING, silence, CancelReply(state.newest), SendText(event.text))


# --- speech over the reply -------------------------------------------------------------------------------------------


def spoken_over(state: State, event: SpeechStarted) -> Outcome:
    """Silence at once where speech may interrupt, until it is known to be some; else the reply is only softer."""
    policy = state.policy
    deaf = state.muted or state.written or Device.MICROPHONE in state.lost
    if deaf or state.overlap is not None:
        return state, ()
    if Source.SPEECH in policy.interrupted_by:
        return stay(state, Hold(), SetTimer(Timer.OVERLAP, policy.guard), overlap=Overlap(event.at, held=True))
    if policy.duck:
        softer = (Duck(on=True), SetTimer(Timer.OVERLAP, policy.utterance_timeout))
        return stay(state, *softer, overlap=Overlap(event.at, held=False))
    return state, ()


def spoken_over_no_more(state: State, _event: SpeechStopped) -> Outcome:
    """A cough: the reply goes on where it was."""
    return alone(state)


def words_over(state: State, event: Transcript) -> Outcome:
    """The service has understood what is said over the reply: it was no cough."""
    spoken = event.role == "user" and event.text.strip()
    return _cut_by_speech(state) if spoken and state.holding else (state, ())


def timer_speaking(state: State, event: TimerExpired) -> Outcome:
    """The service fell silent without an end: what came is all there is, and is heard to its end. Or somebody goes on
    speaking over it."""
    if event.timer is Timer.OVERLAP:
        return _cut_by_speech(state) if state.holding else alone(state)
    if event.timer is Timer.PHASE:
        return (state, ()) if state.complete else all_sent(state)
    return fault_timer(state, event)


def _cut_by_speech(state: State) -> Outcome:
    if not _may_cut(state, Source.SPEECH):  # any more: the setting has changed meanwhile
        return alone(state)
    since = state.overlap.since - state.policy.speech_preroll if state.overlap else 0
    if state.link is Link.DOWN:  # silence may be had by speaking, a new session not
        return finish(state, source=Source.SPEECH)
    return _cut(state, Source.SPEECH, since)
