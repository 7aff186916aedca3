"""What the box does in a conversation, one behaviour at a time."""

from dataclasses import replace

import pytest

from tests.core.story import AT, FULL, LATER, LISTENING, PCM, PHASE_TIMER, POLICY, SPEAKING, THINKING, Story, wake
from voicebox.core.commands import CancelReply, CloseSession, FinishReply, Flush, OpenSession, Play, SetTimer
from voicebox.core.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ButtonTapped,
    Event,
    Interrupted,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SessionLost,
    SessionReady,
    Source,
    SpeakerDrained,
    SpeechStarted,
    SpeechStopped,
    Timer,
    Transcript,
)
from voicebox.core.scenes import Scene, scene
from voicebox.core.state import Fault, Link, Phase, Window

# --- starting ------------------------------------------------------------------------------------------------------


def test_the_wake_word_dials_and_keeps_what_was_said_from_before_it() -> None:
    story = Story(wake())
    assert story.phase is Phase.CONNECTING
    assert story.window == Window(since=AT - POLICY.preroll)
    assert story.commands == [OpenSession(), SetTimer(Timer.PHASE, POLICY.connect_timeout)]


def test_nothing_is_wanted_from_before_capture_began() -> None:
    assert Story(wake(at=100)).window == Window(since=0)
    assert Story(*SPEAKING, wake(at=100)).window == Window(since=0)


def test_a_press_starts_too_with_its_own_preroll() -> None:
    story = Story(ButtonPressed(AT))
    assert (story.phase, story.window) == (Phase.CONNECTING, Window(since=AT - POLICY.press_preroll))
    assert Story(ButtonPressed(AT), ButtonTapped(AT)).phase is Phase.CONNECTING


def test_when_the_session_is_up_it_listens() -> None:
    story = Story(*LISTENING)
    assert (story.phase, story.state.link) == (Phase.LISTENING, Link.UP)
    assert story.window == Window(since=AT - POLICY.preroll)
    assert story.commands == [SetTimer(Timer.PHASE, POLICY.listen_timeout)]


def test_a_second_wake_word_while_connecting_jumps_the_redial_queue() -> None:
    story = Story(wake(), SessionLost("gone", 30.0), wake(LATER))
    assert story.told(OpenSession)
    assert story.window == Window(since=AT - POLICY.preroll)


def test_a_session_that_cannot_be_had_in_time_is_given_up_and_shown() -> None:
    story = Story(wake(), PHASE_TIMER)
    assert (story.phase, story.state.fault) == (Phase.IDLE, Fault.OFFLINE)
    assert story.told(CloseSession)
    assert scene(story.state) is Scene.OFFLINE


def test_a_session_that_comes_up_or_breaks_after_everybody_left_is_closed() -> None:
    assert Story(SessionReady()).commands == [CloseSession()]
    assert Story(SessionLost("gone", 1.0)).commands == [CloseSession()]


# --- listening -----------------------------------------------------------------------------------------------------


def test_silence_ends_the_conversation() -> None:
    story = Story(*LISTENING, PHASE_TIMER)
    assert (story.phase, story.window, story.state.fault) == (Phase.IDLE, None, None)


def test_somebody_speaking_has_longer() -> None:
    assert Story(*LISTENING, SpeechStarted()).commands == [SetTimer(Timer.PHASE, POLICY.utterance_timeout)]
    after = Story(*LISTENING, SpeechStarted(), SpeechStopped())
    assert after.commands == [SetTimer(Timer.PHASE, POLICY.listen_timeout)]


def test_a_tap_ends_what_a_wake_word_began() -> None:
    assert Story(*LISTENING, ButtonPressed(LATER)).phase is Phase.LISTENING
    assert Story(*LISTENING, ButtonPressed(LATER), ButtonTapped(LATER)).phase is Phase.IDLE
    assert Story(wake(), ButtonPressed(LATER), ButtonTapped(LATER)).phase is Phase.IDLE


@pytest.mark.parametrize(
    "nothing",
    [Transcript("assistant", "hello"), Transcript("user", "hel", final=False), Transcript("user", " ")],
)
def test_only_what_the_user_was_understood_to_say_makes_it_think(nothing: Transcript) -> None:
    assert Story(*LISTENING, nothing).phase is Phase.LISTENING
    assert Story(*THINKING).phase is Phase.THINKING


def test_the_microphone_stays_open_while_it_thinks() -> None:
    assert Story(*THINKING).window == Window(since=AT - POLICY.preroll)


# --- push-to-talk --------------------------------------------------------------------------------------------------


def test_hold_talks_until_the_release_and_its_tail() -> None:
    held = Story(ButtonPressed(AT), ButtonHeld(AT), SessionReady())
    assert (held.phase, held.state.held) == (Phase.LISTENING, True)
    assert held.commands == [SetTimer(Timer.PHASE, POLICY.utterance_timeout)]
    released = held.then(ButtonReleased(LATER))
    assert released.phase is Phase.THINKING
    assert released.window == Window(AT - POLICY.press_preroll, LATER + POLICY.release_tail)


def test_released_before_the_session_is_up_all_of_it_is_still_sent() -> None:
    story = Story(ButtonPressed(AT), ButtonHeld(AT), ButtonReleased(LATER))
    assert story.phase is Phase.CONNECTING
    assert story.then(SessionReady()).phase is Phase.THINKING
    assert story.window == Window(AT - POLICY.press_preroll, LATER + POLICY.release_tail)


@pytest.mark.parametrize("again", [[ButtonPressed(LATER), ButtonHeld(LATER)], [wake(LATER)]])
def test_more_to_say_after_a_release_while_connecting_is_heard_as_well(again: list[Event]) -> None:
    story = Story(ButtonPressed(AT), ButtonHeld(AT), ButtonReleased(AT + 9_000), *again, SessionReady())
    assert story.phase is Phase.LISTENING
    assert story.window == Window(AT - POLICY.press_preroll)


@pytest.mark.parametrize("before", [(), (SessionReady(),)], ids=["connecting", "listening"])
def test_a_hold_begins_before_the_press_also_where_speech_has_opened_the_window(before: tuple[Event, ...]) -> None:
    story = Story(ButtonPressed(AT), *before, SpeechStarted(AT + 10_000), policy=replace(POLICY, endpointing=True))
    assert story.window == Window(AT + 10_000 - POLICY.speech_preroll)
    assert story.then(ButtonHeld(AT)).window == Window(AT - POLICY.press_preroll)


@pytest.mark.parametrize(("later", "since"), [(2_000, 0), (8_000, 0), (8_001, 8_001)])
def test_speech_soon_after_a_press_is_sent_from_before_the_press(later: int, since: int) -> None:
    """What is sent before the press is known to be a hold belongs to the hold."""
    speech = SpeechStarted(AT - POLICY.press_preroll + later + POLICY.speech_preroll)
    story = Story(ButtonPressed(AT), speech, policy=replace(POLICY, endpointing=True))
    assert story.window == Window(AT - POLICY.press_preroll + since)


def test_a_hold_cuts_nothing_off_a_window_that_has_been_open_for_longer() -> None:
    assert Story(*LISTENING, ButtonPressed(LATER), ButtonHeld(LATER)).window == Window(AT - POLICY.preroll)


def test_a_release_that_ends_no_hold_means_nothing() -> None:
    for events in ((wake(),), LISTENING):
        before = Story(*events).state
        assert Story(*events, ButtonReleased(LATER)).state == before


@pytest.mark.parametrize("answer", [ReplyStarted(1), ReplyText(1, "well"), ReplyAudio(1, PCM)])
def test_whoever_holds_the_button_has_the_floor(answer: Event) -> None:
    """A pause in a held utterance makes the service answer too soon: the answer dies, the utterance goes on."""
    story = Story(*LISTENING, ButtonPressed(LATER), ButtonHeld(LATER), answer)
    assert (story.phase, story.state.held, story.state.floor) == (Phase.LISTENING, True, 1)
    assert story.commands == [CancelReply(1)]
    assert story.window is not None
    story.then(ReplyAudio(1, PCM))
    assert story.commands == []
    assert story.then(Transcript("user", "what")).phase is Phase.LISTENING
    assert story.then(ButtonReleased(LATER)).phase is Phase.THINKING
    assert story.then(ReplyAudio(2, PCM)).told(Play) == [Play(2, PCM)]


def test_after_a_held_utterance_the_microphone_opens_anew() -> None:
    story = Story(*LISTENING, ButtonPressed(LATER), ButtonHeld(LATER), ButtonReleased(LATER))
    story.then(ReplyStarted(1), ReplyDone(1))
    assert (story.phase, story.window) == (Phase.LISTENING, Window(None))


# --- the reply -----------------------------------------------------------------------------------------------------


def test_an_announced_reply_makes_it_think_and_its_sound_makes_it_speak() -> None:
    assert Story(*LISTENING, ReplyText(1, "hello")).phase is Phase.THINKING
    story = Story(*SPEAKING)
    assert story.phase is Phase.SPEAKING
    assert story.told(Play) == [Play(1, PCM)]


def test_sound_needs_no_announcement() -> None:
    """LIRA-35"""
    story = Story(*LISTENING, ReplyAudio(1, PCM))
    assert (story.phase, story.told(Play)) == (Phase.SPEAKING, [Play(1, PCM)])


def test_half_duplex_closes_the_microphone_until_the_speaker_has_drained() -> None:
    story = Story(*SPEAKING)
    assert story.window is None
    assert story.then(ReplyDone(1)).window is None
    assert story.then(SpeakerDrained(1)).phase is Phase.LISTENING
    assert story.window == Window(since=None)


def test_full_duplex_keeps_it_open() -> None:
    """LIRA-39"""
    story = Story(*SPEAKING, policy=FULL)
    assert story.window == Window(AT - POLICY.preroll)
    assert story.then(ReplyDone(1), SpeakerDrained(1)).window == Window(AT - POLICY.preroll)


def test_the_end_of_a_reply_lets_queued_sound_play_out() -> None:
    """LIRA-27"""
    story = Story(*SPEAKING, ReplyDone(1))
    assert story.phase is Phase.SPEAKING
    assert story.told(FinishReply) == [FinishReply(1)]
    assert not story.told(Flush)


def test_sound_after_the_end_of_its_own_reply_is_still_heard_and_ended() -> None:
    story = Story(*SPEAKING, ReplyDone(1), ReplyAudio(1, PCM))
    assert story.commands[:2] == [Play(1, PCM), FinishReply(1)]
    late = Story(*SPEAKING, ReplyDone(1), SpeakerDrained(1), ReplyAudio(1, PCM))
    assert late.phase is Phase.SPEAKING
    assert late.commands[:2] == [Play(1, PCM), FinishReply(1)]
    assert late.then(SpeakerDrained(1)).phase is Phase.LISTENING


def test_words_after_the_end_of_their_reply_do_not_make_it_wait() -> None:
    story = Story(*SPEAKING, ReplyDone(1), SpeakerDrained(1), ReplyText(1, "late"))
    assert story.phase is Phase.LISTENING


def test_a_reply_without_sound_returns_to_listening() -> None:
    assert Story(*THINKING, ReplyStarted(1), ReplyDone(1)).phase is Phase.LISTENING


def test_a_reply_that_never_comes_is_given_up_and_shown() -> None:
    story = Story(*THINKING, PHASE_TIMER)
    assert (story.phase, story.state.fault) == (Phase.IDLE, Fault.NO_REPLY)


def test_a_reply_that_stops_without_an_end_is_heard_to_its_end() -> None:
    """Fault 62: it plays what came, and resumes if more comes."""
    story = Story(*SPEAKING)
    assert story.told(SetTimer) == [SetTimer(Timer.PHASE, POLICY.stall_timeout)]
    story.then(PHASE_TIMER)
    assert (story.phase, story.told(FinishReply)) == (Phase.SPEAKING, [FinishReply(1)])
    assert story.then(SpeakerDrained(1)).phase is Phase.LISTENING
    assert story.then(ReplyAudio(1, PCM)).told(Play) == [Play(1, PCM)]


def test_a_newer_reply_follows_the_older_without_a_gap() -> None:
    story = Story(*SPEAKING, ReplyDone(1), ReplyStarted(2), ReplyAudio(2, PCM))
    assert story.told(Play) == [Play(2, PCM)]
    assert story.then(SpeakerDrained(1)).phase is Phase.SPEAKING
    assert story.then(ReplyDone(2), SpeakerDrained(2)).phase is Phase.LISTENING


def test_sound_of_an_overtaken_reply_is_not_heard() -> None:
    assert not Story(*SPEAKING, ReplyAudio(2, PCM), ReplyAudio(1, PCM)).told(Play)


# --- interruption --------------------------------------------------------------------------------------------------


def test_the_service_interrupts_and_it_listens_again() -> None:
    """LIRA-36, LIRA-38"""
    story = Story(*SPEAKING, Interrupted(1))
    assert story.commands[0] == Flush(1, Source.SERVER)
    assert (story.phase, story.state.floor) == (Phase.LISTENING, 1)
    assert story.window is not None
    assert not story.told(CancelReply)


def test_dead_sound_is_never_heard_again() -> None:
    """LIRA-37, fault 60"""
    story = Story(*SPEAKING, ReplyAudio(2, PCM), Interrupted(2))
    for reply_id in (2, 1, 0):
        assert story.then(ReplyAudio(reply_id, PCM)).commands == []
    assert story.then(ReplyAudio(3, PCM)).told(Play) == [Play(3, PCM)]


def test_a_newer_reply_plays_on_when_the_older_is_cut() -> None:
    story = Story(*SPEAKING, ReplyAudio(2, PCM), Interrupted(1))
    assert (story.phase, story.commands) == (Phase.SPEAKING, [Flush(1, Source.SERVER)])
    assert story.then(ReplyAudio(2, PCM)).told(Play) == [Play(2, PCM)]


def test_the_wake_word_cuts_the_reply_and_the_new_speech_is_on_its_way() -> None:
    """LIRA-40"""
    story = Story(*SPEAKING, wake(LATER))
    assert story.commands[:2] == [Flush(1, Source.WAKE_WORD), CancelReply(1)]
    assert (story.phase, story.window) == (Phase.LISTENING, Window(LATER - POLICY.preroll))


def test_in_full_duplex_the_speech_is_already_on_its_way_and_not_sent_twice() -> None:
    assert Story(*SPEAKING, wake(LATER), policy=FULL).window == Window(AT - POLICY.preroll)


def test_a_press_interrupts_at_once_and_its_tap_means_nothing_more() -> None:
    """LIRA-40"""
    story = Story(*SPEAKING, ButtonPressed(LATER))
    assert story.commands[:2] == [Flush(1, Source.BUTTON), CancelReply(1)]
    assert story.then(ButtonTapped(LATER)).phase is Phase.LISTENING
    assert story.window == Window(LATER - POLICY.press_preroll)


def test_a_press_that_becomes_a_hold_interrupts_and_talks() -> None:
    story = Story(*SPEAKING, ButtonPressed(LATER), ButtonHeld(LATER))
    assert (story.phase, story.state.held) == (Phase.LISTENING, True)
    assert story.then(ButtonReleased(LATER + 16_000)).phase is Phase.THINKING


@pytest.mark.parametrize("event", [ButtonTapped(LATER), ButtonHeld(LATER)])
def test_a_reply_that_begins_between_press_and_what_follows_is_cut_as_well(event: Event) -> None:
    story = Story(*LISTENING, ButtonPressed(LATER), ReplyAudio(1, PCM), event)
    assert story.commands[:2] == [Flush(1, Source.BUTTON), CancelReply(1)]
    assert story.phase is Phase.LISTENING


def test_thinking_can_be_interrupted_too() -> None:
    story = Story(*THINKING, ReplyStarted(1), wake(LATER))
    assert (story.phase, story.state.floor) == (Phase.LISTENING, 1)
    assert story.then(ReplyAudio(1, PCM)).commands == []


def test_an_interruption_while_nothing_is_said_changes_no_phase() -> None:
    for events in ((), (wake(),), LISTENING):
        before = Story(*events).phase
        assert Story(*events, Interrupted(7)).phase is before
        assert Story(*events, Interrupted(7)).state.floor == 7


def test_a_late_report_of_an_older_end_changes_nothing() -> None:
    story = Story(*SPEAKING, ReplyDone(1), ReplyAudio(2, PCM), ReplyDone(2), SpeakerDrained(1))
    assert story.phase is Phase.SPEAKING
