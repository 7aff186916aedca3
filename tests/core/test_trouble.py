"""What the box does when link, service or devices fail, when it is muted and when it is to stop."""

import pytest

from tests.core.story import AT, FULL, LATER, LISTENING, PCM, PHASE_TIMER, POLICY, SPEAKING, THINKING, Story, wake
from voicebox.core.commands import (
    CancelReply,
    Capture,
    CloseSession,
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
    ButtonTapped,
    Category,
    Device,
    DeviceLost,
    DeviceReady,
    Event,
    MuteChanged,
    ReplyAudio,
    ReplyDone,
    ServiceError,
    SessionEnded,
    SessionLost,
    SessionReady,
    Source,
    SpeakerDrained,
    StopRequested,
    Timer,
    TimerExpired,
)
from voicebox.core.scenes import Scene, scene
from voicebox.core.state import Fault, Link, Phase, State, Window
from voicebox.core.transitions import step

# --- the link ------------------------------------------------------------------------------------------------------


def test_a_lost_link_while_connecting_keeps_what_was_said() -> None:
    """LIRA-43: the same conversation goes on when the link is back."""
    story = Story(wake(), SessionLost("gone", 1.0))
    assert (story.phase, story.state.link) == (Phase.CONNECTING, Link.BACKOFF)
    assert story.then(SessionReady()).window == Window(AT - POLICY.preroll)


@pytest.mark.parametrize("events", [LISTENING, THINKING])
def test_a_lost_link_drops_half_an_utterance_and_starts_afresh(events: tuple[Event, ...]) -> None:
    """Fault 3: speech is never replayed later."""
    story = Story(*events, SessionLost("gone", 1.0))
    assert (story.phase, story.state.link, story.window) == (Phase.CONNECTING, Link.BACKOFF, Window(None))
    assert story.told(ForgetSpeech)


def test_a_reply_outlives_its_link_and_then_the_next_is_awaited() -> None:
    """Fault 1"""
    story = Story(*SPEAKING, SessionLost("gone", 1.0))
    assert (story.phase, story.told(FinishReply), story.told(Flush)) == (Phase.SPEAKING, [FinishReply(1)], [])
    assert story.then(SpeakerDrained(1)).phase is Phase.CONNECTING
    assert story.then(SessionReady()).phase is Phase.LISTENING


def test_the_link_may_come_back_while_the_reply_is_heard() -> None:
    story = Story(*SPEAKING, SessionLost("gone", 1.0), SessionReady())
    assert (story.phase, story.state.link, story.window) == (Phase.SPEAKING, Link.UP, None)
    assert story.then(SpeakerDrained(1)).phase is Phase.LISTENING
    full = Story(*SPEAKING, SessionLost("gone", 1.0), SessionReady(), policy=FULL)
    assert full.window == Window(None)


@pytest.mark.parametrize("gone", [SessionLost("gone", 30.0), SessionEnded("over")])
@pytest.mark.parametrize("cut", [wake(LATER), ButtonPressed(LATER)])
def test_an_interruption_without_a_link_is_silent_at_once_and_dials(gone: Event, cut: Event) -> None:
    """Nobody is told of the cut, and nothing is sent to a link that is gone."""
    story = Story(*SPEAKING, gone, cut)
    assert isinstance(story.commands[0], Flush)
    assert story.phase is Phase.CONNECTING
    assert story.told(OpenSession)
    assert not story.told(CancelReply)
    assert story.window is not None
    assert story.then(SessionReady()).phase is Phase.LISTENING


def test_the_service_hangs_up_and_the_conversation_is_over_when_the_reply_is() -> None:
    """LIRA-42"""
    story = Story(*SPEAKING, SessionEnded("the meeting has ended"))
    assert story.phase is Phase.SPEAKING
    assert story.then(SpeakerDrained(1)).phase is Phase.IDLE
    assert Story(*LISTENING, SessionEnded("the meeting has ended")).phase is Phase.IDLE


@pytest.mark.parametrize(
    ("category", "fault"),
    [
        (Category.AUTH, Fault.REFUSED),
        (Category.CONFIG, Fault.REFUSED),
        (Category.NOT_FOUND, Fault.REFUSED),
        (Category.NETWORK, Fault.OFFLINE),
        (Category.QUOTA, Fault.USED_UP),
        (Category.CLOCK, Fault.CLOCK_WRONG),
        (Category.UPDATE, Fault.UPDATE_NEEDED),
        (None, None),
    ],
)
@pytest.mark.parametrize("events", [(wake(),), LISTENING, THINKING])
def test_why_a_session_ended_is_shown(events: tuple[Event, ...], category: Category | None, fault: Fault) -> None:
    """LIRA-05, LIRA-12: the light says so, and nothing redials."""
    story = Story(*events, SessionEnded("", category))
    assert (story.phase, story.state.fault) == (Phase.IDLE, fault)
    assert story.told(CloseSession)
    assert not story.told(OpenSession)


@pytest.mark.parametrize(
    ("category", "fault"),
    [
        (None, Fault.OFFLINE),
        (Category.NETWORK, Fault.OFFLINE),
        (Category.CLOCK, Fault.CLOCK_WRONG),
        (Category.SERVER, Fault.BUSY),
        (Category.RATE_LIMIT, Fault.BUSY),
    ],
)
@pytest.mark.parametrize("events", [(wake(),), LISTENING, (*SPEAKING, ReplyDone(1))])
def test_what_kept_the_link_from_coming_up_is_shown(
    events: tuple[Event, ...], category: Category | None, fault: Fault
) -> None:
    """The newest reason counts, and none once there was a link."""
    lost, other = SessionLost("gone", 1.0, category), SessionLost("gone", 1.0, Category.CLOCK)
    until_lost = (*events, other, lost, SpeakerDrained(1))
    assert Story(*until_lost, PHASE_TIMER).state.fault is fault
    assert Story(*until_lost, SessionReady()).state.trouble is None
    assert Story(*until_lost, StopRequested()).state.trouble is None


def test_a_needed_update_stays_until_a_session_succeeds() -> None:
    story = Story(wake(), SessionEnded("too old", Category.UPDATE), TimerExpired(Timer.FAULT))
    assert story.state.fault is Fault.UPDATE_NEEDED
    assert story.then(wake(), SessionReady()).state.fault is None


def test_a_refusal_stays_until_a_session_succeeds() -> None:
    story = Story(wake(), SessionEnded("refused", Category.AUTH), TimerExpired(Timer.FAULT))
    assert scene(story.state) is Scene.REFUSED
    assert scene(story.then(wake()).state) is Scene.REFUSED
    assert scene(story.then(SessionReady()).state) is Scene.LISTENING


def test_a_late_network_failure_in_idle_is_no_refusal() -> None:
    assert Story(SessionEnded("", Category.NETWORK)).state.fault is Fault.OFFLINE
    assert Story(SessionEnded("", Category.AUTH)).state.fault is Fault.REFUSED
    assert Story(SessionEnded("over")).state.fault is None


def test_rate_limiting_is_shown_and_passes() -> None:
    """LIRA-41: no reconnection."""
    story = Story(*LISTENING, ServiceError(Category.RATE_LIMIT, "RATE_LIMITED", "too many"))
    assert (story.phase, story.state.fault) == (Phase.LISTENING, Fault.BUSY)
    assert story.commands == [SetTimer(Timer.FAULT, POLICY.fault_shown)]
    assert story.then(TimerExpired(Timer.FAULT)).state.fault is None


@pytest.mark.parametrize("category", [c for c in Category if c is not Category.RATE_LIMIT])
def test_other_complaints_do_not_end_the_conversation(category: Category) -> None:
    """LIRA-30"""
    story = Story(*LISTENING, ServiceError(category, "X", ""))
    assert (story.phase, story.commands) == (Phase.LISTENING, [])


# --- mute and devices ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [(wake(),), LISTENING])
def test_mute_ends_what_needs_the_microphone(events: tuple[Event, ...]) -> None:
    story = Story(*events, MuteChanged(muted=True))
    assert (story.phase, story.window) == (Phase.IDLE, None)
    assert scene(story.state) is Scene.MUTED


def test_muting_closes_the_microphone_first_of_all_and_once() -> None:
    story = Story(*LISTENING, MuteChanged(muted=True))
    assert story.commands[0] == Capture(on=False)
    assert story.told(CloseSession)
    assert story.then(MuteChanged(muted=True)).commands == []
    assert story.then(MuteChanged(muted=False)).commands == [Capture(on=True)]
    assert story.then(MuteChanged(muted=False)).commands == []


def test_of_a_closed_microphone_nobody_knows_whether_it_is_there() -> None:
    story = Story(DeviceLost(Device.MICROPHONE, "gone"), DeviceLost(Device.SPEAKER, "gone"), MuteChanged(muted=True))
    assert story.state.lost == {Device.SPEAKER}
    assert scene(story.state) is Scene.NO_SPEAKER
    late = story.then(DeviceLost(Device.MICROPHONE, "this comes late"))
    assert (late.state.lost, late.commands) == (frozenset({Device.SPEAKER}), [])
    opened = late.then(MuteChanged(muted=False)).then(DeviceLost(Device.MICROPHONE, "still gone"))
    assert scene(opened.state) is Scene.NO_MICROPHONE


def test_muting_hides_no_other_fault() -> None:
    story = Story(wake(), SessionEnded("refused", Category.AUTH), MuteChanged(muted=True))
    assert story.state.fault is Fault.REFUSED


def test_a_reply_is_heard_to_its_end_though_muted() -> None:
    for policy in (POLICY, FULL):
        story = Story(*SPEAKING, MuteChanged(muted=True), policy=policy)
        assert (story.phase, story.window, story.told(Flush)) == (Phase.SPEAKING, None, [])
        assert story.then(ReplyDone(1), SpeakerDrained(1)).phase is Phase.IDLE


def test_muted_neither_wake_word_nor_button_opens_the_microphone() -> None:
    for event in (wake(), ButtonPressed(AT), ButtonHeld(AT), ButtonTapped(AT)):
        story = Story(MuteChanged(muted=True), event)
        assert (story.phase, story.window, story.commands) == (Phase.IDLE, None, [])


def test_muted_the_button_still_silences() -> None:
    story = Story(*SPEAKING, MuteChanged(muted=True), ButtonPressed(LATER))
    assert story.commands[0] == Flush(1, Source.BUTTON)
    assert story.phase is Phase.IDLE


def test_a_muted_box_does_not_wait_for_a_link_it_could_not_speak_to() -> None:
    assert Story(*THINKING, MuteChanged(muted=True), SessionLost("gone", 1.0)).phase is Phase.IDLE
    assert Story(*SPEAKING, MuteChanged(muted=True), SessionLost("", 1.0), SpeakerDrained(1)).phase is Phase.IDLE


def test_mute_and_unmute_in_idle_leave_it_as_it_was() -> None:
    assert Story(MuteChanged(muted=True), MuteChanged(muted=False)).state == State(POLICY)


@pytest.mark.parametrize("events", [(wake(),), LISTENING])
def test_without_a_microphone_the_conversation_is_over(events: tuple[Event, ...]) -> None:
    """Fault 31"""
    story = Story(*events, DeviceLost(Device.MICROPHONE, "unplugged"))
    assert (story.phase, story.state.fault, story.window) == (Phase.IDLE, Fault.NO_MICROPHONE, None)
    assert story.then(wake()).phase is Phase.IDLE
    assert story.then(DeviceReady(Device.MICROPHONE)).state.fault is None
    assert story.then(wake()).phase is Phase.CONNECTING


def test_a_microphone_lost_and_found_while_it_speaks_is_open_again_afterwards() -> None:
    for policy in (POLICY, FULL):
        story = Story(*SPEAKING, DeviceLost(Device.MICROPHONE, ""), policy=policy)
        assert (story.phase, story.window) == (Phase.SPEAKING, None)
        story.then(DeviceReady(Device.MICROPHONE), ReplyDone(1), SpeakerDrained(1))
        assert (story.phase, story.window) == (Phase.LISTENING, Window(None))


def test_without_a_speaker_the_reply_is_over() -> None:
    """Fault 36"""
    story = Story(*SPEAKING, DeviceLost(Device.SPEAKER, "unplugged"))
    assert (story.phase, story.state.fault) == (Phase.IDLE, Fault.NO_SPEAKER)


def test_a_reply_nobody_can_hear_is_not_waited_for() -> None:
    """A speaker that is gone reports no end."""
    story = Story(*THINKING, DeviceLost(Device.SPEAKER, "unplugged"), ReplyAudio(1, PCM))
    assert (story.phase, story.told(Play)) == (Phase.IDLE, [])


def test_of_two_lost_devices_the_microphone_is_shown_and_neither_is_forgotten() -> None:
    story = Story(DeviceLost(Device.SPEAKER, ""), DeviceLost(Device.MICROPHONE, ""))
    assert story.state.fault is Fault.NO_MICROPHONE
    assert story.then(DeviceReady(Device.MICROPHONE)).state.fault is Fault.NO_SPEAKER
    assert story.then(DeviceReady(Device.SPEAKER)).state.fault is None


def test_a_passing_fault_never_hides_a_lasting_one() -> None:
    story = Story(DeviceLost(Device.SPEAKER, ""), wake(), PHASE_TIMER)
    assert story.state.fault is Fault.NO_SPEAKER


# --- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [(), (wake(),), LISTENING, THINKING, SPEAKING])
def test_a_stop_is_obeyed_everywhere(events: tuple[Event, ...]) -> None:
    """Fault 65"""
    story = Story(*events, StopRequested())
    assert (story.phase, story.window) == (Phase.IDLE, None)
    assert story.told(CloseSession)
    assert story.told(Flush)


def test_fault_timers_do_not_end_phases() -> None:
    for events in ((wake(),), LISTENING, THINKING, SPEAKING):
        assert Story(*events, TimerExpired(Timer.FAULT)).phase is Story(*events).phase


def test_what_the_table_does_not_know_is_ignored() -> None:
    before = Story(*LISTENING).state
    assert step(before, SpeakerDrained(1)) == (before, ())
