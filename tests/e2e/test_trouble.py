"""When the service refuses the box or goes away: the owner is told, and the box is there when things are mended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Say
from tests.support.daemon import Daemon
from tests.support.hearing import account
from tests.support.lira import Lira
from tests.support.pulse import PulseServer, Recording
from tests.support.speech import say as spoken
from tests.support.vendor import TOKEN, sent_by

WRONG = "canary-wrong-1kPz8sYc5Nd3"
QUESTION = spoken("what time is it?")


class TestRefused:
    @pytest.fixture
    def box(self, pulse: PulseServer, lira: Lira, tmp_path: Path) -> Iterator[Daemon]:
        config = f'service = "lira"\nwake.enabled = false\n{lira.config}'
        with Daemon(tmp_path, config, environ=pulse.env, secrets={"lira_token": WRONG}, pins=True) as daemon:
            daemon.ready()
            yield daemon

    def test_a_wrong_token_is_told_once_and_a_new_one_used_at_once(self, box: Daemon, lira: Lira) -> None:
        """LIRA-03, LIRA-04, LIRA-05, LIRA-06."""
        box.tap()
        refused = box.expect("^refused by the service: Lira refused the token .HTTP 401.; store a new one")
        assert refused.level == "WARNING"
        box.systemd.wait_for("STATUS=refused by the service")
        blinks = box.pins.wait_led(4, refused.moment)
        assert set(blinks) == {0.0, 1.0}
        assert lira.dials == 1

        box.idle()
        box.tap()
        box.expect("connecting → idle")
        box.expect("^SessionEnded.*Lira refused this token before")
        assert lira.dials == 1  # nobody is asked again with a token that was refused

        box.store("lira_token", TOKEN)
        box.tap()
        box.expect("connecting → listening .SessionReady")
        box.expect("fault is over")
        box.systemd.wait_for("STATUS=listening", since=refused.moment)
        assert lira.dials == 2
        box.terminate()
        assert box.wait(2) == 0

        everything = [line.text for line in box.lines] + box.systemd.messages
        assert not [text for text in everything if WRONG in text or TOKEN in text]


class TestGoneAndBack:
    CONFIG = """
        wake.enabled = false
        [conversation]
        connect_timeout_s = 2.0
        listen_timeout_s = 2.0
        follow_up_s = 2.0"""
    PINS = True

    @pytest.fixture(autouse=True)
    def there(self, lira: Lira, box: Daemon) -> Iterator[None]:
        yield
        box.idle()
        lira.start()

    def recovers(self, box: Daemon, lira: Lira) -> None:
        """The trouble fades; then the service is back, and so is the box."""
        box.expect("fault is over")
        lira.start()
        box.tap()
        box.expect("connecting → listening .SessionReady")
        box.tap()
        box.expect("listening → idle")

    def test_gone_while_nobody_talks(self, box: Daemon, lira: Lira) -> None:
        box.idle()
        lira.stop()
        box.tap()
        lost = box.expect("^SessionLost.*refused")
        box.expect("connecting → idle .TimerExpired")
        box.systemd.wait_for("STATUS=service cannot be reached", since=lost.moment)
        box.pins.wait_led(2, lost.moment)
        self.recovers(box, lira)

    def test_gone_while_it_listens(self, box: Daemon, lira: Lira) -> None:
        """LIRA-43: it tries to come back, and gives up where nobody answers."""
        box.idle()
        box.tap()
        box.expect("→ listening")
        lira.stop()
        box.expect("listening → connecting .SessionLost")
        box.expect("connecting → idle .TimerExpired")
        self.recovers(box, lira)

    def test_gone_while_it_speaks_what_came_is_heard_to_its_end(
        self, box: Daemon, lira: Lira, say: Say, speaker: Recording
    ) -> None:
        box.idle()
        box.tap()
        box.expect("→ listening")
        say(QUESTION)
        speaking = box.expect("→ speaking")
        box.expect("^ReplyDone")
        lira.stop()
        box.expect("^SessionLost")
        box.expect("speaking → connecting .SpeakerDrained")
        box.expect("connecting → idle .TimerExpired")
        heard = account(sent_by(lira.last, 1), speaker.samples, speaker.index(speaking.moment))
        assert heard.whole, heard
        self.recovers(box, lira)
