"""Cards that are pulled and plugged in again in the middle of everything, and one that hangs."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.conftest import Say
from tests.support.daemon import Daemon
from tests.support.hearing import find
from tests.support.lira import Lira
from tests.support.long import LONG
from tests.support.pulse import SPEAKER_RATE, PulseServer, serving
from tests.support.speech import say as spoken
from tests.support.vendor import sent_by

QUESTION = spoken("what time is it?")
CYCLES = 20 if LONG else 3
TOLD_WITHIN = 2.0
BACK_WITHIN = 7.0  # seconds: the longest pause between two attempts, and the sound server's own time
MOST_MORE_MEMORY = 4_000_000  # bytes


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseServer]:
    """Of our own: nobody else is to miss its cards."""
    with serving() as server:
        yield server


def holds(box: Daemon) -> Counter[str]:
    """What the process has open, and its threads: how many of each kind."""
    process, kinds = Path(f"/proc/{box.process.pid}"), Counter[str]()
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            kinds[re.sub(r"\d+", "", str(file.readlink()))] += 1
    for task in (process / "task").iterdir():
        with suppress(FileNotFoundError):
            kinds["thread " + (task / "comm").read_text().strip()] += 1
    return kinds


def memory(box: Daemon) -> int:
    """Resident bytes of the process."""
    pages = int(Path(f"/proc/{box.process.pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settles(well: Callable[[], bool]) -> bool:
    """Whether it is well within 10 s: the speaker rests after five, threads that are done end soon after."""
    deadline = time.monotonic() + 10
    while not well() and time.monotonic() < deadline:
        time.sleep(0.1)
    return well()


class TestReplug:
    CONFIG = "wake.enabled = false"
    PINS = True
    ANSWERS = ("answer",)

    def idle(self, box: Daemon, _: Say) -> None:
        box.idle()

    def listening(self, box: Daemon, _: Say) -> None:
        box.tap()
        box.expect("→ listening")

    def speaking(self, box: Daemon, say: Say) -> None:
        box.tap()
        box.expect("→ listening")
        say(QUESTION)
        box.expect("→ speaking")

    def replug(self, box: Daemon, pulse: PulseServer) -> tuple[float, float]:
        """Seconds until the loss was told, and from the return of the cards until all works again."""
        pulled, story = time.monotonic(), len(box.lines)
        pulse.unplug()
        told = box.expect("^DeviceLost.*MICROPHONE").moment - pulled
        box.idle()
        plugged = time.monotonic()
        pulse.plug_in()
        back = box.expect("^DeviceReady.*MICROPHONE").moment
        lost, found = (box.said(f"^Device{what}.*SPEAKER") for what in ("Lost", "Ready"))
        if lost and lost[-1].moment >= max(found[-1].moment, box.lines[story - 1].moment):
            back = max(back, box.expect("^DeviceReady.*SPEAKER").moment)
        return told, back - plugged

    def test_it_recovers_by_itself_every_time(self, box: Daemon, lira: Lira, pulse: PulseServer, say: Say) -> None:
        """A30, A31, A36."""
        held, used, seen = holds(box), memory(box), []
        for cycle in range(CYCLES):
            (self.idle, self.listening, self.speaking)[cycle % 3](box, say)
            seen.append(self.replug(box, pulse))
            if cycle == 2:  # once everything has happened, it has all the memory it will ever need
                used = memory(box)
        self.converses(box, lira, pulse, say)
        told, back = (max(column) for column in zip(*seen, strict=True))
        more = memory(box) - used
        print(f"{CYCLES} times: told after {told:.2f} s at most, over after {back:.2f} s at most, {more} bytes more")
        assert told <= TOLD_WITHIN, seen
        assert back <= BACK_WITHIN, seen
        assert settles(lambda: holds(box) <= held), (held, holds(box))
        assert more <= MOST_MORE_MEMORY
        assert not box.said("Traceback")
        assert box.process.poll() is None

    def converses(self, box: Daemon, lira: Lira, pulse: PulseServer, say: Say) -> None:
        """A question is answered, and the answer is heard."""
        with pulse.record() as speaker:
            self.speaking(box, say)
            speaker.wait_for(len(speaker.samples) + SPEAKER_RATE, timeout=20)
            sent = sent_by(lira.last, 1)
            piece = sent[np.flatnonzero(sent)[0] :][: SPEAKER_RATE // 50]
            assert find(piece, speaker.samples) >= 0
        box.tap()
        box.tap()
        box.idle()


class TestHanging:
    def test_a_card_that_hangs_holds_up_no_stop(self, pulse: PulseServer, lira: Lira, tmp_path: Path) -> None:
        config = f'service = "lira"\nwake.enabled = false\n{lira.config}'
        with Daemon(tmp_path, config, environ=pulse.env, secrets=lira.secrets, pins=True) as box:
            box.ready()
            box.tap()
            box.expect("→ listening")
            hung = time.monotonic()
            pulse.suspend()
            try:
                assert box.expect("^no microphone: .* has gone silent").moment - hung <= TOLD_WITHIN
                asked = time.monotonic()
                box.terminate()
                assert box.wait(2) == 0
                assert time.monotonic() - asked <= 2.0
            finally:
                pulse.resume()


class TestSoundServer:
    CONFIG = "wake.enabled = false"

    def test_it_is_killed_and_comes_back(self, box: Daemon, pulse: PulseServer) -> None:
        """A43: both cards are opened again, without help."""
        pulse.stop()
        box.expect("^DeviceLost.*MICROPHONE")
        story = len(box.lines)
        pulse.start()
        box.expect("^DeviceReady.*MICROPHONE")
        if any("SPEAKER" in line.text for line in box.said("^DeviceLost")):
            box.told = story
            box.expect("^DeviceReady.*SPEAKER")
        assert not box.said("Traceback")
        assert box.process.poll() is None
