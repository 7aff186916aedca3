"""Noise suppression and gain control, each switchable (COM-07, LIKU-41, EVI-72)."""

import numpy as np
import pytest

from voicebox.assets import speech
from voicebox.audio.base import BLOCK
from voicebox.audio.frontend import FrontEnd
from voicebox.audio.pcm import Samples, level
from voicebox.errors import DeviceError


def through(
    samples: Samples, *, high_pass: bool = False, noise_suppression: bool = False, gain_control: bool = False
) -> Samples:
    front_end = FrontEnd(high_pass=high_pass, noise_suppression=noise_suppression, gain_control=gain_control)
    blocks = samples[: len(samples) - len(samples) % BLOCK].reshape(-1, BLOCK)
    out = np.concatenate([front_end.process(block) for block in blocks])
    front_end.close()
    front_end.close()
    return out


def hiss(seconds: float, amplitude: float) -> Samples:
    return np.rint(np.random.default_rng(1).normal(0, amplitude, int(16_000 * seconds))).astype(np.int16)


def test_com_07_liku_41_evi_72_steady_noise_is_suppressed_when_asked_for() -> None:
    noise = hiss(4, 300)
    assert level(through(noise, noise_suppression=True)[32_000:]) < level(noise) - 10
    assert level(through(noise)[32_000:]) > level(noise) - 3


def test_com_07_liku_41_faint_speech_is_raised_when_asked_for() -> None:
    faint = (np.tile(speech("answer"), 2) // 20).astype(np.int16)
    last = slice(len(faint) // 2, None)
    assert level(through(faint, gain_control=True)[last]) > level(faint[last]) + 6
    assert abs(level(through(faint)[last]) - level(faint[last])) < 3


def test_evi_72_speech_survives_the_suppression() -> None:
    said = speech("answer")
    noisy = (said.astype(np.int32) + hiss(len(said) / 16_000, 300)[: len(said)]).clip(-32768, 32767).astype(np.int16)
    cleaned = through(noisy, noise_suppression=True)[BLOCK:]  # it comes back one block late
    loud = np.abs(said[: len(cleaned)]) > 4000
    assert level(cleaned[loud]) > level(noisy[: len(cleaned)][loud]) - 4


def test_rumble_goes_and_speech_stays_when_asked_for() -> None:
    def tone(hertz: float) -> Samples:
        return np.asarray(np.rint(9_000 * np.sin(2 * np.pi * hertz * np.arange(32_000) / 16_000)), np.int16)

    assert level(through(tone(30), high_pass=True)[8_000:]) < level(tone(30)) - 20
    assert level(through(tone(100), high_pass=True)[8_000:]) == pytest.approx(level(tone(100)) - 3, abs=0.2)
    assert level(through(tone(400), high_pass=True)[8_000:]) == pytest.approx(level(tone(400)), abs=0.2)
    assert np.array_equal(through(tone(30)), tone(30))


def test_each_part_is_loaded_only_where_it_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebox.audio.speexdsp.LIBRARY", "libnowhere.so.1")
    assert len(through(hiss(0.2, 300), high_pass=True)) == 3_200


def test_a_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebox.audio.speexdsp.LIBRARY", "libnowhere.so.1")
    with pytest.raises(DeviceError, match="libspeexdsp1"):
        FrontEnd(noise_suppression=True, gain_control=False)
