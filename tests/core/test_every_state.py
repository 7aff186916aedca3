"""Every state the core can reach in a small world (two replies, one microphone position), both duplex modes: what must
always hold holds, the table says the truth, and no state is without a way back to IDLE.

A random test might miss a corner; this one has been in each.
"""

from collections import deque
from collections.abc import Iterator
from functools import cache

import pytest

from tests.core.model import Model
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


@cache
def explored(*, full_duplex: bool, endpointing: bool = False) -> tuple[frozenset[Model], frozenset[Arrow]]:
    """Every model that can be reached, and every change of phase seen on the way."""
    start = Model.of(Policy(full_duplex=full_duplex, endpointing=endpointing))
    known, seen = {start}, set[Arrow]()
    todo = deque([start])
    while todo:
        model = todo.popleft()
        for event, after in _successors(model):
            if event is not None and after.state.phase is not model.state.phase:
                seen.add((model.state.phase, type(event).__name__, after.state.phase))
            if after not in known:
                known.add(after)
                todo.append(after)
    return frozenset(known), frozenset(seen)


KINDS = pytest.mark.parametrize(
    ("full_duplex", "endpointing"), [(False, False), (True, False), (False, True), (True, True)]
)


@KINDS
def test_no_event_leads_anywhere_it_should_not(full_duplex: bool, endpointing: bool) -> None:
    """Exploring checks the model after each step; see Model.check for what. Here: that it went everywhere."""
    models, _ = explored(full_duplex=full_duplex, endpointing=endpointing)
    assert {model.state.phase for model in models} == set(Phase)
    assert len(models) > 1_000


def test_the_table_declares_exactly_the_changes_of_phase_there_are() -> None:
    """Neither undeclared nor merely imagined: the diagram tells the truth."""
    seen = (
        explored(full_duplex=False)[1]
        | explored(full_duplex=True)[1]
        | explored(full_duplex=False, endpointing=True)[1]
    )
    assert seen == set(arrows())


@KINDS
def test_left_alone_every_state_returns_to_idle(full_duplex: bool, endpointing: bool) -> None:
    """Whatever has happened: if only deadlines pass and the speaker plays on, it is soon over."""
    for model in explored(full_duplex=full_duplex, endpointing=endpointing)[0]:
        alone, steps = model, 0
        while alone.state.phase is not Phase.IDLE:
            event, alone = alone.left_alone()
            steps += 1
            assert event is not None, f"stuck in {alone}"
            assert steps <= 8, f"never idle: {model}"


@KINDS
def test_a_stop_ends_every_state_at_once(full_duplex: bool, endpointing: bool) -> None:
    for model in explored(full_duplex=full_duplex, endpointing=endpointing)[0]:
        stopped = model.happens(StopRequested())
        assert stopped.state.phase is Phase.IDLE
        assert not stopped.session_wanted
        assert not stopped.speaker.queue
