"""Arithmetic on sound."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.audio import pcm
from voicebox.audio.pcm import Change, SpeechGate

RATE = 16_000


def tone(seconds: float, level: float, rate: int = RATE, frequency: float = 440.0) -> NDArray[np.int16]:
    """A sine of this RMS level in dBFS."""
    time = np.arange(round(seconds * rate)) / rate
    return pcm.to_int16((np.sqrt(2) * 10 ** (level / 20) * np.sin(2 * np.pi * frequency * time)).astype(np.float32))


def hiss(seconds: float, level: float) -> NDArray[np.int16]:
    values = np.random.default_rng(1).normal(0, 32768 * 10 ** (level / 20), round(seconds * RATE))
    return np.rint(values).clip(-32768, 32767).astype(np.int16)


def syllables(seconds: float, level: float) -> NDArray[np.int16]:
    """Something with the rhythm of speech: 180 ms loud, 80 ms soft."""
    sound = tone(seconds, level).astype(np.float64)
    sound[np.arange(sound.size) % 4_160 > 2_880] /= 100
    return sound.astype(np.int16)


def changes(gate: SpeechGate, sound: NDArray[np.int16]) -> list[tuple[Change, int]]:
    """(change, ms) in the order they are seen."""
    blocks = [sound[i : i + 320] for i in range(0, sound.size - 319, 320)]
    seen = [(gate.feed(block), 20 * (i + 1)) for i, block in enumerate(blocks)]
    return [(change, at) for change, at in seen if change is not None]


def silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(seconds * RATE), np.int16)


@pytest.mark.parametrize("level", [-3.1, -20.0, -60.0])
def test_level_of_a_tone(level: float) -> None:
    assert pcm.level(tone(1, level)) == pytest.approx(level, abs=0.3)


def test_level_of_silence_and_of_a_constant() -> None:
    assert pcm.level(silence(0.1)) == pcm.level(np.zeros(0, np.int16)) == pcm.SILENCE
    assert pcm.level(np.full(320, 1_000, np.int16)) == pcm.SILENCE


def test_fade_begins_where_the_sound_was_and_ends_in_silence() -> None:
    faded = pcm.fade_out(np.full(72, 10_000, np.int16))
    assert faded[0] == 10_000
    assert faded[-1] == 0
    assert all(a >= b for a, b in itertools.pairwise(faded.tolist()))


def test_channels() -> None:
    stereo = np.array([1, 10, 2, 20, 3, 30], np.int16)
    assert pcm.pick_channel(stereo, 2, 1).tolist() == [10, 20, 30]
    assert pcm.pick_channel(stereo, 2, 7).tolist() == [10, 20, 30]
    assert pcm.pick_channel(stereo, 2, None).tolist() == [6, 11, 16]
    assert pcm.to_channels(np.array([1, 2], np.int16), 2).tolist() == [1, 1, 2, 2]


@pytest.mark.parametrize(("source", "target"), [(48_000, 16_000), (44_100, 16_000), (16_000, 24_000), (24_000, 48_000)])
def test_resampled_stream_keeps_length_and_sound(source: int, target: int) -> None:
    """LIRA-18."""
    original = tone(1.0, -12, source)
    resampler = pcm.Resampler(source, target)
    pieces = [resampler.process(original[i : i + 441]) for i in range(0, original.size, 441)]
    result = np.concatenate([*pieces, resampler.flush()])
    expected = tone(1.0, -12, target)
    assert abs(result.size - expected.size) <= 1
    middle = slice(target // 10, -target // 10)
    assert np.abs(result[middle].astype(int) - expected[: result.size][middle]).max() <= 3


def test_equal_rates_pass_through() -> None:
    sound = hiss(0.1, -20)
    assert np.array_equal(pcm.resample(sound, 16_000, 16_000), sound)
    assert np.array_equal(pcm.Resampler(16_000, 16_000).process(sound), sound)


def test_gate_sees_speech_start_and_stop_after_the_hangover() -> None:
    gate = SpeechGate(hangover_ms=400, min_speech_ms=80)
    sound = np.concatenate([silence(3), syllables(2.0, -25), silence(2)])  # the last loud block ends at 5.0 s
    assert changes(gate, sound) == [(Change.STARTED, 3_080), (Change.STOPPED, 5_400)]


def test_gate_ignores_a_click() -> None:
    sound = np.concatenate([silence(3), tone(0.04, -10), silence(1)])
    assert changes(SpeechGate(min_speech_ms=80), sound) == []


@pytest.mark.parametrize("level", [-70.0, -45.0, -30.0])
def test_gate_learns_steady_noise_and_hears_speech_above_it(level: float) -> None:
    gate = SpeechGate()
    changes(gate, hiss(6, level))
    assert not gate.speaking
    assert changes(gate, hiss(20, level)) == []
    speech = hiss(2, level) + syllables(2, level + 22)
    assert [change for change, _ in changes(gate, speech)] == [Change.STARTED]


def test_gate_takes_a_drop_out_in_noise_for_nothing() -> None:
    gate = SpeechGate()
    changes(gate, hiss(6, -35))
    assert changes(gate, np.concatenate([hiss(1, -35), silence(0.02), hiss(5, -35)])) == []


def test_gate_hears_long_speech_as_one_stretch() -> None:
    sound = np.concatenate([silence(2), syllables(20, -25), silence(1)])
    assert [change for change, _ in changes(SpeechGate(), sound)] == [Change.STARTED, Change.STOPPED]


def test_gate_refuses_other_block_sizes() -> None:
    with pytest.raises(ValueError, match="320"):
        SpeechGate().feed(np.zeros(160, np.int16))
