"""The few moves all rules are made of. Each takes a state and returns the next one and the commands that go with it."""

from dataclasses import replace
from typing import Any

from voicebox.core.commands import CloseSession, Command, Duck, FinishReply, Flush, OpenSession, Resume, SetTimer
from voicebox.core.events import Device, Source, Timer, TimerExpired
from voicebox.core.state import LASTING, Fault, Link, Phase, State, Window

Outcome = tuple[State, tuple[Command, ...]]


def deadline(state: State) -> float | None:
    """How long the phase just entered may last."""
    policy = state.policy
    return {
        Phase.IDLE: None,
        Phase.CONNECTING: policy.connect_timeout,
        Phase.LISTENING: _patience(state),
        Phase.THINKING: policy.reply_timeout,
        Phase.SPEAKING: None if state.complete else policy.stall_timeout,  # then the speaker reports the end
    }[state.phase]


def _patience(state: State) -> float:
    """How long to wait for somebody to speak, or for them to end."""
    if state.held:
        return state.policy.utterance_timeout
    return state.policy.follow_up if state.follow_up else state.policy.listen_timeout


def enter(state: State, phase: Phase, *before: Command, follow_up: bool = False, **changes: Any) -> Outcome:
    """Go to ``phase``, or stay there for longer. Whoever speaks over a reply does so only while it is heard."""
    state, louder = (state, ()) if phase is Phase.SPEAKING else alone(state)
    new = replace(state, phase=phase, follow_up=follow_up, **changes)
    return new, (*before, *louder, SetTimer(Timer.PHASE, deadline(new)))


def alone(state: State) -> Outcome:
    """Nobody speaks over the reply any more: it goes on from where it was, as loud as before."""
    if state.overlap is None:
        return state, ()
    return stay(state, Resume() if state.holding else Duck(on=False), SetTimer(Timer.OVERLAP, None), overlap=None)


def stay(state: State, *commands: Command, **changes: Any) -> Outcome:
    return replace(state, **changes), commands


def show(state: State, fault: Fault) -> Outcome:
    """Note a fault; a passing one fades, and never hides a lasting one."""
    if state.fault in LASTING and fault not in LASTING:
        return state, ()
    return stay(state, SetTimer(Timer.FAULT, None if fault in LASTING else state.policy.fault_shown), fault=fault)


def device_fault(lost: frozenset[Device]) -> Fault | None:
    if Device.MICROPHONE in lost:
        return Fault.NO_MICROPHONE
    return Fault.NO_SPEAKER if Device.SPEAKER in lost else None


def waited_for(state: State) -> Fault | None:
    """What it means that the deadline of this phase has passed; None: nothing is wrong."""
    return {Phase.CONNECTING: state.trouble or Fault.OFFLINE, Phase.THINKING: Fault.NO_REPLY}.get(state.phase)


def open_window(state: State, since: int | None) -> Window | None:
    if state.muted or state.written or Device.MICROPHONE in state.lost:
        return None
    return Window(None if since is None else max(0, since), armed=state.policy.endpointing)


def speech_window(state: State, at: int) -> Window | None:
    """The window that speech beginning at ``at`` opens, if one is armed. Where it may begin only a little earlier it
    does: a press may yet become a hold, and all of that belongs to it."""
    if state.window is None or not state.window.armed:
        return state.window
    since = state.window.since or 0
    return Window(since if at - since <= state.policy.near else at)


def held_window(state: State, at: int) -> Window | None:
    """The open window while the button is held since about ``at``: what is said then needs no other sign, and begins
    there at the latest."""
    window = speech_window(state, at)
    return window if window is None or window.since is None else replace(window, since=min(window.since, max(0, at)))


def finish(state: State, *, source: Source | None = None, fault: Fault | None = None) -> Outcome:
    """End the conversation: silence, hang up, microphone closed."""
    ended, commands = enter(
        state,
        Phase.IDLE,
        Flush(state.newest, source),
        CloseSession(),
        window=None,
        held=False,
        press_used=False,
        texts=(),
        written=False,
        link=Link.DOWN,
        trouble=None,
        floor=state.newest,
        complete=True,
    )
    if fault is None:
        return ended, commands
    shown, more = show(ended, fault)
    return shown, commands + more


def finish_after(before: tuple[Command, ...], state: State) -> Outcome:
    ended, commands = finish(state)
    return ended, before + commands


def listen(
    state: State, *before: Command, since: int | None = None, follow_up: bool = False, **changes: Any
) -> Outcome:
    """Back to listening, or to waiting for the link if it is being redialled; the conversation ends where there is
    nobody left to listen to us or nothing to listen with. ``follow_up``: nobody need say anything."""
    state = replace(state, **changes)
    window = state.window if state.window and state.window.until is None else open_window(state, since)
    if state.link is Link.DOWN or window is None:
        return finish_after(before, state)
    if state.link is Link.UP:
        return enter(state, Phase.LISTENING, *before, follow_up=follow_up, window=window)
    return enter(state, Phase.CONNECTING, *before, window=window)


def dial(state: State, since: int, *before: Command) -> Outcome:
    """Open a session, now, for what is said from ``since`` on."""
    window = open_window(state, since)
    if window is None:
        return finish_after(before, state)
    return enter(state, Phase.CONNECTING, *before, OpenSession(), window=window)


def all_sent(state: State, **changes: Any) -> Outcome:
    """Nothing more of this reply will come: what there is of it is heard to its end."""
    return enter(state, Phase.SPEAKING, FinishReply(state.newest), complete=True, **changes)


def fault_timer(state: State, event: TimerExpired) -> Outcome:
    if event.timer is Timer.FAULT and state.fault not in LASTING:
        return stay(state, fault=device_fault(state.lost))
    return state, ()
