"""Random stories, plausible and absurd, of up to 60 events: the model of the rooms (model.py) checks every step."""

from hypothesis import given, settings
from hypothesis import strategies as st

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
    ParticipantChanged,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    ServiceError,
    SessionEnded,
    SessionLost,
    SessionReady,
    SessionUpdated,
    SessionWarning,
    Source,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    StopRequested,
    TaskCreated,
    Timer,
    TimerExpired,
    Transcript,
    VendorRaw,
    WakeDetected,
)
from voicebox.core.scenes import Scene, scene
from voicebox.core.state import Phase, Policy

positions = st.integers(-1_000, 10**9)
reply_ids = st.integers(-1, 12)
devices = st.sampled_from(Device)
policies = st.builds(
    Policy,
    full_duplex=st.booleans(),
    endpointing=st.booleans(),
    duck=st.booleans(),
    interrupted_by=st.just(Policy().interrupted_by) | st.frozensets(st.sampled_from(Source)),
    follow_up=st.sampled_from([0.0, 8.0]),
)

anything: st.SearchStrategy[Event] = st.one_of(
    st.builds(WakeDetected, st.just("hey_jarvis"), st.floats(0, 1), positions),
    st.builds(ButtonPressed, positions),
    st.builds(ButtonTapped, positions),
    st.builds(ButtonHeld, positions),
    st.builds(ButtonReleased, positions),
    st.sampled_from([SpeechStarted(), SpeechStopped(), SessionReady(), SessionUpdated({}), StopRequested()]),
    st.builds(MuteChanged, st.booleans()),
    st.builds(SpeakerDrained, reply_ids),
    st.builds(DeviceLost, devices, st.just("gone")),
    st.builds(DeviceReady, devices),
    st.builds(TimerExpired, st.sampled_from(Timer)),
    st.builds(SessionLost, st.just("gone"), st.floats(0, 100)),
    st.builds(SessionEnded, st.just("over"), st.none() | st.sampled_from(Category)),
    st.builds(ServiceError, st.sampled_from(Category), st.just(""), st.just("")),
    st.builds(SessionWarning, st.just(""), st.just("")),
    st.builds(Transcript, st.sampled_from(["user", "assistant", ""]), st.text(max_size=2), final=st.booleans()),
    st.builds(ReplyStarted, reply_ids),
    st.builds(ReplyText, reply_ids, st.just("")),
    st.builds(ReplyAudio, reply_ids, st.just(b"\0\0")),
    st.builds(ReplyDone, reply_ids),
    st.builds(Interrupted, reply_ids, st.sampled_from(Source)),
    st.builds(ParticipantChanged, st.none(), st.just("joined")),
    st.builds(TaskCreated, st.none()),
    st.builds(VendorRaw, st.just(""), st.just({})),
)


@settings(max_examples=300, deadline=None)
@given(policies, st.lists(anything, max_size=60))
def test_no_story_leads_to_an_impossible_state(policy: Policy, events: list[Event]) -> None:
    """No dead audio, no open microphone in IDLE or while muted, no state without a deadline: see Model.check."""
    model = Model.of(policy)
    for event in events:
        if not impossible(model, event):
            model = model.happens(event)
            assert isinstance(scene(model.state), Scene)


def impossible(model: Model, event: Event) -> bool:
    """What no room can do: a timer that was not set, the end of a reply that is still queued."""
    if isinstance(event, TimerExpired):
        return event.timer not in model.timers
    return isinstance(event, SpeakerDrained) and (event.reply_id, True) in model.speaker.queue


class _Service:
    """A service that behaves, more or less: ids rise, replies follow each other. Choices are drawn one by one."""

    def __init__(self, draw: st.DataObject) -> None:
        self.draw = draw
        self.reply = 0

    def next_event(self, model: Model) -> Event | None:
        """None: time passes instead."""
        phase = model.state.phase
        choices: list[Event | None] = [WakeDetected("hey_jarvis", 0.9, 90_000), ButtonPressed(95_000), None, None]
        choices += [ButtonTapped(95_000), ButtonHeld(95_000), ButtonReleased(99_000)]
        if phase is Phase.CONNECTING:
            choices += [SessionReady()] * 8
        elif phase is not Phase.IDLE:
            choices += [Transcript("user", "hello"), ReplyDone(self.reply), Interrupted(self.reply)] * 2
            choices += [ReplyAudio(self.reply, b"\0\0")] * 6 + [SessionLost("gone", 1.0), ReplyStarted(self.reply + 1)]
        event = self.draw.draw(st.sampled_from(choices))
        if isinstance(event, ReplyStarted):
            self.reply = event.reply_id
        return event


@settings(max_examples=200, deadline=None)
@given(policies, st.data())
def test_a_conversation_left_alone_ends(policy: Policy, draw: st.DataObject) -> None:
    """Plausible conversations with time passing in between; then everybody leaves, and soon it is idle."""
    model, service = Model.of(policy), _Service(draw)
    for _ in range(draw.draw(st.integers(0, 60))):
        event = service.next_event(model)
        model = model.left_alone()[1] if event is None else model.happens(event)
    for _ in range(8):
        model = model.left_alone()[1]
    assert model.state.phase is Phase.IDLE


@settings(max_examples=200, deadline=None)
@given(policies, st.lists(anything, max_size=30), st.integers(1, 5))
def test_the_same_reply_twice_dead_stays_dead(policy: Policy, events: list[Event], reply_id: int) -> None:
    """An interruption may come twice, late, or for a reply nobody knows: idempotent (fault 63)."""
    model = Model.of(policy)
    for event in events:
        if not impossible(model, event):
            model = model.happens(event)
    once = model.happens(Interrupted(reply_id))
    twice = once.happens(Interrupted(reply_id))
    assert twice.state.floor == once.state.floor
    after = twice.happens(ReplyAudio(reply_id, b"\0\0"))
    if reply_id <= twice.state.floor:
        assert after.speaker == twice.speaker
    else:  # the service may not cut what is heard: all it can do is say that no more will come
        assert Source.SERVER not in policy.interrupted_by
        assert twice.state.phase is Phase.SPEAKING
