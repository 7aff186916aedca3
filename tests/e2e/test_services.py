"""A whole conversation with each of the other services, as its owner has it: woken by voice, answered, interrupted,
and ended by systemd in the middle of it.

A class per service would say the same thing three times: the differences are the table ``CASES``.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.e2e.conftest import LEAD, Say
from tests.support.daemon import Daemon, Line
from tests.support.hearing import Account, Samples, account
from tests.support.likeness import Likeness, likeness
from tests.support.pulse import PulseServer, Recording
from tests.support.speech import say as spoken
from tests.support.vendor import Vendor, sent_by
from voicebox.assets import speech
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.simulator.recording import Noted

LONG, SHORT = "answer", "ask_time"
QUESTION = np.concatenate([LEAD, spoken("hey jarvis, what time is it?")])
OBJECTION = np.concatenate([LEAD, spoken("hey jarvis, tell me about the weather", "espeak:en-gb+f3")])
INTERJECTION = np.concatenate([LEAD, speech("cut_in")])
LATE_MS = 400
MOST_AFTER = round(0.023 * PLAYBACK_RATE)  # 20 ms, and 3 ms for how exactly the log and the recording tell the time
LIMIT = 2.0  # seconds that SIGTERM may take


@dataclass(frozen=True)
class Case:
    """How a service is talked to, interrupted, and listened to."""

    service: str
    duplex: str
    fault: str  # the dead reply goes on coming
    objection: Samples
    interrupted: tuple[str, str]  # by whom, and the event that says so
    compare: Callable[[Samples, Samples, int], Account | Likeness]
    """What became of a reply that was sent, in what was heard from this sample on."""
    secrets: int
    """How many there are by the end of a conversation, those of the service's own making among them."""


CASES = (
    Case("nextevi", "full", f"late_audio={LATE_MS}", INTERJECTION, ("server", "Interrupted"), account, 1),
    Case("zeebee", "half", "slow_audio=2", OBJECTION, ("wake_word", "WakeDetected"), likeness, 2),
    Case("liku", "half", f"late_audio={LATE_MS}", OBJECTION, ("wake_word", "WakeDetected"), account, 4),
)


@pytest.fixture(scope="class", params=CASES, ids=lambda case: case.service)
def case(request: pytest.FixtureRequest) -> Case:
    wanted: Case = request.param
    return wanted


@pytest.fixture(scope="class")
def vendor(case: Case) -> Iterator[Vendor]:
    with Vendor(case.service, SHORT, faults=[case.fault]) as server:
        yield server


@pytest.fixture(scope="class")
def box(case: Case, pulse: PulseServer, vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    config = f"""
        service = "{case.service}"
        audio.duplex = "{case.duplex}"
        conversation.listen_timeout_s = 1.5
        conversation.follow_up_s = 1.5
        {vendor.config}"""
    folder = tmp_path_factory.mktemp(case.service)
    with Daemon(folder, config, environ=pulse.env, secrets=vendor.secrets) as daemon:
        daemon.ready()
        yield daemon


def ask(box: Daemon, say: Say) -> Line:
    """Wake it and ask; returns the first sound of the answer."""
    box.idle()
    say(QUESTION)
    box.expect("^idle → connecting .WakeDetected")
    box.expect("connecting → listening .SessionReady")
    return box.expect("→ speaking .ReplyAudio")


class TestService:
    def test_the_answer_is_heard_whole(
        self, case: Case, box: Daemon, vendor: Vendor, say: Say, speaker: Recording
    ) -> None:
        """PCM: every sample once and in order; MP3: every 20 ms of it."""
        vendor.will_say(SHORT)
        speaking = ask(box, say)
        drained = box.expect("speaking → listening .SpeakerDrained")
        box.expect("listening → idle")
        heard = case.compare(sent_by(vendor.last, 1), speaker.samples, before(speaker, speaking))
        assert heard.whole, heard
        assert speaker.index(drained.moment) >= heard.end - MOST_AFTER  # "drained" is never said before it is so

    def test_what_was_cut_is_never_heard_again_and_the_next_answer_whole(
        self, case: Case, box: Daemon, vendor: Vendor, say: Say, speaker: Recording
    ) -> None:
        """LIKU-31, EVI-53, EVI-55, ZBE-58: though more of the dead reply comes."""
        vendor.will_say(LONG, SHORT)
        speaking = ask(box, say)
        say(case.objection)
        source, event = case.interrupted
        cut = box.expect(f"^interrupted by {source} after")
        box.expect(f"speaking → listening .{event}")
        again = box.expect("→ speaking .ReplyAudio")
        box.expect("speaking → listening .SpeakerDrained")

        sound, flushed = speaker.samples, speaker.index(cut.moment)
        first, second = sent_by(vendor.last, 1), sent_by(vendor.last, 2)
        begun = case.compare(first[: PLAYBACK_RATE // 2], sound, before(speaker, speaking))
        assert begun.whole, begun
        assert flushed - begun.end > PLAYBACK_RATE // 2  # it really was being heard
        heard = case.compare(second, sound, flushed)
        assert heard.whole, heard
        stale = sound[flushed + MOST_AFTER : min(heard.start, speaker.index(again.moment))]
        assert stale.size > PLAYBACK_RATE // 2
        assert not stale.any(), f"{np.count_nonzero(stale)} samples, the last {np.flatnonzero(stale)[-1]} after the cut"
        assert late_bytes(vendor, cut) > 0  # of which nothing was heard

    def test_no_secret_is_told(self, case: Case, box: Daemon, vendor: Vendor, say: Say) -> None:
        """LIKU-48, EVI-09, ZBE-14: at debug level, in all conversations so far, to systemd neither."""
        if not vendor.connections:
            ask(box, say)
        box.idle()
        everything = [line.text for line in box.lines] + box.systemd.messages
        assert any(line.level == "DEBUG" for line in box.lines)
        hidden = secrets(vendor)
        assert len(hidden) >= case.secrets
        assert not [text for text in everything for secret in hidden if secret in text]
        assert {line.level for line in box.lines} <= {"DEBUG", "INFO"}, box.story()

    def test_sigterm_in_the_middle_of_an_answer(
        self, box: Daemon, vendor: Vendor, say: Say, speaker: Recording
    ) -> None:
        """Comes last: the box is gone then."""
        vendor.will_say(LONG)
        speaking = ask(box, say)
        speaker.wait_for(speaker.index(speaking.moment) + PLAYBACK_RATE, timeout=5)
        asked = time.monotonic()
        box.terminate()
        assert box.wait(LIMIT) == 0
        assert time.monotonic() - asked < LIMIT
        stopped = box.expect("speaking → idle .StopRequested")
        assert "STOPPING=1" in box.systemd.messages
        assert {line.level for line in box.lines} <= {"DEBUG", "INFO"}, box.story()
        end = speaker.index(stopped.moment)
        speaker.wait_for(end + PLAYBACK_RATE, timeout=5)
        assert speaker.samples[speaker.index(speaking.moment) : end].any()
        assert not speaker.samples[end + MOST_AFTER :].any()


def before(speaker: Recording, speaking: Line) -> int:
    """Where to look for a reply from: its line is written once its sound is on its way, which may be heard by then."""
    return max(0, speaker.index(speaking.moment) - PLAYBACK_RATE // 2)


def late_bytes(vendor: Vendor, cut: Line) -> int:
    """How much of the dead reply came after the cut: counted by the service where it knows of the cut."""
    connection = vendor.last
    if 1 in connection.late_pcm:
        assert len(connection.late_pcm[1]) == 2 * LATE_MS * PLAYBACK_RATE // 1000
        return len(connection.late_pcm[1])
    asked = [noted.at for noted in connection.messages if noted.direction == "received" and noted.size > 10_000]
    return sum(noted.size for noted in connection.messages if _is_sound(noted) and cut.moment < noted.at < asked[1])


def _is_sound(noted: Noted) -> bool:
    return noted.direction == "sent" and '"audio_chunk"' in (noted.text or "")


def secrets(vendor: Vendor) -> set[str]:
    """What it was given, and of what passed over the connections what lets somebody in."""
    made = set()
    for message in (noted.text for connection in vendor.connections for noted in connection.messages):
        fields = json.loads(message or "{}")
        made |= {fields[name] for name in ("connection_data", "user_id") if name in fields}
    return made | vendor.tokens | set(vendor.secrets.values())
