"""At which level a loudspeaker clips."""

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.audio.loudspeaker import Loudspeaker

Floats = NDArray[np.float32]
TAIL, STRETCH = 4_000, 3_840
ROOM = (np.random.default_rng(4).standard_normal(TAIL) * np.exp(-np.arange(TAIL) / 400)).astype(np.float32)


def played(seed: int) -> Floats:
    """As peaked as speech: most of it far below its loudest."""
    chance = np.random.default_rng(seed)
    size = TAIL + STRETCH
    return (chance.normal(0, 1_500, size) * np.repeat(chance.uniform(0.2, 2.5, size // 160), 160)).astype(np.float32)


def left_by_a_linear_filter(reference: Floats, limit: float, *, present: float = 32_767.0, hiss: float = 0.0) -> Floats:
    """What a filter leaves that knows the room, and takes the loudspeaker for one that clips at ``present``."""
    sounding, thought = np.clip(reference, -limit, limit), np.clip(reference, -present, present)
    rest = sounding - thought * (sounding @ thought / (thought @ thought))
    heard = np.convolve(rest, ROOM)[TAIL : TAIL + STRETCH]
    return (heard + np.random.default_rng(5).normal(0, hiss, STRETCH)).astype(np.float32)


def taught(limit: float, *, rounds: int = 40, hiss: float = 0.0, quieter: float = 1.0) -> Loudspeaker:
    loudspeaker = Loudspeaker()
    for seed in range(rounds):
        reference = played(seed) * np.float32(quieter)
        left = left_by_a_linear_filter(reference, limit, present=loudspeaker.limit, hiss=hiss)
        loudspeaker.learn(left, reference, ROOM)
    return loudspeaker


@pytest.mark.parametrize("limit", [2_000.0, 2_500.0, 4_000.0])
@pytest.mark.parametrize("hiss", [0.0, 300.0])
def test_the_level_is_found(limit: float, hiss: float) -> None:
    assert taught(limit, hiss=hiss).limit == pytest.approx(limit, rel=0.12)


def test_one_that_does_not_clip_is_not_thought_to() -> None:
    assert taught(32_767.0, hiss=300.0).limit == 32_767.0


def test_somebody_who_speaks_is_no_clipping() -> None:
    loudspeaker = Loudspeaker()
    for seed in range(40):
        loudspeaker.learn(played(seed + 100)[:STRETCH], played(seed), ROOM)
    assert loudspeaker.limit == 32_767.0


def test_what_is_played_faintly_tells_nothing() -> None:
    assert taught(100.0, quieter=0.05).limit == 32_767.0


def test_turned_down_it_clips_no_more() -> None:
    loudspeaker = taught(2_000.0)
    for seed in range(60):
        reference = played(seed)
        loudspeaker.learn(left_by_a_linear_filter(reference, 32_767.0, present=loudspeaker.limit), reference, ROOM)
    assert loudspeaker.limit > np.abs(played(1)).max() * 0.6


def test_what_sounds_is_clipped() -> None:
    loudspeaker = Loudspeaker()
    loud = np.array([-40_000, 5, 40_000], np.float32)
    assert loudspeaker.play(loud).tolist() == [-32_767, 5, 32_767]
    loudspeaker.limit = 1_000.0
    assert loudspeaker.play(loud).tolist() == [-1_000, 5, 1_000]
