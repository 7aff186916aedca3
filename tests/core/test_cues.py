"""What is heard of what happens: earcons for what the box does, messages for what is wrong, in answer to an attempt."""

import pytest

from tests.core.story import AT, LATER, LISTENING, PHASE_TIMER, SPEAKING, THINKING, wake
from voicebox.core.cues import AGAIN_AFTER, FAULTS, MESSAGES, TABLE, Cue, Said, cue
from voicebox.core.events import (
    LAST_MINUTES,
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
    ReplyDone,
    ServiceError,
    SessionEnded,
    SessionLost,
    SessionReady,
    SessionWarning,
    SpeakerDrained,
    StopRequested,
    TextAsked,
    Timer,
    TimerExpired,
    Transcript,
)
from voicebox.core.state import Fault, State
from voicebox.core.transitions import step

UNPLUGGED = DeviceLost(Device.MICROPHONE, "unplugged")
MUTED = MuteChanged(muted=True)
PRESS = ButtonPressed(AT)


def heard(*events: Event) -> list[Cue]:
    """All that is heard of a story."""
    state, cues = State(), []
    for event in events:
        before, (state, _) = state, step(state, event)
        cues.append(cue(before, event, state))
    return [each for each in cues if each]


def last(*events: Event) -> Cue | None:
    """What is heard of its last event."""
    before = heard(*events[:-1])
    return next(iter(heard(*events)[len(before) :]), None)


def test_a_conversation_begins_and_ends_and_between_nothing_is_heard() -> None:
    assert heard(*SPEAKING, ReplyDone(1), SpeakerDrained(1), PHASE_TIMER) == [Cue.WAKE, Cue.END]
    assert heard(*SPEAKING, ReplyDone(1), SpeakerDrained(1), SessionEnded("over")) == [Cue.WAKE, Cue.END]


@pytest.mark.parametrize("events", [(), THINKING, SPEAKING])
def test_whoever_gets_the_box_to_listen_hears_that_it_does(events: tuple[Event, ...]) -> None:
    assert last(*events, wake(LATER)) is Cue.WAKE
    assert last(*events, PRESS) is Cue.BUTTON


def test_a_tap_that_ends_the_conversation_sounds_like_its_end() -> None:
    assert heard(PRESS, SessionReady(), ButtonTapped(AT), PRESS, ButtonTapped(AT)) == [Cue.BUTTON, Cue.END]


@pytest.mark.parametrize("kind", [ButtonTapped, ButtonHeld])
def test_a_press_whose_meaning_shows_later_is_heard_when_it_does(kind: type[ButtonTapped | ButtonHeld]) -> None:
    """Pressed while listening, the reply came before the release."""
    assert last(*SPEAKING, kind(LATER)) is Cue.BUTTON


@pytest.mark.parametrize(
    "event",
    [wake(LATER), PRESS, ButtonHeld(AT), ButtonReleased(LATER), Transcript("user", "x"), SessionLost("", 1.0)],
)
def test_who_is_listened_to_hears_nothing_new(event: Event) -> None:
    assert last(*LISTENING, event) is None


def test_the_service_interrupting_is_no_news() -> None:
    assert last(*SPEAKING, Interrupted(1)) is None


def test_mute_and_unmute_are_heard_once_each() -> None:
    unmute = MuteChanged(muted=False)
    assert heard(MUTED, MUTED, unmute, unmute) == [Cue.MUTE, Cue.UNMUTE]
    assert last(*LISTENING, MUTED) is Cue.MUTE  # not END as well
    assert last(*SPEAKING, MUTED) is Cue.MUTE


def test_a_press_that_can_do_nothing_says_why() -> None:
    assert last(MUTED, PRESS) is Cue.MUTE
    assert last(UNPLUGGED, PRESS) is Cue.NO_MICROPHONE
    assert heard(UNPLUGGED, PRESS, ButtonTapped(AT)) == [Cue.NO_MICROPHONE]


def test_the_last_minute_is_heard_and_other_warnings_are_not() -> None:
    assert last(*SPEAKING, SessionWarning(LAST_MINUTES, "60 s are left")) is Cue.LAST_MINUTE
    assert last(*SPEAKING, SessionWarning("idle", "")) is None


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (Category.AUTH, Cue.WRONG_TOKEN),
        (Category.CONFIG, Cue.ERROR),
        (Category.NOT_FOUND, Cue.ERROR),
        (Category.NETWORK, Cue.NO_NETWORK),
        (Category.QUOTA, Cue.USED_UP),
        (Category.CLOCK, Cue.CLOCK_WRONG),
        (Category.UPDATE, Cue.UPDATE_NEEDED),
    ],
)
@pytest.mark.parametrize("events", [(wake(),), LISTENING, SPEAKING])
def test_why_the_service_ended_it(events: tuple[Event, ...], category: Category, expected: Cue) -> None:
    assert last(*events, SessionEnded("", category)) is expected


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (None, Cue.NO_NETWORK),
        (Category.NETWORK, Cue.NO_NETWORK),
        (Category.SERVER, Cue.SERVER_BUSY),
        (Category.CLOCK, Cue.CLOCK_WRONG),
    ],
)
def test_what_kept_the_link_from_coming_up(category: Category | None, expected: Cue) -> None:
    """Not before the box gives up: a redial may help."""
    lost = SessionLost("", 1.0, category)
    assert heard(wake(), lost, lost, lost, PHASE_TIMER) == [Cue.WAKE, expected]


def test_an_older_fault_does_not_hide_what_went_wrong_now() -> None:
    """The light goes on showing the refusal, which lasts."""
    refused = (wake(), SessionEnded("", Category.AUTH))
    assert heard(*refused, wake(), SessionEnded("", Category.QUOTA))[-1] is Cue.USED_UP
    assert heard(*refused, wake(), SessionLost("", 1.0), PHASE_TIMER)[-1] is Cue.NO_NETWORK


def test_no_answer_is_an_error_and_has_no_message() -> None:
    assert last(*THINKING, PHASE_TIMER) is Cue.ERROR


def test_a_microphone_lost_in_a_conversation_is_said() -> None:
    assert last(*LISTENING, UNPLUGGED) is Cue.NO_MICROPHONE


@pytest.mark.parametrize(
    "event",
    [
        UNPLUGGED,
        DeviceLost(Device.SPEAKER, "unplugged"),
        DeviceReady(Device.MICROPHONE),
        SessionEnded("", Category.AUTH),
        SessionEnded("", Category.NETWORK),
        SessionLost("", 1.0, Category.CLOCK),
        ServiceError(Category.RATE_LIMIT, "", ""),
        TimerExpired(Timer.FAULT),
    ],
)
def test_nothing_comes_by_itself_at_night(event: Event) -> None:
    assert last(event) is None


def test_a_fault_of_before_is_not_heard_of_a_conversation_that_went_well() -> None:
    busy = ServiceError(Category.RATE_LIMIT, "", "")
    assert heard(*LISTENING, busy, PHASE_TIMER) == [Cue.WAKE, Cue.END]


def test_a_conversation_in_writing_and_the_end_of_the_program_are_silent() -> None:
    assert heard(TextAsked("hello"), SessionEnded("", Category.AUTH)) == []
    assert heard(*SPEAKING, StopRequested()) == [Cue.WAKE]
    assert last(TextAsked("hello"), MUTED) is Cue.MUTE


def test_every_fault_and_every_cue_has_its_place() -> None:
    assert set(FAULTS) == set(Fault)
    by_table = {heard for _, _, heard in TABLE if heard}
    assert by_table | set(FAULTS.values()) == set(Cue)
    assert set(FAULTS.values()) - {Cue.ERROR} == MESSAGES - {Cue.WRONG_TOKEN}


# --- once, and not in a loop ---------------------------------------------------------------------------------------


def test_a_message_is_due_once_until_its_fault_is_cured() -> None:
    said = Said()
    assert said.due(Cue.NO_NETWORK, 0.0)
    said.note(Cue.NO_NETWORK, 0.0)
    assert not said.due(Cue.NO_NETWORK, 60.0)
    assert said.due(Cue.WRONG_TOKEN, 60.0)
    said.follow(SessionReady())
    assert said.due(Cue.NO_NETWORK, 61.0)


def test_after_a_long_while_it_may_be_said_again() -> None:
    said = Said()
    said.note(Cue.NO_NETWORK, 5.0)
    assert not said.due(Cue.NO_NETWORK, 5.0 + AGAIN_AFTER - 1)
    assert said.due(Cue.NO_NETWORK, 5.0 + AGAIN_AFTER)


def test_a_session_cures_no_microphone_and_a_microphone_no_network() -> None:
    said = Said()
    for message in (Cue.NO_MICROPHONE, Cue.NO_NETWORK):
        said.note(message, 0.0)
    said.follow(SessionReady())
    assert not said.due(Cue.NO_MICROPHONE, 1.0)
    said.note(Cue.NO_NETWORK, 1.0)
    said.follow(DeviceReady(Device.SPEAKER))
    assert not said.due(Cue.NO_MICROPHONE, 1.0)
    said.follow(DeviceReady(Device.MICROPHONE))
    assert said.due(Cue.NO_MICROPHONE, 1.0)
    assert not said.due(Cue.NO_NETWORK, 1.0)
