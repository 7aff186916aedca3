"""Replies over a bad network, heard on a card in virtual time: every sample once, and silence only where nothing had
come.

Delivery is in order, as TCP's is; each piece is late by what chance says. Every sample tells its neighbours apart.
"""

import bisect
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.gpio import ManualLoop
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.playback import Playback
from voicebox.lead import MOST, Lead, LeadIn

PIECE = 1_920  # samples: 80 ms
PERIOD = 240  # samples the card takes at a time: 10 ms
LATENCY = 0.010  # seconds it holds

Samples = NDArray[np.int16]


@dataclass
class Heard:
    """What became of some replies."""

    sent: int = 0  # samples
    ends: set[int] = field(default_factory=set)  # samples sent at the end of each reply
    arrivals: list[tuple[float, int]] = field(default_factory=list)  # (when, samples sent by then)
    speaker: Samples = field(default_factory=lambda: np.zeros(0, np.int16))
    drained: list[int] = field(default_factory=list)
    underruns: int = 0
    longest_lead: float = 0.0

    def gaps(self) -> list[tuple[int, int]]:
        """(speaker sample at which it begins, samples heard before it) of each silence in the middle of a reply."""
        sounding = np.flatnonzero(self.speaker)
        breaks = np.flatnonzero(np.diff(sounding) > 1)
        return [(int(sounding[at]) + 1, int(at) + 1) for at in breaks if int(at) + 1 not in self.ends]

    def had_come(self, moment: float) -> int:
        at = bisect.bisect_right(self.arrivals, moment, key=lambda arrival: arrival[0])
        return self.arrivals[at - 1][1] if at else 0


def coded(first: int, count: int) -> Samples:
    """Samples of which no two that follow each other within 30000 are alike, and none is 0."""
    return ((np.arange(first, first + count) % 30_000) + 1).astype(np.int16)


class Card:
    """Takes 10 ms at a time, which are heard when the 10 ms before them have been."""

    def __init__(self, loop: ManualLoop) -> None:
        self.loop = loop
        self.drained: list[int] = []
        self.heard: list[bytes] = []
        self.playback = Playback(self._ends, clock=loop.time)
        self._pull()

    def _pull(self) -> None:
        self.heard.append(self.playback.pull(PERIOD, self.loop.time() + LATENCY) or b"")
        self.loop.call_later(PERIOD / PLAYBACK_RATE, self._pull)

    def _ends(self, reply_id: int, when: float) -> None:
        self.loop.call_later(when - self.loop.time(), self._ended, reply_id)

    def _ended(self, reply_id: int) -> None:
        while ended := self.playback.over(reply_id):
            self.drained.append(ended)


def listen(replies: list[list[float]], lead: Lead) -> Heard:
    """Each reply is a list of pieces: by how many seconds each is late, of a sender that is exactly in time."""
    loop = ManualLoop()  # type: ignore[abstract]  # the part that timers need
    card = Card(loop)
    speaker = LeadIn(card.playback, lead, loop)
    heard = Heard()
    for reply_id, lateness in enumerate(replies, 1):
        start = loop.time()
        for number, late in enumerate(lateness):
            loop.advance(max(0.0, start + number * PIECE / PLAYBACK_RATE + late - loop.time()))
            speaker.play(reply_id, coded(heard.sent, PIECE).tobytes())
            heard.sent += PIECE
            heard.arrivals.append((loop.time(), heard.sent))
        speaker.finish(reply_id)
        heard.ends.add(heard.sent)
        loop.advance(MOST + speaker.buffered + 0.1)
        heard.longest_lead = max(heard.longest_lead, speaker.lead)
    heard.speaker = np.frombuffer(b"".join(card.heard), np.int16)
    heard.drained, heard.underruns = card.drained, card.playback.underruns
    return heard


def check(heard: Heard, replies: int) -> None:
    assert np.array_equal(heard.speaker[heard.speaker != 0], coded(0, heard.sent))
    assert heard.drained == list(range(1, replies + 1))
    assert heard.underruns == len(heard.gaps())
    for at, before in heard.gaps():
        moment = (at // PERIOD) * PERIOD / PLAYBACK_RATE  # when the card took it
        assert heard.had_come(moment - 1e-6) <= before, f"silence at {moment:.3f} s though there was sound"


def test_ten_minutes_with_a_heavy_tail() -> None:
    chance = np.random.default_rng(4)
    replies = [list(np.minimum(0.02 * chance.pareto(1.5, 125), 3.0)) for _ in range(60)]
    heard = listen(replies, Lead(0.12))
    assert heard.sent == 600 * PLAYBACK_RATE
    check(heard, 60)
    assert 5 < heard.underruns < 200
    assert 0.12 < heard.longest_lead <= MOST


def test_jitter_within_the_lead_is_not_heard_at_all() -> None:
    chance = np.random.default_rng(5)
    heard = listen([list(chance.uniform(0, 0.195, 125)) for _ in range(6)], Lead(0.2))
    check(heard, 6)
    assert heard.underruns == 0


def test_a_network_that_got_worse_is_learnt() -> None:
    """Jitter of 300 ms with a lead of 120 ms: heard at first, and then no more."""
    chance = np.random.default_rng(6)
    replies = [list(chance.uniform(0, 0.3, 60)) for _ in range(30)]
    fixed = listen(replies, Lead(0.12, most=0.12))
    adaptive = listen(replies, Lead(0.12))
    check(fixed, 30)
    check(adaptive, 30)
    assert fixed.underruns > 30
    assert adaptive.underruns < fixed.underruns / 4


LATENESS = st.one_of(st.floats(0, 0.05), st.floats(0, 0.5), st.floats(0, 5.0))


@given(st.lists(st.lists(LATENESS, min_size=1, max_size=15), min_size=1, max_size=4), st.floats(0, 0.5))
@settings(deadline=None, max_examples=60)
def test_whatever_the_delays_every_sample_is_heard_once(replies: list[list[float]], lead: float) -> None:
    check(listen(replies, Lead(lead)), len(replies))
