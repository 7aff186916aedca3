"""LIRA-45: a little sound is gathered before a reply begins, so that bursts do not stutter; nothing else changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.gpio import ManualLoop
from tests.support.house import NO_FILE
from voicebox import parts
from voicebox.audio.base import PLAYBACK_RATE, Flushed
from voicebox.lead import AGAIN, MOST, Lead, LeadIn
from voicebox.services.base import discover
from voicebox.settings import load


class Card:
    """A speaker that notes what it is told and plays only when asked to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, bytes]] = []
        self.buffered = 0.0
        self.playing = (0, 0)
        self.dry = 0.0
        self.underruns = 0

    def play(self, reply_id: int, pcm: bytes) -> None:
        self.calls.append(("play", reply_id, pcm))
        self.buffered += len(pcm) / 2 / PLAYBACK_RATE

    def finish(self, reply_id: int) -> None:
        self.calls.append(("finish", reply_id, b""))

    def flush(self, floor: int) -> Flushed:
        self.calls.append(("flush", floor, b""))
        discarded, self.buffered = round(self.buffered * PLAYBACK_RATE), 0.0
        return Flushed(0, 0, discarded, 0.0)

    def hold(self) -> None:
        self.calls.append(("hold", 0, b""))

    def resume(self) -> None:
        self.calls.append(("resume", 0, b""))

    def duck(self, on: bool) -> None:
        self.calls.append(("duck", int(on), b""))

    def set_volume(self, level: float) -> None:
        raise NotImplementedError  # nor does the volume

    def notify(self, pcm: bytes) -> None:
        raise NotImplementedError  # the box's own sounds do not pass here

    def heard(self, reply_id: int) -> bytes:
        return b"".join(pcm for what, reply, pcm in self.calls if what == "play" and reply == reply_id)


def lead_in(seconds: float = 0.35, most: float = MOST) -> tuple[LeadIn, Card, ManualLoop]:
    card, loop = Card(), ManualLoop()  # type: ignore[abstract]  # the part that timers need
    return LeadIn(card, Lead(seconds, most=most), loop), card, loop


def sound(milliseconds: int, value: int = 1) -> bytes:
    return bytes([value, 0]) * (PLAYBACK_RATE * milliseconds // 1000)


LEADS = {"lira": 0.35, "liku": 0.2, "nextevi": 0.2, "zeebee": 0.3}


@pytest.mark.parametrize("service", sorted(LEADS))
def test_each_services_own_pauses_are_covered(service: str) -> None:
    """LIRA-45, LIKU-43, EVI-80: what their vendors measured or ask for."""
    capabilities = discover()[service].Service.capabilities
    assert capabilities.lead >= LEADS[service]
    lead, card, _ = lead_in(capabilities.lead)
    lead.play(1, sound(round(LEADS[service] * 1000) - 1))
    assert card.calls == []


def chosen(**environ: str) -> Lead:
    module = discover()["lira"]
    return parts.lead(load(NO_FILE, environ), module.Service(module.Settings(meeting_id="m")))


def test_the_owner_may_set_it_and_then_it_stays() -> None:
    lead = chosen(VOICEBOX_PLAYBACK__LEAD_MS="500")
    lead.ran_dry(0.3)
    assert lead.seconds == 0.5


def test_else_it_is_the_services_and_adapts() -> None:
    lead = chosen()
    assert lead.seconds == 0.35
    lead.ran_dry(0.1)
    assert lead.seconds == pytest.approx(0.45)


def test_a_reply_begins_once_enough_is_gathered() -> None:
    lead, card, _ = lead_in()
    lead.play(1, sound(200))
    assert card.calls == []
    assert lead.buffered == pytest.approx(0.2)
    lead.play(1, sound(150))
    assert card.calls == [("play", 1, sound(350))]
    assert lead.buffered == pytest.approx(0.35)


def test_it_is_waited_for_no_longer_than_the_lead() -> None:
    lead, card, loop = lead_in()
    lead.play(1, sound(100))
    loop.advance(0.2)
    lead.play(1, sound(20))
    loop.advance(0.149)
    assert card.calls == []
    loop.advance(0.002)
    assert card.calls == [("play", 1, sound(120))]
    assert loop.pending == 0


def test_the_end_of_a_short_reply_releases_it() -> None:
    lead, card, loop = lead_in()
    lead.play(1, sound(100))
    lead.finish(1)
    assert card.calls == [("play", 1, sound(100)), ("finish", 1, b"")]
    assert loop.pending == 0


def test_once_a_reply_sounds_nothing_is_held_back_while_it_does() -> None:
    lead, card, _ = lead_in()
    lead.play(1, sound(350))
    card.buffered = 0.0  # the card itself still has some
    lead.play(1, sound(20))
    assert card.calls[-1] == ("play", 1, sound(20))


def test_of_a_reply_that_ran_dry_a_little_is_gathered_again() -> None:
    lead, card, loop = lead_in()
    lead.play(1, sound(350))
    card.buffered, card.dry = 0.0, 0.1
    lead.play(1, sound(20))
    assert card.heard(1) == sound(350)
    lead.play(1, sound(110))
    assert card.heard(1) == sound(350 + 130)
    assert loop.pending == 0
    card.dry = 0.0
    lead.play(1, sound(20))
    assert card.heard(1) == sound(350 + 150)


def test_what_is_gathered_again_is_not_waited_for_for_ever() -> None:
    lead, card, loop = lead_in()
    lead.play(1, sound(350))
    card.buffered, card.dry = 0.0, 0.1
    lead.play(1, sound(20))
    loop.advance(AGAIN + 0.001)
    assert card.heard(1) == sound(370)


def test_the_end_releases_what_is_gathered_again() -> None:
    lead, card, _ = lead_in()
    lead.play(1, sound(350))
    card.buffered, card.dry = 0.0, 0.1
    lead.play(1, sound(20))
    lead.finish(1)
    assert card.calls[-2:] == [("play", 1, sound(20)), ("finish", 1, b"")]


def test_a_flush_drops_what_is_gathered_again() -> None:
    lead, card, _ = lead_in()
    lead.play(1, sound(350))
    card.buffered, card.dry = 0.0, 0.1
    lead.play(1, sound(20))
    assert lead.flush(1).discarded == 480
    assert card.heard(1) == sound(350)


def reply(lead: LeadIn, card: Card, number: int, dry: float = 0.0) -> None:
    """A reply of 2 s; after half of it, silence for ``dry`` seconds."""
    card.buffered = 0.0
    lead.play(number, sound(1000))
    card.dry = dry
    lead.play(number, sound(1000))
    card.dry = 0.0
    lead.finish(number)


def test_the_lead_grows_by_what_was_missing_and_forgets_it_slowly() -> None:
    lead, card, _ = lead_in(0.12)
    reply(lead, card, 1, dry=0.1)
    assert lead.lead == pytest.approx(0.22)
    reply(lead, card, 2)
    assert lead.lead == pytest.approx(0.217)
    for number in range(3, 200):
        reply(lead, card, number)
    assert 0.12 < lead.lead < 0.121
    card.buffered = 0.0
    lead.play(200, sound(119))
    assert card.heard(200) == b""


def test_a_short_silence_makes_it_grow_as_well() -> None:
    lead, card, _ = lead_in(0.12)
    reply(lead, card, 1, dry=0.001)
    assert lead.lead == pytest.approx(0.2)


def test_the_lead_stays_within_bounds_whatever_the_network_does() -> None:
    lead, card, _ = lead_in(0.12)
    reply(lead, card, 1, dry=30.0)
    assert lead.lead == pytest.approx(0.24)
    for number in range(2, 20):
        reply(lead, card, number, dry=30.0)
    assert lead.lead == MOST


def test_a_lead_that_the_owner_set_stays() -> None:
    lead, card, _ = lead_in(0.12, most=0.12)
    reply(lead, card, 1, dry=0.1)
    assert lead.lead == 0.12


def test_what_is_cut_is_no_sign_of_a_good_network() -> None:
    lead, card, _ = lead_in(0.12)
    reply(lead, card, 1, dry=0.1)
    grown = lead.lead
    lead.play(2, sound(1000))
    lead.flush(2)
    lead.finish(3)  # of which nothing came
    assert lead.lead == grown
    card.buffered = 0.0
    lead.play(4, sound(1000))
    lead.finish(4)
    assert lead.lead < grown


def test_while_the_speaker_is_busy_the_next_reply_follows_without_a_pause() -> None:
    lead, card, _ = lead_in()
    lead.play(1, sound(350))
    lead.finish(1)
    lead.play(2, sound(20, 2))
    assert card.calls[-1] == ("play", 2, sound(20, 2))


def test_a_second_reply_after_silence_is_gathered_for_again() -> None:
    lead, card, loop = lead_in()
    lead.play(1, sound(350))
    card.buffered = 0.0
    lead.play(2, sound(100, 2))
    assert card.heard(2) == b""
    loop.advance(0.36)
    assert card.heard(2) == sound(100, 2)


def test_a_newer_reply_releases_the_one_gathered_for_first() -> None:
    lead, card, _ = lead_in()
    lead.play(1, sound(100))
    lead.play(2, sound(100, 2))
    assert card.calls == [("play", 1, sound(100)), ("play", 2, sound(100, 2))]


def test_a_flush_drops_what_was_gathered_and_says_so() -> None:
    lead, card, loop = lead_in()
    lead.play(1, sound(100))
    flushed = lead.flush(1)
    loop.advance(10)
    assert card.heard(1) == b""
    assert flushed.discarded == 2_400
    assert lead.buffered == 0


def test_a_flush_leaves_a_newer_reply_alone() -> None:
    lead, card, _ = lead_in()
    lead.play(2, sound(100, 2))
    lead.flush(1)
    assert card.heard(2) == sound(100, 2)


def test_hold_resume_and_duck_reach_the_speaker() -> None:
    lead, card, _ = lead_in()
    lead.hold()
    lead.duck(on=True)
    lead.resume()
    assert [(what, number) for what, number, _ in card.calls] == [("hold", 0), ("duck", 1), ("resume", 0)]


def test_without_a_lead_everything_passes_at_once() -> None:
    lead, card, loop = lead_in(0)
    lead.play(1, sound(20))
    assert card.calls == [("play", 1, sound(20))]
    assert loop.pending == 0


DRY = st.sampled_from([0.0, 0.0, 0.05, 1.0])
PIECES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 300), st.floats(0, 0.5), DRY), min_size=1, max_size=20)


@given(PIECES)
@settings(deadline=None)
def test_all_that_is_played_arrives_once_and_in_order(pieces: list[tuple[int, int, float, float]]) -> None:
    """EVI-80: what comes down is buffered.

    Replies in rising order, each piece marked by its number, whatever the times between them."""
    lead, card, loop = lead_in()
    pieces.sort(key=lambda piece: piece[0])
    meant = dict.fromkeys((1, 2, 3), b"")
    for number, (reply, milliseconds, pause, dry) in enumerate(pieces):
        card.dry = dry
        card.buffered *= not dry
        meant[reply] += sound(milliseconds, number + 1)
        lead.play(reply, sound(milliseconds, number + 1))
        loop.advance(pause)
    lead.finish(pieces[-1][0])
    assert {reply: card.heard(reply) for reply in meant} == meant
    order = [reply for what, reply, _ in card.calls if what == "play"]
    assert order == sorted(order)
