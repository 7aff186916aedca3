"""The echo's delay is found, and a path that moves is measured in fractions of a sample."""

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.assets import speech
from voicebox.audio.alignment import AHEAD, BEHIND, CHUNK, PathSearch, displacement

Floats = NDArray[np.float32]
SPOKEN = np.tile(speech("answer").astype(np.float32), 3)


def noise(count: int, level: float, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(0, level, count).astype(np.float32)


def searched(delay: int, *, gain: float, disturbance: float, chunks: int = 4) -> PathSearch:
    search = PathSearch()
    for start in range(BEHIND, BEHIND + chunks * CHUNK, CHUNK):
        echo = SPOKEN[start - delay : start - delay + CHUNK] * gain
        around = SPOKEN[start - BEHIND : start + CHUNK + AHEAD]
        search.add((echo + noise(CHUNK, disturbance, start)).astype(np.float32), around)
    return search


@pytest.mark.parametrize("delay", [-300, 0, 320, 3_200, 5_000])
@pytest.mark.parametrize(("gain", "disturbance"), [(2.0, 3), (0.1, 3), (0.1, 100)])
def test_the_delay_is_found_loud_or_faint(delay: int, gain: float, disturbance: float) -> None:
    assert searched(delay, gain=gain, disturbance=disturbance).delay == delay


def test_what_one_chunk_does_not_tell_several_do() -> None:
    found = [searched(900, gain=0.02, disturbance=100, chunks=chunks).delay for chunks in (1, 16)]
    assert found == [None, 900]


def test_where_nothing_comes_back_nothing_is_found() -> None:
    found = [searched(0, gain=0.0, disturbance=300, chunks=chunks).delay for chunks in range(1, 9)]
    assert set(found) == {None}


def test_after_forgetting_nothing_is_left_of_before() -> None:
    search = searched(320, gain=1.0, disturbance=3)
    search.forget()
    assert search.delay is None
    around = SPOKEN[CHUNK : BEHIND + 2 * CHUNK + AHEAD]
    search.add(SPOKEN[BEHIND + CHUNK - 900 : BEHIND + 2 * CHUNK - 900], around)
    assert search.delay == 900


@pytest.mark.parametrize("moved", [-20.5, -0.25, 0.0, 0.1, 3.37, 150.0])
def test_how_far_a_path_moved(moved: float) -> None:
    spectrum = np.fft.rfft(noise(512, 1.0) * np.exp(-np.arange(512) / 60), 2_048)
    turn = np.exp(-2j * np.pi * np.fft.rfftfreq(2_048) * 700)
    before = np.fft.irfft(spectrum * turn)
    after = np.fft.irfft(spectrum * turn * np.exp(-2j * np.pi * np.fft.rfftfreq(2_048) * moved))
    found = displacement(before.astype(np.float32), after.astype(np.float32))
    assert found == pytest.approx(moved, abs=0.02)
