"""Cutting the box short: by speaking, by the wake word, by the button. What was cut is never heard again."""

import time

import numpy as np

from tests.e2e.conftest import LEAD, Say
from tests.support.daemon import Daemon, Line, number
from tests.support.hearing import account, common, find
from tests.support.lira import Lira, stretches
from tests.support.pulse import Recording
from tests.support.speech import say as spoken
from tests.support.vendor import heard_by, sent_by
from voicebox.assets import speech
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE

LONG, SHORT = "answer", "ask_time"
QUESTION = spoken("what time is it?")
MOST_AFTER = round(0.020 * PLAYBACK_RATE)
SURELY = 72
"""Samples (3 ms): the log tells milliseconds, and the sound server hands the recording over in chunks of 2 ms."""


def begin(box: Daemon, say: Say) -> Line:
    """Ask by button and voice; returns the first sound of the long answer."""
    box.idle()
    box.tap()
    box.expect("→ listening")
    say(QUESTION)
    return box.expect("→ speaking .ReplyAudio")


def heard_and_silent(speaker: Recording, lira: Lira, speaking: Line, cut: Line) -> None:
    """The first answer as it was sent up to the cut; nothing more of it; then the second, whole."""
    sound = speaker.samples
    flushed = speaker.index(cut.moment)
    first, second = sent_by(lira.last, 1), account(sent_by(lira.last, 2), sound, flushed)
    assert second.whole, second
    begun = account(first[:2_400], sound, speaker.index(speaking.moment))
    assert begun.whole, begun
    assert flushed - begun.start > PLAYBACK_RATE // 2  # it really was being heard
    stale = sound[flushed + MOST_AFTER + SURELY : second.start]
    assert stale.size > PLAYBACK_RATE // 2
    assert not stale.any(), f"{np.count_nonzero(stale)} samples, the last {np.flatnonzero(stale)[-1]} after the limit"


class TestFullDuplex:
    CONFIG = """
        audio.duplex = "full"
        wake.enabled = false
        conversation.listen_timeout_s = 1.5
        conversation.follow_up_s = 1.5"""
    PINS = True
    ANSWERS = (LONG, SHORT)
    FAULTS = ("late_audio=400",)

    def test_the_service_is_talked_over(self, box: Daemon, lira: Lira, say: Say, speaker: Recording) -> None:
        """LIRA-36, LIRA-37, LIRA-38, LIRA-39."""
        speaking = begin(box, say)
        objection = np.concatenate([LEAD, speech("cut_in")])
        say(objection)
        cut = box.expect("^interrupted by server after")
        box.expect("speaking → listening .Interrupted")
        box.expect("→ speaking .ReplyAudio")
        box.expect("speaking → listening .SpeakerDrained")
        heard_and_silent(speaker, lira, speaking, cut)
        assert len(lira.last.late_pcm[1]) == 2 * round(0.4 * PLAYBACK_RATE)  # it did come, and nobody heard it
        assert find(objection, heard_by(lira.last)) >= 0  # without a gap, from before the cut to after it
        assert len(stretches(lira.last)) == 1

    def test_the_button_cuts_it_short(self, box: Daemon, lira: Lira, say: Say, speaker: Recording) -> None:
        """LIRA-40: no word of the service is needed."""
        speaking = begin(box, say)
        box.pins.wait_led(30, speaking.moment)  # a second or so of light, and of the answer
        box.tap()
        cut = box.expect("interrupted by button after")
        box.expect("speaking → listening .ButtonPressed")
        say(QUESTION)
        box.expect("→ speaking .ReplyAudio")
        box.expect("speaking → listening .SpeakerDrained")
        heard_and_silent(speaker, lira, speaking, cut)

    def test_the_light_tells_what_it_does_and_a_tap_ends_it(self, box: Daemon, say: Say) -> None:
        box.idle()
        box.tap()
        box.expect("→ listening")
        box.pins.until_led(1.0)
        say(QUESTION)
        speaking = box.expect("→ speaking")
        breath = box.pins.wait_led(30, speaking.moment)[1:]
        assert len(set(breath)) > 10
        assert all(0 < value < 1 for value in breath)
        box.tap()
        box.expect("speaking → listening .ButtonPressed")
        box.pins.until_led(1.0)
        box.tap()
        box.expect("listening → idle .ButtonTapped")
        box.pins.until_led(0.0)


class TestHalfDuplex:
    CONFIG = "conversation = { listen_timeout_s = 1.5, follow_up_s = 1.5 }"
    PINS = True
    ANSWERS = (LONG, SHORT)

    def test_the_wake_word_cuts_it_short(self, box: Daemon, lira: Lira, say: Say, speaker: Recording) -> None:
        """LIRA-40, LIRA-16, LIRA-14: and what is said with it is on its way, from before the wake word."""
        speaking = begin(box, say)
        objection = np.concatenate([LEAD, spoken("hey jarvis, tell me about the weather", "espeak:en-gb+f3")])
        say(objection)
        cut = box.expect("^interrupted by wake_word after")
        box.expect("speaking → listening .WakeDetected")
        box.expect("→ speaking .ReplyAudio")
        box.expect("speaking → listening .SpeakerDrained")
        heard_and_silent(speaker, lira, speaking, cut)
        said = stretches(lira.last)[1]
        start = find(said[:1_600], objection)
        assert 0 <= start < LEAD.size
        assert common(said, objection[start:]) == objection.size - start

    def test_push_to_talk_sends_what_is_said_while_the_button_is_held(self, box: Daemon, lira: Lira, say: Say) -> None:
        """From 300 ms before the press to 200 ms after the release, not a sample more or less."""
        box.idle()
        sentence = np.concatenate([LEAD, speech("answer2")[: 4 * CAPTURE_RATE]])
        box.pins.until_led(0.0)
        say(sentence)
        box.systemd.wait_for("WATCHDOG=1", since=time.monotonic() + 0.4)  # some of it is in the room before the press
        pressed = box.press()
        box.expect("→ listening")
        box.expect("^ButtonHeld")
        lira.until(lambda: np.abs(heard_by(lira.last)).max(initial=0) > 3_000)
        heard = heard_by(lira.last).size
        lira.until(lambda: heard_by(lira.last).size > heard + 8_000)
        released = box.release()
        box.expect("→ speaking .ReplyAudio")
        box.tap()
        since, until = number(pressed, "at") - 4_800, number(released, "at") + 3_200
        received = heard_by(lira.last)
        assert received.size == until - since
        assert find(received, sentence) >= 0
