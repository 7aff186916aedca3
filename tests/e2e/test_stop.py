"""SIGTERM, as systemd sends it: whatever the box is doing, it ends in good order and in time."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Say
from tests.support.daemon import Daemon
from tests.support.lira import Lira
from tests.support.pulse import PulseServer, Recording
from tests.support.speech import say as spoken
from voicebox.audio.base import PLAYBACK_RATE

LIMIT = 2.0
MOST_AFTER = round(0.023 * PLAYBACK_RATE)  # 20 ms, and 3 ms for how exactly the log and the recording tell the time
CONFIG = 'service = "lira"\nwake.enabled = false\n'


class TestSigterm:
    ANSWERS = ("answer",)

    @pytest.fixture
    def box(self, pulse: PulseServer, lira: Lira, tmp_path: Path) -> Iterator[Daemon]:
        with Daemon(tmp_path, CONFIG + lira.config, environ=pulse.env, secrets=lira.secrets, pins=True) as daemon:
            daemon.ready()
            yield daemon

    def end(self, box: Daemon) -> float:
        """Stop it and see that it went well; returns the ``time.monotonic()`` of the signal."""
        asked = time.monotonic()
        box.terminate()
        assert box.wait(LIMIT) == 0
        assert time.monotonic() - asked < LIMIT
        assert "STOPPING=1" in box.systemd.messages
        assert {line.level for line in box.lines} <= {"DEBUG", "INFO"}, box.story()
        assert box.pins.led()[-1] == 0.0
        return asked

    def left(self, lira: Lira) -> None:
        """LIRA-22: the last thing the service was told."""
        lira.until(lambda: '"leave"' in (lira.last.messages[-1].text or ""))

    def test_while_nothing_happens(self, box: Daemon, lira: Lira) -> None:
        self.end(box)
        assert lira.dials == 0

    def test_while_it_listens(self, box: Daemon, lira: Lira) -> None:
        box.tap()
        box.expect("→ listening")
        self.end(box)
        self.left(lira)

    def test_while_it_speaks_which_ends_at_once(self, box: Daemon, lira: Lira, say: Say, speaker: Recording) -> None:
        box.tap()
        box.expect("→ listening")
        say(spoken("what time is it?"))
        speaking = box.expect("→ speaking")
        box.pins.wait_led(20, speaking.moment)
        self.end(box)
        stopped = box.expect("speaking → idle .StopRequested")
        self.left(lira)
        end = speaker.index(stopped.moment)
        speaker.wait_for(end + PLAYBACK_RATE, timeout=5)
        assert speaker.samples[speaker.index(speaking.moment) : end].any()
        assert not speaker.samples[end + MOST_AFTER :].any()
