"""The microphone hears the speaker, through PulseAudio: the box talks and talks, and never to itself.

Five minutes of it with LONG_TESTS=1, else some seconds. A machine too busy for sound tears the reply, which proves
nothing: then it is tried again. tests/box/test_echo.py puts the box into a room in virtual time.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.e2e.conftest import Say
from tests.support.daemon import Daemon
from tests.support.lira import Lira
from tests.support.long import LONG
from tests.support.pulse import PulseServer, Recording
from tests.support.speech import RATE, Samples, noise, silence
from tests.support.speech import say as spoken
from voicebox.assets import speech
from voicebox.audio.base import PLAYBACK_RATE

TALK = (
    ("The train to the airport leaves every fifteen minutes from platform four. It takes half an hour.", "flite:slt"),
    ("Hey Jarvis, that is what they call me, and I like it.", "flite:rms"),
    ("To make a good soup you need an onion, two carrots, some celery and a litre of water.", "espeak:en-gb"),
)
LEAD = noise(1.6, -66)
QUESTION = np.concatenate([LEAD, spoken("hey jarvis, what time is it?", "flite:awb")])
OBJECTION = np.concatenate([LEAD[:4_800], speech("cut_in")])
DELAY, DECIBELS = 0.06, -3.0
LEARNING, TALKING = (15, 300) if LONG else (12, 10)  # seconds
ATTEMPTS = 3
MOST_AFTER = round(0.020 * PLAYBACK_RATE)
SURELY = 72  # samples (3 ms): the log tells milliseconds


def monologue(seconds: float) -> Samples:
    """Of so many seconds; it says the box's own wake word again and again."""
    round_ = np.concatenate([piece for text, voice in TALK for piece in (spoken(text, voice), silence(0.3))])
    return np.resize(round_, round(seconds * RATE))


@pytest.fixture(scope="module")
def room(pulse: PulseServer) -> Iterator[None]:
    with pulse.acoustic_loop(DELAY, DECIBELS):
        yield


@pytest.fixture(scope="module")
def lira() -> Iterator[Lira]:
    with Lira("answer") as server:
        yield server


@pytest.fixture(scope="module")
def box(
    room: None,  # noqa: ARG001  # it is in it
    pulse: PulseServer,
    lira: Lira,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Daemon]:
    config = f'service = "lira"\nconversation.follow_up_s = 1.5\n{lira.config}'
    environ = {**pulse.env, "VOICEBOX_AUDIO__ECHO_CANCELLATION": "true"}
    with Daemon(tmp_path_factory.mktemp("box"), config, environ=environ, secrets=lira.secrets) as daemon:
        daemon.ready()
        yield daemon


def ask(box: Daemon, say: Say) -> int:
    """Wake it and ask; returns after how many lines of its log it speaks."""
    box.idle()
    say(QUESTION)
    box.expect("→ connecting .WakeDetected")
    speaking = box.expect("→ speaking .ReplyAudio", timeout=30)
    return box.lines.index(speaking)


def unless_starved(box: Daemon, story: Callable[[], None]) -> None:
    """Raises what ``story`` raises, unless its speaker ran dry meanwhile: then it is told again."""
    for _ in range(ATTEMPTS):
        before = underruns(box)
        try:
            story()
        except AssertionError:
            if underruns(box) == before:
                raise
        else:
            return
    pytest.skip(f"the speaker ran dry in each of {ATTEMPTS} attempts: this machine is too busy for sound")


def underruns(box: Daemon) -> int:
    return int(box.ask("status")["underruns"])


def talk_to_the_end(box: Daemon, since: int, seconds: float) -> None:
    box.expect("speaking → listening .SpeakerDrained", timeout=seconds + 30)
    told = [line.text for line in box.lines[since:]]
    assert [text for text in told if "WakeDetected" in text or "interrupted" in text] == []


def test_com_07_it_talks_and_neither_wakes_nor_interrupts_itself(box: Daemon, lira: Lira, say: Say) -> None:
    """First while it learns the room, in half duplex; then for long, and the service hears the room all the time."""

    def story() -> None:
        for length in (LEARNING, TALKING):
            lira.will_read(monologue(length))
            talk_to_the_end(box, ask(box, say), length + 15)
        box.expect("listening → idle")
        assert box.said("the echo is being taken out")
        assert [line.text for line in box.lines if line.level not in ("DEBUG", "INFO")] == []

    unless_starved(box, story)


def test_com_07_a_voice_over_it_interrupts_at_once(box: Daemon, lira: Lira, say: Say, speaker: Recording) -> None:
    def story() -> None:
        lira.will_read(monologue(20), monologue(3))
        ask(box, say)
        speaker.wait_for(speaker.samples.size + 4 * PLAYBACK_RATE, timeout=20)
        say(OBJECTION)
        cut = box.expect("^interrupted by server after")
        again = box.expect("→ speaking .ReplyAudio", timeout=30)
        box.expect("speaking → listening .SpeakerDrained", timeout=60)
        flushed, begun = speaker.index(cut.moment), speaker.index(again.moment)
        sound = speaker.samples
        assert np.count_nonzero(sound[flushed - PLAYBACK_RATE : flushed]) > PLAYBACK_RATE // 2  # it was being heard
        stale = sound[flushed + MOST_AFTER + SURELY : begun]
        assert stale.size > PLAYBACK_RATE // 4
        assert not stale.any(), (
            f"{np.count_nonzero(stale)} samples, the last {np.flatnonzero(stale)[-1]} after the limit"
        )

    unless_starved(box, story)
