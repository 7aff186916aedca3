"""Minutes of real time: the daemon as a process of its own, spoken to through PulseAudio, its service simulated."""

import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.faults.oracle import MOST_MORE_MEMORY, STATUS_WITHIN, assert_discreet
from tests.soak.accelerated import WATCHDOG, Progress
from tests.soak.course import Look, growth, look, more, unchanged
from tests.support.daemon import Daemon
from tests.support.lira import Lira
from tests.support.pulse import PulseServer
from tests.support.speech import noise, say
from tests.support.vendor import TOKEN
from voicebox.bench import Figure, at_least, at_most, stated

_CONFIG = """service = "lira"
audio.duplex = "full"
conversation.listen_timeout_s = 4.0
conversation.follow_up_s = 1.0
"""
_OPTIONS = {
    "VOICEBOX_AUDIO__ECHO_CANCELLATION": "true",
    "VOICEBOX_SOUNDS__EARCONS": "true",
    "VOICEBOX_SOUNDS__SPOKEN": "true",
}
_ROOM = noise(1.6, -66)
_VOICE = "flite:awb"
_WARM = 4  # sessions
_SETTLED_WITHIN = 10.0
"""Seconds: the speaker rests after five, threads that are done end soon after."""
_ATTEMPTS = 3
"""How often somebody calls it before he gives up."""


class Life:
    """``box`` is ready."""

    def __init__(self, box: Daemon, lira: Lira, pulse: PulseServer) -> None:
        self._box, self._lira, self._pulse = box, lira, pulse
        self.sessions = self.reconnects = self.interruptions = self.unheard = 0
        self.slowest = 0.0
        """Seconds that the status took."""
        self.looks: list[Look] = []

    def _say(self, *words: str) -> None:
        self._pulse.say(np.concatenate([_ROOM, *(say(each, _VOICE) for each in words), _ROOM]))

    def _call(self, words: str) -> None:
        for _ in range(_ATTEMPTS - 1):
            self._say(words)
            try:
                self._box.expect("^idle → ", timeout=5)
            except AssertionError:
                self.unheard += 1
            else:
                return
        self._say(words)
        self._box.expect("^idle → ")

    def plain(self) -> None:
        self._call("hey jarvis, what time is it?")
        self._box.expect("→ speaking", timeout=30)

    def dropped(self) -> None:
        """The network goes in mid-conversation; asked again once it is back, the box answers."""
        self._call("hey jarvis")
        self._box.expect("^SessionReady")
        self._lira.drop()
        self._box.expect("^SessionReady", timeout=30)
        self.reconnects += 1
        self._say("what time is it?")
        self._box.expect("^ReplyStarted", timeout=30)

    def interrupted(self) -> None:
        """By whoever notices the voice first: the service, or the wake word."""
        self.plain()
        self._say("hey jarvis, tell me about the weather")
        self._box.expect("^interrupted by")
        self.interruptions += 1

    def session(self) -> None:
        """From rest to rest."""
        (self.plain, self.dropped, self.plain, self.interrupted)[self.sessions % 4]()
        self._ask_status()
        self._box.idle()
        self._ask_status()
        self.sessions += 1
        if self.sessions >= _WARM:
            self.looks.append(self._settled())

    def _ask_status(self) -> None:
        began = time.monotonic()
        self._box.ask("status")
        self.slowest = max(self.slowest, time.monotonic() - began)

    def _settled(self) -> Look:
        """Once it holds as much as at first, or will not."""
        deadline = time.monotonic() + _SETTLED_WITHIN
        seen = look(self.sessions, self._box.process.pid)
        while time.monotonic() < deadline and self.looks and not _alike(seen, self.looks[0]):
            time.sleep(0.2)
            seen = look(self.sessions, self._box.process.pid)
        if not self.looks:  # nobody knows yet what it is to be like
            time.sleep(_SETTLED_WITHIN)
            seen = look(self.sessions, self._box.process.pid)
        return seen

    def figures(self, minutes: float) -> list[Figure]:
        box, name = self._box, f"{minutes:g} min on PulseAudio"
        assert box.process.poll() is None, box.story()
        assert not box.said("Traceback"), box.story()
        assert_discreet("\n".join(line.text for line in box.lines), TOKEN)
        fed = [told.moment for told in box.systemd.told if told.text == "WATCHDOG=1"]
        silences = [later - earlier for earlier, later in pairwise([*fed, time.monotonic()])]
        return [
            at_least(f"{name}: sessions", self.sessions, "", 1),
            stated(f"{name}: connections lost and found again", self.reconnects, ""),
            stated(f"{name}: answers interrupted", self.interruptions, ""),
            stated(f"{name}: calls that were not heard", self.unheard, ""),
            at_most(
                f"{name}: resident, more than after session {_WARM}", _more(self.looks), "MB", MOST_MORE_MEMORY / 1e6
            ),
            stated(f"{name}: resident, growth for 100 sessions", growth(self.looks, "resident"), "KiB"),
            *unchanged(self.looks, name),
            at_most(f"{name}: longest time without feeding the watchdog", max(silences), "s", WATCHDOG),
            at_most(f"{name}: slowest answer to a question for the status", self.slowest, "s", STATUS_WITHIN),
        ]


def _alike(one: Look, other: Look) -> bool:
    return (one.files, one.threads) == (other.files, other.threads)


def _more(looks: list[Look]) -> float:
    return more(looks, "resident") / 1e6 if looks else float("nan")


def live(minutes: float, progress: Progress = lambda _: None) -> tuple[list[Figure], list[Look]]:
    """Sessions one after another for so long; every fourth loses its connection, every fourth is interrupted. Raises
    AssertionError for what must never happen."""
    with TemporaryDirectory() as folder, PulseServer() as pulse, Lira("answer", "answer2") as lira:
        environ = {**pulse.env, **_OPTIONS}
        config = _CONFIG + lira.config
        with Daemon(Path(folder), config, environ=environ, secrets=lira.secrets, watchdog=WATCHDOG) as box:
            box.ready()
            life, end = Life(box, lira, pulse), time.monotonic() + 60 * minutes
            while time.monotonic() < end:
                life.session()
                progress(life.sessions)
            figures = life.figures(minutes)
            box.terminate()
            assert box.wait(5) == 0, box.story()
        return figures, life.looks
