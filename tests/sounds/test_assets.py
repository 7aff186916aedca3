"""The sounds that ship with voicebox: there, short, soft, without a click, and what the script makes."""

import itertools
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voicebox.assets import SOUNDS
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.core.cues import MESSAGES, Cue

SCRIPT = Path(__file__).parents[2] / "scripts" / "make-sounds"
EARCONS = sorted(set(Cue) - MESSAGES)
TEXTS: dict[str, dict[str, str]] = tomllib.loads((SOUNDS / "messages.toml").read_text("utf-8"))


def read(path: Path) -> tuple[NDArray[np.float64], int]:
    samples, rate = soundfile.read(path)
    return samples, rate


def test_the_earcons_are_what_the_script_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), "--earcons", str(tmp_path)], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in SOUNDS.glob("*.wav")}
    assert set(made) == {f"{earcon}.wav" for earcon in EARCONS}


@pytest.mark.parametrize("earcon", EARCONS)
def test_an_earcon_is_short_and_soft_and_does_not_click(earcon: Cue) -> None:
    samples, rate = read(SOUNDS / f"{earcon}.wav")
    assert rate == PLAYBACK_RATE
    longest = 0.45 if earcon is Cue.LAST_MINUTE else 0.15
    assert 0.06 <= len(samples) / rate <= longest + 1e-6
    assert 0.08 < np.abs(samples).max() < 0.15
    edge = rate * 2 // 1000
    assert np.abs(samples[:edge]).max() < 0.03
    assert np.abs(samples[-edge:]).max() < 0.03
    assert max(abs(samples[0]), abs(samples[-1])) < 0.001


def spectrum(earcon: Cue) -> NDArray[np.float64]:
    """How strong each of 40 bands is in each of 8 parts of 20 ms, as a unit vector."""
    samples, rate = read(SOUNDS / f"{earcon}.wav")
    part = rate // 50
    parts = np.pad(samples, (0, 8 * part))[: 8 * part].reshape(8, part)
    bands = np.abs(np.fft.rfft(parts * np.hanning(part), axis=1))[:, 2:42].ravel()
    return np.asarray(bands / np.linalg.norm(bands))


def pairs() -> Iterator[tuple[Cue, Cue]]:
    return itertools.combinations(EARCONS, 2)


@pytest.mark.parametrize(("one", "other"), list(pairs()))
def test_no_earcon_can_be_taken_for_another(one: Cue, other: Cue) -> None:
    assert float(spectrum(one) @ spectrum(other)) < 0.75


def test_every_message_is_there_in_every_language_and_nothing_else() -> None:
    assert set(TEXTS) == {"en", "de", "es", "ko"}
    for language, texts in TEXTS.items():
        assert set(texts) == MESSAGES
        assert {path.name for path in (SOUNDS / language).iterdir()} == {f"{name}.ogg" for name in MESSAGES}
    assert sum(path.stat().st_size for path in SOUNDS.rglob("*") if path.is_file()) < 700_000


@pytest.mark.parametrize(("language", "message"), list(itertools.product(TEXTS, sorted(MESSAGES))))
def test_a_message_says_its_text_clearly(language: str, message: Cue) -> None:
    """The script writes the text into the file: one that was changed and not made anew is found here."""
    path = SOUNDS / language / f"{message}.ogg"
    with soundfile.SoundFile(path) as file:
        assert file.title == TEXTS[language][message]
    samples, rate = read(path)
    assert 1.0 < len(samples) / rate < 8.0
    assert 0.085 < np.sqrt(np.mean(samples**2)) < 0.11
    assert np.abs(samples).max() < 0.9
    loud = np.abs(samples) > 0.02
    assert np.flatnonzero(loud)[0] < 0.1 * rate  # who waits hears it at once
