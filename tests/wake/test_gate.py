"""Not scoring what is nothing loses no detection, and makes none late."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.speech import Samples, hops, noise, say, silence
from voicebox.wake._gate import Gate
from voicebox.wake.base import HOP, Phrase
from voicebox.wake.openwakeword import OpenWakeWord

JARVIS = Phrase("hey_jarvis")
LOOKBACK = 25  # hops behind one of its scores
VOICES = ["espeak:en-us", "espeak:en-gb+f3@190", "espeak:en-us+m3@130", "flite:kal", "flite:slt"]
FLOORS = range(-90, -30, 3)  # dBFS


class Told:
    """A gate that opens when it is told to: at these hops, and for what looks back on them."""

    def __init__(self, *hops: int) -> None:
        self._hops = hops
        self._hop = -1

    def reset(self) -> None:
        self._hop = -1

    def opens(self, _: NDArray[np.int16]) -> bool:
        self._hop += 1
        return any(hop <= self._hop < hop + LOOKBACK for hop in self._hops)


def engine(gate: Gate | Told | None = None, phrase: Phrase = JARVIS) -> OpenWakeWord:
    made = OpenWakeWord([phrase])
    if gate is not None:
        made._gate = gate  # type: ignore[assignment]  # a stand-in
    return made


def always() -> OpenWakeWord:
    return engine(Told(*range(5_000)))


def called_in_noise(floor: float, snr: float, turn: int) -> list[Samples]:
    """A room for 13 seconds, in which somebody says the wake word at the end."""
    said = say("hey jarvis", VOICES[turn % len(VOICES)])
    room = noise(14, floor, pink=turn % 2 == 0, seed=turn).astype(np.float32)
    at = 12 * 16_000 + 97 * turn
    loud = 10 ** ((floor + snr + 22) / 20) * 2  # the voices peak at -6 dBFS, some 22 dB above their mean power
    room[at : at + said.size] += said * np.float32(loud)
    return list(hops(np.clip(np.round(room), -32_768, 32_767).astype(np.int16)))


def heard(detector: OpenWakeWord, sound: list[Samples]) -> list[int]:
    return [at for at, hop in enumerate(sound) if detector.process(hop)]


def test_at_every_noise_floor_the_wake_word_is_heard_when_it_would_be_by_scoring_everything() -> None:
    """Loud and faint, down to where scoring everything misses it, too."""
    rooms = [called_in_noise(floor, (-4.0, -1.0, 2.0)[turn % 3], turn) for turn, floor in enumerate(FLOORS)]
    everything, lazy = always(), engine()
    found = 0
    for room in rooms:
        everything.reset()
        lazy.reset()
        due, got = [100 + at for at in heard(everything, room[100:])], heard(lazy, room)
        assert [late - early in (0, 1) for early, late in zip(due, got, strict=True)] == [True] * len(due)
        found += len(due)
    assert 8 <= found < len(rooms), "it was too easy, or too hard, to tell anything"


@pytest.mark.parametrize("kind", ["white", "pink", "silent"])
def test_a_steady_room_is_not_scored(kind: str) -> None:
    room = silence(40) if kind == "silent" else noise(40, -55, pink=kind == "pink")
    gate, open_at = Gate(LOOKBACK), []
    for at, hop in enumerate(hops(room)):
        if gate.opens(hop):
            open_at.append(at)
    assert len(open_at) < 133 + 2 * LOOKBACK


def test_it_opens_for_what_happens_and_closes_when_no_score_depends_on_it() -> None:
    room = noise(40, -55).reshape(-1, HOP)
    room[200] *= 2
    gate = Gate(LOOKBACK)
    opened = [gate.opens(hop) for hop in room]
    assert all(opened[:132])
    assert opened.index(False) <= 140
    assert all(opened[200 : 200 + LOOKBACK])
    assert not any(opened[190:200])
    assert not any(opened[200 + LOOKBACK : 210 + LOOKBACK])


def test_a_room_that_became_loud_for_good_is_quiet_in_ten_seconds() -> None:
    gate = Gate(LOOKBACK)
    opened = [gate.opens(hop) for hop in hops(noise(20, -60), noise(30, -40, seed=2))]
    assert all(opened[250 : 250 + 125])
    assert not any(opened[250 + 133 + LOOKBACK : 250 + 143 + LOOKBACK])


def test_a_gap_makes_it_learn_the_room_anew() -> None:
    gate = Gate(LOOKBACK)
    room = list(hops(noise(15, -60)))
    assert not all(gate.opens(hop) for hop in room)
    gate.reset()
    assert all(gate.opens(hop) for hop in room[:132])


SPOKEN = list(hops(noise(6, -60), say("hey jarvis"), noise(2, -60, seed=3)))


def test_what_was_left_out_is_made_up_for_as_if_it_had_been_scored() -> None:
    """However late the gate opens: scores are those of scoring everything, from one hop later on."""
    everything = always()
    scores = []
    for hop in SPOKEN:
        everything.process(hop)
        scores.append(everything.scores["hey_jarvis"])
    (due,) = heard(always(), SPOKEN)
    for opening in (LOOKBACK + 5, due - 6, due - 1, due):
        lazy = engine(Told(opening))
        found = [(at, lazy.process(hop), lazy.scores["hey_jarvis"]) for at, hop in enumerate(SPOKEN)]
        assert [score for _, _, score in found[: opening + 1]] == [0.0] * (opening + 1)
        made_up = [score for _, _, score in found[opening + 1 : opening + LOOKBACK]]
        assert made_up == pytest.approx(scores[opening + 1 : opening + LOOKBACK], abs=1e-5)
        assert {score for _, _, score in found[opening + LOOKBACK :]} <= {0.0}
        expected = [max(due, opening + 1)] if opening + LOOKBACK > due else []
        assert [at for at, detections, _ in found if detections] == expected


def test_what_was_left_out_for_a_moment_only_is_taken_as_it_came() -> None:
    (due,) = heard(always(), SPOKEN)
    closed = range(due - 4, due - 1)

    class Winking(Told):
        def opens(self, _: NDArray[np.int16]) -> bool:
            self._hop += 1
            return self._hop not in closed

    lazy, everything = engine(Winking()), always()
    for at, hop in enumerate(SPOKEN):
        assert bool(lazy.process(hop)) == bool(everything.process(hop))
        assert lazy.scores["hey_jarvis"] == (
            pytest.approx(everything.scores["hey_jarvis"], abs=1e-5) if at not in closed else 0.0
        )


def test_patience_counts_every_hop_that_was_made_up_for() -> None:
    (due,) = heard(always(), SPOKEN)
    patient = Phrase("hey_jarvis", patience=2)
    assert heard(engine(Told(due), patient), SPOKEN) == [due + 1]


def test_refractory_time_passes_while_nothing_happens() -> None:
    detector = OpenWakeWord([JARVIS], refractory=2.0)
    twice = [*SPOKEN, *hops(noise(3, -60, seed=4)), *SPOKEN[-LOOKBACK - 20 :]]
    (due,) = heard(always(), SPOKEN)
    again = next(at for at in heard(always(), twice) if at > len(SPOKEN))
    detector._gate = Told(due, again)  # type: ignore[assignment]
    assert heard(detector, twice) == [due + 1, again + 1]


def test_catching_up_takes_no_more_than_half_of_it_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = engine(Told(60), Phrase("timer"))  # looks back on 43 hops
    taken: list[int] = []
    take = detector._features.take

    def counted(hops: list[Samples]) -> None:
        taken.append(len(hops))
        take(hops)

    monkeypatch.setattr(detector._features, "take", counted)
    for hop in SPOKEN[:64]:
        detector.process(hop)
    assert taken == [22, 22, 1, 1]
