"""A whole conversation: the wake word is spoken into the microphone, the answer leaves the speaker."""

from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import LEAD, Say
from tests.support.daemon import Daemon, voicebox
from tests.support.hearing import Samples, account, find
from tests.support.lira import Lira
from tests.support.pulse import PulseServer, Recording
from tests.support.speech import noise, silence
from tests.support.speech import say as spoken
from tests.support.vendor import TOKEN, heard_by, sent_by
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import resample

PREROLL = 24_000


def converse(box: Daemon, say: Say, question: Samples) -> None:
    """Ask; the story then stands at the first sound of the answer."""
    box.idle()
    say(question)
    box.expect("^idle → connecting .WakeDetected")


class TestByVoice:
    CONFIG = "conversation = { listen_timeout_s = 2.0, follow_up_s = 2.0 }"

    def test_is_ready_once_the_microphone_delivers_and_says_so_to_systemd(self, box: Daemon) -> None:
        messages = box.systemd.messages
        assert messages[0] == "STATUS=starting"
        assert messages.index("READY=1") < messages.index('STATUS=waiting for "hey jarvis"')
        heard, ready = box.said("^DeviceReady.*microphone")[0], box.said("^ready: ")[0]
        assert heard.moment <= ready.moment

    def test_feeds_the_watchdog_while_audio_flows(self, box: Daemon) -> None:
        ready = box.systemd.wait_for("READY=1")
        first = box.systemd.wait_for("WATCHDOG=1", since=ready.moment)
        third = box.systemd.wait_for("WATCHDOG=1", since=ready.moment, count=3)
        assert third.moment - first.moment < 2 * 1.0  # of three pings none came later than the unit allows

    @pytest.mark.parametrize("voice", ["flite:slt", "espeak:en-gb+f3"])
    def test_the_question_reaches_the_service_whole_and_the_answer_the_ear(
        self, box: Daemon, lira: Lira, say: Say, speaker: Recording, voice: str
    ) -> None:
        """LIRA-14, LIRA-15, LIRA-27, LIRA-33."""
        question = np.concatenate([LEAD, spoken("hey jarvis, what time is it?", voice)])
        converse(box, say, question)
        box.expect("connecting → listening .SessionReady")
        speaking = box.expect("thinking → speaking .ReplyAudio")
        drained = box.expect("speaking → listening .SpeakerDrained")
        box.expect("listening → idle")

        received = heard_by(lira.last)
        begin = find(received[:1_600], question)
        rest = question[begin:]
        assert 0 < begin < LEAD.size  # what came before the wake word is in it
        assert np.array_equal(received[: rest.size], rest)
        assert not received[rest.size :].any()
        wake = begin + PREROLL  # the wake word was recognised here: in the sentence, but not at its end
        assert LEAD.size + 0.5 * CAPTURE_RATE < wake < question.size

        answer = sent_by(lira.last, 1)
        heard = account(answer, speaker.samples, speaker.index(speaking.moment))
        assert heard.whole, heard
        assert speaker.index(drained.moment) >= heard.end - 48  # "drained" is never said before it is so

    def test_half_duplex_the_service_hears_nothing_until_the_answer_has_been_heard(
        self, box: Daemon, lira: Lira, say: Say
    ) -> None:
        """LIRA-16, LIRA-39."""
        babble = noise(1.0, -30, seed=5)
        converse(box, say, np.concatenate([LEAD, spoken("hey jarvis, what time is it?")]))
        speaking = box.expect("thinking → speaking")
        say(babble)  # while the answer is heard
        drained = box.expect("speaking → listening .SpeakerDrained")
        box.expect("listening → idle")
        lira.until(lambda: any(m.text and "leave" in m.text for m in lira.last.messages))

        received = [m for m in lira.last.messages if m.direction == "received"]
        closed = next(i for i, m in enumerate(received) if m.text and "audio_stop" in m.text)
        reopened = next(
            i for i, m in enumerate(received) if m.at > received[closed].at and "audio_start" in (m.text or "")
        )
        assert received[closed].at - speaking.moment < 0.1
        assert reopened == closed + 1
        assert received[reopened].at >= drained.moment - 0.001
        assert find(babble[:320], heard_by(lira.last)) == -1

    def test_lists_the_devices_there_are(self, pulse: PulseServer, tmp_path: Path) -> None:
        listed = voicebox("devices", environ=pulse.env, cwd=tmp_path)
        assert listed.returncode == 0
        names = [line.split("  ")[0] for line in listed.stdout.splitlines()]
        assert {"box_mic", "box_speaker", "default"} <= set(names)
        assert listed.stderr == ""

    def test_says_nothing_worse_than_information_and_no_secret(self, box: Daemon) -> None:
        """LIRA-03."""
        box.idle()
        assert {line.level for line in box.lines} <= {"DEBUG", "INFO"}
        assert not box.said(TOKEN)
        assert not any(TOKEN in message for message in box.systemd.messages)


def test_without_a_service_it_answers_as_a_parrot(
    pulse: PulseServer, tmp_path: Path, say: Say, speaker: Recording
) -> None:
    """As freshly installed: it says back what follows the wake word. LIRA-33: at its own speed."""
    question = np.concatenate([LEAD, spoken("hey jarvis, what time is it?"), silence(0.3)])
    tail = resample(spoken("hey jarvis, what time is it?")[-CAPTURE_RATE * 6 // 10 :], CAPTURE_RATE, PLAYBACK_RATE)
    with Daemon(tmp_path, "", environ=pulse.env) as box:
        box.ready()
        assert box.said("no service is configured: the box answers as a parrot")
        say(question)
        begin = speaker.index(box.expect("thinking → speaking").moment)
        end = speaker.index(box.expect("speaking → listening").moment)
        speaker.wait_for(end, timeout=5)
        assert likeness(tail, speaker.samples[begin:end]) > 0.9
        box.terminate()
        assert box.wait(2) == 0


def likeness(needle: Samples, haystack: Samples) -> float:
    """1.0 where ``needle`` is somewhere in ``haystack``, about 0 for other sound."""
    wanted, sound = needle.astype(float), haystack.astype(float)
    return float(np.correlate(sound, wanted, "valid").max() / (wanted @ wanted))
