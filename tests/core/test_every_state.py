"""Every state the core can reach in a small world (two replies, two written turns that wait, one microphone position),
under every kind of policy: what must always hold holds, the table says the truth, and no state is without a way back to
IDLE.

A random test might miss a corner; this one has been in each.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from unittest.mock import patch

import pytest

from tests.core.model import Model
from voicebox.core import rules
from voicebox.core.circumstances import under
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
    Source,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    StopRequested,
    TextAsked,
    TimerExpired,
    Transcript,
    WakeDetected,
)
from voicebox.core.state import Phase, Policy
from voicebox.core.transitions import arrows

AT = 50_000
REPLIES = (1, 2)

EVENTS: tuple[Event, ...] = (
    WakeDetected("hey_jarvis", 0.9, AT),
    ButtonPressed(AT),
    ButtonTapped(AT),
    ButtonHeld(AT),
    ButtonReleased(AT),
    SpeechStarted(AT),
    SpeechStopped(AT),
    TextAsked("hello"),
    StopRequested(),
    HangUp(),
    MuteChanged(muted=True),
    MuteChanged(muted=False),
    *(DeviceLost(device, "gone") for device in Device),
    *(DeviceReady(device) for device in Device),
    SessionReady(),
    SessionLost("gone", 1.0),
    SessionEnded("over"),
    SessionEnded("refused", Category.AUTH),
    SessionEnded("unreachable", Category.NETWORK),
    ServiceError(Category.RATE_LIMIT, "", ""),
    Transcript("user", "hello"),
    Transcript("user", "hel", final=False),
    Transcript("user", " "),
    Transcript("assistant", "hello"),
    *(ReplyStarted(i) for i in REPLIES),
    *(ReplyText(i, "hello") for i in REPLIES),
    *(ReplyAudio(i, b"\0\0") for i in REPLIES),
    *(ReplyDone(i) for i in REPLIES),
    *(Interrupted(i) for i in (0, *REPLIES)),
    *(SpeakerDrained(i) for i in (0, *REPLIES)),  # late reports; the speaker's own come by play_on
)

Arrow = tuple[Phase, str, Phase]


def _successors(model: Model) -> Iterator[tuple[Event | None, Model]]:
    for event in EVENTS:
        if not (isinstance(event, SpeakerDrained) and (event.reply_id, True) in model.speaker.queue):
            yield event, model.happens(event)
    for timer in model.timers:
        expired = TimerExpired(timer)
        yield expired, model.happens(expired)
    yield model.left_alone()


KINDS: dict[str, Policy] = {
    "half": Policy(),
    "half, whole utterances": Policy(endpointing=True),
    "speech cuts, half": Policy(interrupted_by=frozenset({Source.SERVER, Source.SPEECH})),
    "speech cuts, full, whole utterances": Policy(
        full_duplex=True, endpointing=True, interrupted_by=frozenset({Source.SPEECH})
    ),
    "all may cut, full": Policy(full_duplex=True, interrupted_by=frozenset(Source)),
    "none may cut, full, ducks, hangs up": Policy(
        full_duplex=True, duck=True, interrupted_by=frozenset(), follow_up=0.0
    ),
    "ducks, full, whole utterances": Policy(full_duplex=True, duck=True, endpointing=True),
}
"""Every setting that makes a difference, on and off; and what belongs together, together. Speech over a reply adds
states and takes none away."""

kinds = pytest.mark.parametrize("kind", KINDS)


@cache
def explored(kind: str) -> tuple[frozenset[Model], frozenset[Arrow]]:
    """Every model that can be reached, and every change of phase seen on the way."""
    start = Model.of(KINDS[kind])
    known, seen = {start}, set[Arrow]()
    todo = deque([start])
    with patch.object(rules, "MOST_TEXTS", 2):  # what is true of two is true of eight, of which there are more states
        while todo:
            model = todo.popleft()
            for event, after in _successors(model):
                if event is not None and after.state.phase is not model.state.phase:
                    seen.add((model.state.phase, type(event).__name__, after.state.phase))
                if after not in known:
                    known.add(after)
                    todo.append(after)
    return frozenset(known), frozenset(seen)


@kinds
def test_no_event_leads_anywhere_it_should_not(kind: str) -> None:
    """Exploring checks the model after each step; see Model.check for what. Here: that it went everywhere."""
    models, _ = explored(kind)
    assert {model.state.phase for model in models} == set(Phase)
    assert len(models) > 1_000
    policy = KINDS[kind]
    assert any(model.speaker.held for model in models) is (Source.SPEECH in policy.interrupted_by)
    assert any(model.speaker.ducked for model in models) is policy.duck
    assert any(model.state.follow_up for model in models) is bool(policy.follow_up)


def test_the_table_declares_exactly_the_changes_of_phase_there_are() -> None:
    """Neither undeclared nor merely imagined: the diagram tells the truth."""
    assert set().union(*(explored(kind)[1] for kind in KINDS)) == set(arrows())


@kinds
def test_left_alone_every_state_returns_to_idle(kind: str) -> None:
    """Whatever has happened: if only deadlines pass and the speaker plays on, it is soon over."""
    for model in explored(kind)[0]:
        alone, steps = model, 0
        while alone.state.phase is not Phase.IDLE:
            event, alone = alone.left_alone()
            steps += 1
            assert event is not None, f"stuck in {alone}"
            assert steps <= 8, f"never idle: {model}"


@kinds
def test_a_stop_ends_every_state_at_once(kind: str) -> None:
    for model in explored(kind)[0]:
        stopped = model.happens(StopRequested())
        assert stopped.state.phase is Phase.IDLE
        assert not stopped.session_wanted
        assert not stopped.speaker.queue


@kinds
def test_who_may_not_cut_a_reply_does_not(kind: str) -> None:
    """It is heard to its end, and what was sent of it meanwhile too."""
    may = KINDS[kind].interrupted_by
    events = {Source.SERVER: Interrupted(2), Source.WAKE_WORD: EVENTS[0], Source.BUTTON: ButtonPressed(AT)}
    for model in explored(kind)[0]:
        if model.state.phase is not Phase.SPEAKING or model.state.holding:
            continue
        for source, event in events.items():
            if source not in may:
                after = model.happens(event)
                assert after.state.phase is Phase.SPEAKING
                assert set(model.speaker.queue) <= set(after.speaker.queue)


@kinds
def test_the_policy_may_change_in_every_state(kind: str) -> None:
    """Settings are reloaded, echo begins or ceases to be cancelled: no hold is left behind, no window open."""
    policy = KINDS[kind]
    nobody = replace(policy, full_duplex=not policy.full_duplex, interrupted_by=frozenset(), duck=False, follow_up=0.0)
    for model in explored(kind)[0]:
        changed = replace(model, state=under(model.state, nobody))
        changed.check()
        for _ in range(8):
            changed = changed.left_alone()[1]
        assert changed.state.phase is Phase.IDLE
