"""The way out: every sample inside a window is sent exactly once and in order, or counted as dropped."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voicebox.audio.base import BLOCK, CAPTURE_RATE, Block
from voicebox.core.state import Window
from voicebox.uplink import RING_SECONDS, STALE, Mark, Ring, Uplink

CHUNK = 1_600
SECOND = CAPTURE_RATE
CODE = 32_749
"""Sample value = position mod this prime."""


def recorded(start: int, count: int) -> NDArray[np.int16]:
    return (np.arange(start, start + count) % CODE).astype(np.int16)


class Out:
    """The microphone and the taker of one uplink."""

    def __init__(self) -> None:
        self.uplink = Uplink()
        self.position = 0
        self.sent: list[Mark | bytes] = []
        self.spans: list[tuple[int, int]] = []  # where what was sent was read: (first position, samples)
        self._read = self.uplink.ring.read
        self.uplink.ring.read = self._note_read  # type: ignore[method-assign]

    def _note_read(self, start: int, count: int) -> NDArray[np.int16]:
        self.spans.append((start, count))
        return self._read(start, count)

    @property
    def positions(self) -> NDArray[np.int64]:
        """Of every sample sent, in the order of sending; that they hold what was recorded there is checked."""
        spans = [np.arange(start, start + count) for start, count in self.spans]
        positions = np.concatenate([np.zeros(0, np.int64), *spans])
        assert np.array_equal(self.samples, (positions % CODE).astype(np.int16))
        return positions

    def hear(self, blocks: int = 1, gap: int = 0) -> None:
        for _ in range(blocks):
            self.position += gap
            self.uplink.block(Block(self.position, recorded(self.position, BLOCK).tobytes(), self.position / 16_000))
            self.position += BLOCK

    def take(self, limit: int | None = None, chunk: int = CHUNK) -> list[Mark | bytes]:
        """Up to ``limit`` things; all there are if None."""
        taken: list[Mark | bytes] = []
        while (limit is None or len(taken) < limit) and (item := self.uplink.take(chunk)) is not None:
            taken.append(item)
        self.sent += taken
        return taken

    @property
    def samples(self) -> NDArray[np.int16]:
        return np.frombuffer(b"".join(item for item in self.sent if isinstance(item, bytes)), np.int16)

    @property
    def marks(self) -> list[Mark]:
        return [item for item in self.sent if isinstance(item, Mark)]


def check_order(sent: list[Mark | bytes]) -> None:
    """LIRA-14 and LIRA-16: START before the first sample of a stretch, STOP after the last, nothing outside."""
    streaming = False
    for item in sent:
        if isinstance(item, bytes):
            assert streaming, "audio outside a stretch"
            assert 0 < len(item) <= 2 * CHUNK
            assert len(item) % 2 == 0
        else:
            assert streaming is (item is Mark.STOP), f"{item} while streaming={streaming}"
            streaming = item is Mark.START


# --- the property --------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.integers(1, 150)),  # blocks: up to 3 s
        st.tuples(st.just("take"), st.integers(1, 40)),
        st.tuples(st.just("open"), st.one_of(st.none(), st.integers(0, 3 * SECOND))),  # this far back, or from now
        st.tuples(st.just("until"), st.integers(0, SECOND)),  # so much more is heard
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("forget"), st.none()),
    ),
    max_size=60,
)


class Meant:
    """What the uplink promises, told by position: the samples that some window held while it was open."""

    def __init__(self, out: Out) -> None:
        self.out = out
        self.inside = np.zeros(0, bool)
        self.window: Window | None = None
        self.high = 0  # nothing before this may be sent any more

    def cover(self) -> None:
        """Time has passed."""
        self.inside = np.concatenate([self.inside, np.zeros(self.out.position - self.inside.size, bool)])
        if self.window is None or self.window.since is None:
            return
        self.inside[self.window.since : self.window.until] = True
        until = self.out.position if self.window.until is None else self.window.until
        self.high = max(self.high, self.window.since, min(self.out.position, until))

    def hear(self, blocks: int) -> None:
        self.out.hear(blocks)
        self.cover()

    def take(self, limit: int) -> None:
        self.out.take(limit)

    def open(self, back: int | None) -> None:
        if self.window is None:
            since = None if back is None else max(0, self.out.position - back)
            self.out.uplink.set_window(Window(since))
            self.window = Window(max(self.high, self.out.position if since is None else since))
            self.cover()

    def until(self, more: int) -> None:
        if self.window is not None and self.window.until is None:
            until = self.out.position + more
            self.out.uplink.set_window(Window(self.window.since, until))
            self.window = Window(self.window.since, max(until, self.window.since or 0))

    def close(self, _: None) -> None:
        self.out.uplink.set_window(None)
        self.window = None

    def forget(self, _: None) -> None:
        self.out.uplink.forget()


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_every_sample_inside_a_window_is_sent_once_or_counted(steps: list[tuple[str, Any]]) -> None:
    out = Out()
    meant = Meant(out)
    for what, amount in steps:
        getattr(meant, what)(amount)
    meant.close(None)
    out.take()

    check_order(out.sent)
    positions = out.positions
    assert out.uplink.counts.sent == positions.size
    assert np.all(np.diff(positions) > 0), "a sample was sent twice or out of order"
    assert meant.inside[positions].all(), "a sample was sent that no window held"
    assert positions.size + out.uplink.counts.dropped == np.count_nonzero(meant.inside)
    assert out.marks[-1:] in ([], [Mark.STOP])


# --- by hand -------------------------------------------------------------------------------------------------------


def test_lira_14_16_17_a_stretch_is_framed_and_cut_into_100_ms() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(12)
    out.uplink.set_window(Window(None, out.position))
    sizes = [len(item) // 2 if isinstance(item, bytes) else item for item in out.take()]
    assert sizes == [Mark.START, 1600, 1600, 640, Mark.STOP]


def test_nothing_follows_a_stop() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(20)
    out.take()
    out.uplink.set_window(None)
    out.hear(100)
    assert out.take() == [Mark.STOP]
    out.hear(100)
    assert out.take() == []


def test_closing_drops_the_backlog_and_counts_it() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(20)
    out.take(2)  # START and 100 ms
    out.uplink.set_window(None)
    assert out.take() == [Mark.STOP]
    assert (out.uplink.counts.sent, out.uplink.counts.dropped) == (1600, 20 * BLOCK - 1600)


def test_what_was_dropped_at_the_close_is_not_sent_by_the_next_window() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(20)
    out.uplink.set_window(None)
    out.uplink.set_window(Window(0))
    out.hear(5)
    out.take()
    assert out.samples[0] == 20 * BLOCK


def test_a_window_shut_and_opened_before_anybody_took_is_two_stretches() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(5)
    out.take()
    out.uplink.set_window(None)
    out.uplink.set_window(Window())
    out.hear(5)
    assert [item for item in out.take() if isinstance(item, Mark)] == [Mark.STOP, Mark.START]


def test_an_end_in_the_future_is_reached() -> None:
    """The button was let go: 200 ms more are still heard, then the stretch ends."""
    out = Out()
    out.uplink.set_window(Window())
    out.hear(5)
    until = out.position + 3_200
    out.uplink.set_window(Window(None, until))
    assert Mark.STOP not in out.take()
    out.hear(50)
    out.take()
    assert out.marks == [Mark.START, Mark.STOP]
    assert out.samples.size == until
    assert out.uplink.counts.dropped == 0


def test_an_end_in_the_past_ends_it_at_once() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(30)
    out.take(3)
    out.uplink.set_window(Window(None, 2_000))
    assert out.take() == [Mark.STOP]
    out.hear(30)
    assert out.take() == []
    assert out.uplink.counts.dropped == 0


def test_time_after_the_end_of_a_window_is_not_dropped_speech() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(5)
    out.uplink.set_window(Window(None, out.position))
    out.take()
    out.hear(500)
    assert out.uplink.counts.dropped == 0


def test_forgetting_while_nothing_is_open_drops_nothing() -> None:
    out = Out()
    out.hear(500)
    out.uplink.forget()
    assert out.uplink.counts.dropped == 0


def test_com_06_once_caught_up_no_more_than_2_s_wait() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(5)
    out.take()
    out.hear(50 * 10)  # ten seconds that nobody takes
    out.take()
    assert out.samples.size == 1600 + STALE
    assert out.uplink.counts.dropped == 8 * SECOND
    assert out.positions[0] == 0


def test_a_slow_start_may_send_all_it_found() -> None:
    """Until it has caught up, a session may send what it found, however old: the first words of a conversation."""
    out = Out()
    out.hear(100)
    out.uplink.set_window(Window(0))
    out.hear(50 * 20)  # 22 s while the session opens
    out.take()
    assert out.uplink.counts.dropped == 0
    assert np.array_equal(out.samples, recorded(0, out.position))


def test_what_is_said_while_a_lost_session_is_opened_anew_is_not_lost() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(50)
    out.take()
    out.hear(1)
    out.uplink.forget()  # the link went: half an utterance is of no use
    lost = out.position
    out.hear(50 * 4)
    out.uplink.reconnected()
    before = out.samples.size
    out.take()
    assert np.array_equal(out.samples[before:], recorded(lost, out.position - lost))


def test_a_session_that_never_comes_keeps_no_more_than_the_ring() -> None:
    out = Out()
    out.uplink.set_window(Window(0))
    out.hear(50 * (RING_SECONDS + 10))
    out.take()
    assert out.samples.size == RING_SECONDS * SECOND
    assert out.uplink.counts.dropped == 10 * SECOND
    assert out.samples[-1] == (out.position - 1) % CODE


def test_lira_43_a_new_connection_starts_its_own_stretch() -> None:
    out = Out()
    out.uplink.set_window(Window())
    out.hear(5)
    out.take()
    out.uplink.reconnected()
    out.hear(5)
    assert [item for item in out.take() if isinstance(item, Mark)] == [Mark.START]


def test_a_gap_in_the_capture_is_sent_as_silence() -> None:
    """Time on the wire stays time."""
    out = Out()
    out.uplink.set_window(Window())
    out.hear(5)
    out.hear(5, gap=BLOCK)
    out.take()
    assert out.samples.size == (out.position // CHUNK) * CHUNK
    assert not out.samples[5 * BLOCK : 6 * BLOCK].any()
    assert np.array_equal(out.samples[6 * BLOCK : 7 * BLOCK], recorded(6 * BLOCK, BLOCK))


def test_a_cold_connection_of_3_s_loses_nothing_in_500_wakes() -> None:
    """The wake word is heard, the session takes three seconds to open, and everything said since arrives."""
    out = Out()
    rng = np.random.default_rng(1)
    expected: list[NDArray[np.int16]] = []
    for _ in range(500):
        out.hear(int(rng.integers(80, 200)))  # somebody was quiet
        since = out.position - 24_000
        out.uplink.set_window(Window(since))
        out.hear(150)  # 3 s of dialling
        for _ in range(20):
            out.take()
            out.hear(int(rng.integers(1, 6)))
        until = out.position
        out.uplink.set_window(Window(since, until))
        out.take()
        expected.append(recorded(since, until - since))
        out.uplink.set_window(None)
    check_order(out.sent)
    assert out.uplink.counts.dropped == 0
    assert out.marks == [Mark.START, Mark.STOP] * 500
    assert np.array_equal(out.samples, np.concatenate(expected))


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 300)), max_size=40), st.integers(300, 1000))
def test_the_ring_gives_back_what_was_written(writes: list[tuple[int, int]], capacity: int) -> None:
    """Across its end as within, gaps as silence."""
    ring = Ring(capacity)
    meant = np.zeros(0, np.int16)
    for gap, count in writes:
        position = meant.size + gap
        ring.write(position, recorded(position, count))
        meant = np.concatenate([meant, np.zeros(gap, np.int16), recorded(position, count)])
    assert ring.end == meant.size
    assert np.array_equal(ring.read(ring.oldest, ring.end - ring.oldest), meant[ring.oldest :])


def test_a_window_may_begin_earlier_than_it_was_opened_while_nothing_of_it_has_left() -> None:
    out = Out()
    out.hear(100)
    out.uplink.set_window(Window(20_000))
    out.uplink.set_window(Window(10_000))
    out.uplink.set_window(Window(10_000, out.position))
    out.take()
    assert np.array_equal(out.positions, np.arange(10_000, out.position))
    assert out.uplink.counts.dropped == 0


def test_what_was_sent_or_dropped_is_not_reached_by_an_earlier_beginning() -> None:
    out = Out()
    out.hear(100)
    out.uplink.set_window(Window(0, 10_000))
    out.take()
    out.uplink.set_window(None)
    out.take()
    out.uplink.set_window(Window(20_000))
    out.uplink.set_window(Window(5_000))
    out.take(2)
    out.uplink.set_window(Window(2_000))  # and once it streams it goes on where it is
    out.take()
    assert np.array_equal(out.positions, np.arange(out.positions.size))
    assert out.position - out.positions.size < CHUNK
