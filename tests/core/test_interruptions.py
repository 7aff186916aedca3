"""Who may cut a reply, and what becomes of it when somebody speaks over it: one behaviour at a time."""

from dataclasses import replace

import pytest

from tests.core.story import AT, LATER, PCM, PHASE_TIMER, POLICY, SPEAKING, THINKING, Story, wake
from voicebox.core.commands import (
    CancelReply,
    CloseSession,
    Command,
    Duck,
    FinishReply,
    Flush,
    Hold,
    OpenSession,
    Play,
    Resume,
    SetTimer,
)
from voicebox.core.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ButtonTapped,
    Device,
    DeviceLost,
    Event,
    Interrupted,
    MuteChanged,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    SessionEnded,
    SessionLost,
    SessionReady,
    Source,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    TextAsked,
    Timer,
    TimerExpired,
    Transcript,
)
from voicebox.core.state import Link, Phase, Policy, Window


def may(*who: Source, **other: object) -> Policy:
    return replace(POLICY, interrupted_by=frozenset(who), **other)  # type: ignore[arg-type]  # whatever a policy has


NOBODY = may()
SPEECH = may(Source.SPEECH)
DUCKS = may(duck=True, full_duplex=True)
OVERLAP = TimerExpired(Timer.OVERLAP)
ENOUGH = SetTimer(Timer.OVERLAP, None)
HELD = (*SPEAKING, SpeechStarted(LATER))


# --- who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event", [wake(LATER), ButtonPressed(LATER), ButtonTapped(LATER), ButtonHeld(LATER), Interrupted(0)]
)
def test_who_may_not_cut_changes_nothing_that_is_heard(event: Event) -> None:
    story = Story(*SPEAKING, event, policy=NOBODY)
    assert story.phase is Phase.SPEAKING
    assert story.commands == []
    assert (story.state.floor, story.state.held) == (0, False)
    assert story.then(ReplyAudio(1, PCM)).told(Play)


def test_a_service_that_may_not_cut_sends_no_more_so_its_reply_is_complete() -> None:
    story = Story(*SPEAKING, Interrupted(1), policy=NOBODY)
    assert story.told(FinishReply) == [FinishReply(1)]
    assert not story.told(Flush)
    assert story.then(Interrupted(1)).commands == []
    assert story.then(SpeakerDrained(1)).phase is Phase.LISTENING


def test_a_newer_reply_than_the_one_it_would_cut_is_still_coming() -> None:
    story = Story(*SPEAKING, ReplyDone(1), ReplyStarted(2), ReplyAudio(2, PCM), Interrupted(1), policy=NOBODY)
    assert story.commands == []
    assert not story.state.complete


@pytest.mark.parametrize("event", [wake(LATER), ButtonPressed(LATER), ButtonTapped(LATER), ButtonHeld(LATER)])
def test_while_it_thinks_nothing_is_heard_that_would_have_to_be_protected(event: Event) -> None:
    assert Story(*THINKING, event, policy=NOBODY).phase is Phase.LISTENING


def test_the_owners_written_turn_always_cuts() -> None:
    story = Story(*SPEAKING, TextAsked("stop"), policy=NOBODY)
    assert story.told(Flush) == [Flush(1, Source.TEXT)]


def test_a_tap_that_was_for_nothing_does_not_end_the_conversation_either() -> None:
    """The press came over the reply, which ended before the release."""
    story = Story(*SPEAKING, ReplyDone(1), ButtonPressed(LATER), SpeakerDrained(1), ButtonTapped(LATER), policy=NOBODY)
    assert story.phase is Phase.LISTENING
    assert story.then(ButtonPressed(LATER), ButtonTapped(LATER)).phase is Phase.IDLE


def test_a_button_held_from_the_reply_into_the_listening_talks() -> None:
    story = Story(*SPEAKING, ReplyDone(1), ButtonPressed(LATER), SpeakerDrained(1), ButtonHeld(LATER), policy=NOBODY)
    assert story.state.held
    assert story.then(ButtonReleased(LATER + 16_000)).phase is Phase.THINKING


def test_a_button_held_and_let_go_over_a_reply_leaves_no_trace() -> None:
    story = Story(*SPEAKING, ButtonPressed(LATER), ButtonHeld(LATER), ButtonReleased(LATER + 16_000), policy=NOBODY)
    assert (story.phase, story.state.held, story.commands) == (Phase.SPEAKING, False, [])
    assert story.then(ReplyDone(1), SpeakerDrained(1)).phase is Phase.LISTENING


# --- speech that may cut ---------------------------------------------------------------------------------------------


def test_speech_over_a_reply_is_silence_at_once_and_no_more_yet() -> None:
    story = Story(*HELD, policy=SPEECH)
    assert story.commands == [Hold(), SetTimer(Timer.OVERLAP, SPEECH.guard)]
    assert (story.phase, story.state.floor, story.state.holding) == (Phase.SPEAKING, 0, True)
    assert story.then(SpeechStarted(LATER + 320)).commands == []


def test_if_it_was_nothing_the_reply_goes_on() -> None:
    story = Story(*HELD, SpeechStopped(LATER + 3_200), policy=SPEECH)
    assert story.commands == [Resume(), ENOUGH]
    assert (story.phase, story.state.holding) == (Phase.SPEAKING, False)
    assert story.then(SpeechStarted(LATER + 9_600)).told(Hold)


CUTS = [Flush(1, Source.SPEECH), CancelReply(1)]


@pytest.mark.parametrize(
    "event", [OVERLAP, Transcript("user", "st", final=False), Transcript("user", "stop"), Interrupted(1)]
)
def test_if_it_goes_on_or_was_words_it_is_an_interruption_from_where_it_began(event: Event) -> None:
    story = Story(*HELD, event, policy=SPEECH)
    assert story.phase is Phase.LISTENING
    assert story.commands == [*CUTS, Resume(), ENOUGH, SetTimer(Timer.PHASE, SPEECH.listen_timeout)]
    assert story.window == Window(LATER - SPEECH.speech_preroll)
    assert not story.then(ReplyAudio(1, PCM)).told(Play)


@pytest.mark.parametrize("event", [Transcript("assistant", "well"), Transcript("user", " ")])
def test_what_the_service_says_itself_is_no_word_of_theirs(event: Event) -> None:
    story = Story(*HELD, event, policy=SPEECH)
    assert (story.commands, story.state.holding) == ([], True)


def test_words_without_anybody_heard_cut_nothing() -> None:
    """The service may be late with what was said before."""
    assert Story(*SPEAKING, Transcript("user", "what time is it"), policy=SPEECH).commands == []


def test_a_service_that_may_cut_does_so_in_its_own_name_also_while_the_reply_is_held() -> None:
    story = Story(*HELD, Interrupted(1), policy=may(Source.SPEECH, Source.SERVER))
    assert story.told(Flush) == [Flush(1, Source.SERVER)]


def test_a_newer_reply_stays_held_when_the_older_is_cut() -> None:
    """The flush ended the speaker's hold, and it is still unknown whether somebody speaks."""
    story = Story(*SPEAKING, ReplyStarted(2), ReplyAudio(2, PCM), SpeechStarted(LATER), policy=may(*Source))
    assert story.then(Interrupted(1)).commands == [Flush(1, Source.SERVER), Hold()]
    assert story.then(OVERLAP).told(Flush) == [Flush(2, Source.SPEECH)]


def test_what_comes_of_a_held_reply_is_kept() -> None:
    story = Story(*HELD, ReplyAudio(1, PCM), policy=SPEECH)
    assert story.told(Play)
    assert story.state.holding
    assert story.then(ReplyDone(1)).told(FinishReply)
    assert story.state.holding


def test_a_silent_service_does_not_end_a_hold_before_its_time() -> None:
    story = Story(*HELD, PHASE_TIMER, policy=SPEECH)
    assert story.told(FinishReply)
    assert story.state.holding


@pytest.mark.parametrize("event", [MuteChanged(muted=True), DeviceLost(Device.MICROPHONE, "gone")])
def test_where_nobody_can_be_heard_any_more_the_reply_goes_on(event: Event) -> None:
    story = Story(*HELD, event, policy=SPEECH)
    assert story.told(Resume)
    assert (story.phase, story.state.holding) == (Phase.SPEAKING, False)
    assert story.then(SpeechStarted(LATER)).commands == []


def test_nobody_was_asked_to_speak_in_a_written_conversation() -> None:
    asked = (TextAsked("what time is it"), SessionReady(), ReplyStarted(1), ReplyAudio(1, PCM))
    assert Story(*asked, SpeechStarted(LATER), policy=SPEECH).commands == []


def test_speech_over_what_a_lost_session_left_dials_anew() -> None:
    story = Story(*SPEAKING, SessionLost("gone", 1.0), SpeechStarted(LATER), OVERLAP, policy=SPEECH)
    assert (story.phase, story.state.link) == (Phase.CONNECTING, Link.BACKOFF)
    assert story.told(OpenSession)
    assert story.window == Window(LATER - SPEECH.speech_preroll)


def test_speech_over_a_last_reply_silences_it_and_opens_nothing() -> None:
    """The service has hung up: only the wake word or the button begins anew."""
    story = Story(*SPEAKING, SessionEnded("over"), SpeechStarted(LATER), OVERLAP, policy=SPEECH)
    assert story.phase is Phase.IDLE
    assert story.told(Flush) == [Flush(1, Source.SPEECH)]
    assert not story.told(OpenSession)


def test_a_setting_that_changes_while_a_reply_is_held_does_not_leave_it_held() -> None:
    story = Story(*HELD, policy=SPEECH)
    story.state = replace(story.state, policy=NOBODY)
    assert story.then(SpeechStopped(LATER)).told(Resume)


# --- speech that may not ---------------------------------------------------------------------------------------------


def test_a_reply_is_softer_while_somebody_speaks_over_it() -> None:
    story = Story(*SPEAKING, SpeechStarted(LATER), policy=DUCKS)
    assert story.commands == [Duck(on=True), SetTimer(Timer.OVERLAP, DUCKS.utterance_timeout)]
    assert story.then(Transcript("user", "stop")).commands == []
    assert story.then(SpeechStopped(LATER)).commands == [Duck(on=False), ENOUGH]
    assert story.phase is Phase.SPEAKING


@pytest.mark.parametrize(
    "end",
    [OVERLAP, MuteChanged(muted=True), TextAsked("stop"), SessionEnded("no", None), SpeakerDrained(1)],
)
def test_softer_does_not_last(end: Event) -> None:
    story = Story(*SPEAKING, ReplyDone(1), SpeechStarted(LATER), end, policy=DUCKS)
    if isinstance(end, SessionEnded):  # its last reply is heard to the end
        story.then(SpeechStopped(LATER))
    assert Duck(on=False) in story.commands
    assert ENOUGH in story.commands
    assert story.state.overlap is None


def test_whoever_began_over_the_end_of_a_reply_is_heard_from_there() -> None:
    """A service that takes whole utterances heard nothing of it so far."""
    whole = replace(DUCKS, endpointing=True)
    story = Story(*SPEAKING, ReplyDone(1), SpeechStarted(LATER), SpeakerDrained(1), policy=whole)
    assert story.phase is Phase.LISTENING
    assert story.window == Window(AT - whole.preroll, armed=True)
    said = Story(*THINKING, policy=whole)
    said.state = replace(said.state, window=Window(AT, LATER))  # its utterance was over
    said.then(ReplyStarted(1), ReplyAudio(1, PCM), ReplyDone(1), SpeechStarted(2 * LATER), SpeakerDrained(1))
    assert said.window == Window(2 * LATER - whole.speech_preroll, armed=True)


@pytest.mark.parametrize("policy", [NOBODY, POLICY], ids=["nobody may", "as it comes"])
def test_otherwise_speech_over_a_reply_is_nothing_to_the_box(policy: Policy) -> None:
    story = Story(*SPEAKING, SpeechStarted(LATER), policy=policy)
    assert story.commands == []
    assert story.then(SpeechStopped(LATER)).commands == []


# --- after the reply -------------------------------------------------------------------------------------------------

OVER = (*SPEAKING, ReplyDone(1), SpeakerDrained(1))
BRIEF = replace(POLICY, follow_up=3.0)


def test_after_a_reply_there_is_time_to_follow_up() -> None:
    story = Story(*OVER, policy=BRIEF)
    assert (story.phase, story.state.follow_up) == (Phase.LISTENING, True)
    assert story.commands == [SetTimer(Timer.PHASE, 3.0)]
    assert story.then(PHASE_TIMER).phase is Phase.IDLE
    assert not story.state.follow_up


def test_the_time_does_not_count_while_it_is_heard() -> None:
    commands: list[Command] = Story(*SPEAKING, ReplyDone(1), policy=BRIEF).commands
    assert commands == [FinishReply(1), SetTimer(Timer.PHASE, None)]


@pytest.mark.parametrize(
    ("event", "seconds"),
    [
        (SpeechStarted(LATER), POLICY.utterance_timeout),
        (wake(LATER), POLICY.listen_timeout),
        (ButtonHeld(LATER), POLICY.utterance_timeout),
    ],
)
def test_whoever_follows_up_has_as_long_as_ever(event: Event, seconds: float) -> None:
    story = Story(*OVER, event, policy=BRIEF)
    assert (story.phase, story.state.follow_up) == (Phase.LISTENING, False)
    assert story.commands == [SetTimer(Timer.PHASE, seconds)]


def test_after_a_cough_it_waits_as_long_as_for_anybody() -> None:
    story = Story(*OVER, SpeechStarted(LATER), SpeechStopped(LATER), policy=BRIEF)
    assert story.commands == [SetTimer(Timer.PHASE, BRIEF.listen_timeout)]


def test_an_interrupted_reply_is_not_followed_up_but_talked_over() -> None:
    story = Story(*SPEAKING, Interrupted(1), policy=BRIEF)
    assert not story.state.follow_up
    assert story.told(SetTimer) == [SetTimer(Timer.PHASE, BRIEF.listen_timeout)]


def test_no_time_to_follow_up_is_the_end() -> None:
    story = Story(*OVER, policy=replace(POLICY, follow_up=0.0))
    assert story.phase is Phase.IDLE
    assert story.told(CloseSession)


def test_a_reply_without_sound_was_no_answer_and_ends_nothing() -> None:
    story = Story(*THINKING, ReplyStarted(1), ReplyDone(1), policy=replace(POLICY, follow_up=0.0))
    assert (story.phase, story.state.follow_up) == (Phase.LISTENING, False)
