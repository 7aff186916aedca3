"""EVI-28, EVI-29, EVI-30: never more than N messages within S seconds, and no message waits longer than that takes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebox.limiter import MARGIN, Limiter
from voicebox.services.base import Rate
from voicebox.services.nextevi import Service

RATES = Service.capabilities.rates
KINDS = ("audio", "text")
wishes = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([0.0, 0.001, 0.01, 0.3, 2.0])), max_size=300)
rates = st.lists(
    st.builds(Rate, st.sampled_from([*KINDS, "any"]), st.integers(1, 20), st.sampled_from([0.1, 1.0, 60.0])), max_size=4
)


def send_all(limiter: Limiter, wanted: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """(kind, time) of each message, sent as soon as it may be; the next is wanted so many seconds after."""
    now, sent = 1000.0, []
    for kind, pause in wanted:
        while (delay := limiter.delay(kind, now)) > 0:
            now += delay
        limiter.sent(kind, now)
        sent.append((kind, now))
        now += pause
    return sent


def times(sent: list[tuple[str, float]], rate: Rate) -> list[float]:
    return [at for kind, at in sent if rate.kind in (kind, "any")]


@given(rates, wishes)
def test_no_window_ever_holds_more_than_it_may(limits: list[Rate], wanted: list[tuple[str, float]]) -> None:
    sent = send_all(Limiter(limits), wanted)
    for rate in limits:
        at = times(sent, rate)
        assert all(late - early > rate.seconds for early, late in zip(at, at[rate.messages :], strict=False))


@given(rates, wishes)
def test_nothing_waits_without_need(limits: list[Rate], wanted: list[tuple[str, float]]) -> None:
    """A message that had to wait goes out the moment that one of the limits allows it."""
    sent = send_all(Limiter(limits), wanted)
    for index, ((_, before), (kind, now)) in enumerate(pairwise(sent), start=1):
        if now == before + wanted[index - 1][1]:
            continue  # it did not wait
        full = [
            at[-rate.messages] + rate.seconds * (1 + MARGIN)
            for rate in limits
            if rate.kind in (kind, "any") and len(at := times(sent[:index], rate)) >= rate.messages
        ]
        assert now == pytest.approx(max(full))


def test_evi_28_a_flood_of_audio_stays_below_a_thousand_a_minute() -> None:
    sent = send_all(Limiter(RATES), [("audio", 0.0)] * 2100)
    at = [when for _, when in sent]
    assert max(sum(begin <= t < begin + 60 for t in at) for begin in at[::100]) == 1000
    assert at[1000] - at[0] > 60


def test_evi_29_a_flood_of_text_stays_below_a_hundred_a_minute() -> None:
    at = [when for _, when in send_all(Limiter(RATES), [("text", 0.0)] * 250)]
    assert at[99] - at[0] < 2
    assert at[100] - at[0] > 60
    assert at[200] - at[100] > 60


def test_evi_30_both_together_stay_below_a_hundred_a_second() -> None:
    at = [when for _, when in send_all(Limiter(RATES), [("audio", 0.0), ("text", 0.0), ("audio", 0.0)] * 80)]
    assert all(late - early > 1 for early, late in zip(at, at[100:], strict=False))
    assert at[99] == at[0]


def test_what_a_talking_box_sends_never_waits() -> None:
    """120 ms of sound in each message, for ten minutes, behind a backlog of 5 s."""
    limiter, chunk = Limiter(RATES), Service.capabilities.uplink_chunk / Service.capabilities.uplink_rate
    sent = send_all(limiter, [("audio", 0.0)] * 42 + [("audio", chunk)] * 5000)
    assert sent[-1][1] - sent[42][1] == pytest.approx(4999 * chunk)


def test_without_limits_nothing_waits() -> None:
    limiter = Limiter(())
    limiter.sent("audio", 0.0)
    assert limiter.delay("audio", 0.0) == 0.0
