"""Every form a service's messages are seen in, one question and its answer in each: heard whole, nothing the matter."""

from itertools import product
from typing import Literal, get_args

import pytest

from tests.matrix.witness import ONE_TURN, assert_was_said, assert_whole, events, heard, sent
from tests.support.bounded import run_bounded
from tests.support.house import living
from voicebox.core.events import ReplyText, SessionReady, Transcript
from voicebox.core.state import Phase
from voicebox.wire.lira import Envelope

BRIEF = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3.0"}


async def one_turn(service: str, faults: list[str], envelope: Envelope = "data", *, exact: bool = True) -> int:
    """Returns how many connections it took."""
    house_of = living(service=service, faults=faults, envelope=envelope, brain="parrot", duplex="half", options=BRIEF)
    async with house_of as house:
        await house.ask()
        await house.until_phase(Phase.IDLE)
        assert house.phases == ONE_TURN
        assert house.faults == set()
        assert_whole(house, heard(house), sent(house), exact=exact)
        assert_was_said(house)
        assert events(house, SessionReady)
        assert [event.role for event in events(house, Transcript)][:1] == ["user"]
        said = "".join(event.text for event in events(house, ReplyText))
        assert "s of speech" in said
        return len(house.simulator.connections)


@pytest.mark.parametrize("envelope", get_args(Envelope))
def test_lira_23_envelopes(envelope: Envelope) -> None:
    assert run_bounded(one_turn("lira", [], envelope)) == 1


@pytest.mark.parametrize("form", ["plain", "init_quoted", "init_object"])
def test_liku_10_34_54_connection_data(form: str) -> None:
    """As text, as a JSON string, in an object: which it is shows when the verbatim text is refused."""
    connections = run_bounded(one_turn("liku", [] if form == "plain" else [form]))
    assert connections == (1 if form == "plain" else 2)


@pytest.mark.parametrize(("envelope", "sound"), list(product(["data", "flat"], ["wav", "bare_pcm"])))
def test_evi_44_45_79_envelopes_and_sound(envelope: Literal["data", "flat"], sound: str) -> None:
    assert run_bounded(one_turn("nextevi", [] if sound == "wav" else [sound], envelope)) == 1


PIECES = ["aligned", "pieces_padded", "pieces_sliced", "pieces_shuffled"]


@pytest.mark.parametrize(("pieces", "sound"), list(product(PIECES, ["mp3", "wav_sound"])))
def test_zbe_39_40_42_66_pieces_and_sound(pieces: str, sound: str) -> None:
    faults = [fault for fault in (pieces, sound) if fault not in ("aligned", "mp3")]
    assert run_bounded(one_turn("zeebee", faults, exact=sound != "mp3")) == 1
