"""What the rules of the table in transitions.py do about links, devices, mute and faults. Pure, as rules.py is."""

from dataclasses import replace

from voicebox.core.commands import (
    Capture,
    ForgetSpeech,
)
from voicebox.core.events import (
    Category,
    Device,
    DeviceLost,
    DeviceReady,
    MuteChanged,
    ServiceError,
    SessionEnded,
    SessionLost,
)
from voicebox.core.moves import (
    Outcome,
    all_sent,
    alone,
    device_fault,
    finish,
    finish_after,
    listen,
    show,
    stay,
)
from voicebox.core.state import Fault, Link, Phase, Policy, State

_KEEPS_LINK_DOWN = {
    Category.CLOCK: Fault.CLOCK_WRONG,
    Category.SERVER: Fault.BUSY,
    Category.RATE_LIMIT: Fault.BUSY,
}
_ENDS = {
    Category.NETWORK: Fault.OFFLINE,
    Category.QUOTA: Fault.USED_UP,
    Category.CLOCK: Fault.CLOCK_WRONG,
    Category.UPDATE: Fault.UPDATE_NEEDED,
}


def _trouble(event: SessionLost) -> Fault | None:
    return None if event.category is None else _KEEPS_LINK_DOWN.get(event.category)


def lost_connecting(state: State, event: SessionLost) -> Outcome:
    return stay(state, link=Link.BACKOFF, trouble=_trouble(event))


def lost_listening(state: State, event: SessionLost) -> Outcome:
    """Half an utterance went with the link: stale speech is never replayed, so start afresh when it is back."""
    lost = replace(state, link=Link.BACKOFF, trouble=_trouble(event))
    return listen(lost, ForgetSpeech(), window=None, held=False, floor=state.newest, complete=True)


def lost_speaking(state: State, event: SessionLost) -> Outcome:
    """What has arrived of the reply is heard to its end."""
    return _cut_off(replace(state, trouble=_trouble(event)), Link.BACKOFF)


def _cut_off(state: State, link: Link) -> Outcome:
    if state.complete:
        return stay(state, link=link, window=None)
    return all_sent(state, link=link, window=None)


def ended(state: State, event: SessionEnded) -> Outcome:
    return finish(state, fault=why(event))


def why(event: SessionEnded) -> Fault | None:
    """The fault that ended the session; None if it ended as agreed."""
    if event.category is None:
        return None
    return _ENDS.get(event.category, Fault.REFUSED)


def ended_speaking(state: State, event: SessionEnded) -> Outcome:
    return _cut_off(state, Link.DOWN) if event.category is None else ended(state, event)


def ended_idle(state: State, event: SessionEnded) -> Outcome:
    fault = why(event)
    return show(state, fault) if fault else (state, ())


def complaint(state: State, event: ServiceError) -> Outcome:
    return show(state, Fault.BUSY) if event.category is Category.RATE_LIMIT else (state, ())


def mute(state: State, event: MuteChanged) -> Outcome:
    """Muting closes the microphone and ends what needs it; a reply is heard to its end."""
    if event.muted == state.muted:
        return state, ()
    lost = state.lost - {Device.MICROPHONE}  # of a closed one nobody knows; it is found out when it is opened
    fault = device_fault(lost) if state.fault is Fault.NO_MICROPHONE else state.fault
    window = None if event.muted else state.window
    changed = replace(state, muted=event.muted, lost=lost, fault=fault, window=window)
    capture = Capture(not event.muted)
    if event.muted and state.phase in (Phase.CONNECTING, Phase.LISTENING) and not state.written:
        return finish_after((capture,), changed)
    unheard, commands = alone(changed)
    return unheard, (capture, *commands)


def device_lost(state: State, event: DeviceLost) -> Outcome:
    if event.device is Device.MICROPHONE and state.muted:  # it is closed: this comes late
        return state, ()
    lost = state.lost | {event.device}
    state, shown = show(replace(state, lost=lost), device_fault(lost) or Fault.NO_SPEAKER)
    listening = state.phase in (Phase.CONNECTING, Phase.LISTENING) and not state.written
    deaf = event.device is Device.MICROPHONE and listening
    dumb = event.device is Device.SPEAKER and state.phase is Phase.SPEAKING
    if deaf or dumb:
        ended, commands = finish(state)
        return ended, shown + commands
    if event.device is Device.SPEAKER:
        return state, shown
    unheard, commands = alone(replace(state, window=None))
    return unheard, shown + commands


def device_ready(state: State, event: DeviceReady) -> Outcome:
    lost = state.lost - {event.device}
    cured = state.fault in (Fault.NO_MICROPHONE, Fault.NO_SPEAKER)
    return stay(state, lost=lost, fault=device_fault(lost) if cured else state.fault)


def under(state: State, policy: Policy) -> State:
    """The same state under another policy: if it is half duplex now, the service hears no more of this reply."""
    deaf = state.phase is Phase.SPEAKING and not policy.full_duplex
    return replace(state, policy=policy, window=None if deaf else state.window)
