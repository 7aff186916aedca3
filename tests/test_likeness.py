"""The end-to-end tests' judge of sound that was encoded with loss: what it lets pass, and what it does not."""

import io

import numpy as np
import pytest
import soundfile

from tests.support.hearing import Samples
from tests.support.likeness import likeness
from voicebox.assets import RATE, speech
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.pcm import resample

SENT = resample(speech("ask_time"), RATE, PLAYBACK_RATE)
PAUSE = np.zeros(1_000, np.int16)


@pytest.fixture(scope="module")
def heard() -> Samples:
    file = io.BytesIO()
    soundfile.write(file, SENT, PLAYBACK_RATE, format="MP3")
    file.seek(0)
    decoded: Samples = soundfile.read(file, dtype="int16")[0]
    return np.concatenate([PAUSE, decoded, PAUSE])


def test_encoding_passes(heard: Samples) -> None:
    found = likeness(SENT, heard)
    assert found.whole
    assert (found.start, found.end, found.unlike) == (1_000, 1_000 + SENT.size, 0)


@pytest.mark.parametrize("at", [500, 2_100, 3_000, 20_000, 25_000, 30_000])
def test_a_moment_of_silence_of_the_sound_server_passes(heard: Samples, at: int) -> None:
    assert likeness(SENT, np.concatenate([heard[:at], PAUSE, heard[at:]])).whole


def test_what_is_not_whole_does_not_pass(heard: Samples) -> None:
    spoiled = {
        "20 ms missing": np.concatenate([heard[:20_000], heard[20_480:]]),
        "its end missing": heard[:-3_000],
        "its beginning missing": np.concatenate([PAUSE, heard[4_000:]]),
        "said twice": np.concatenate([heard[:20_000], heard[19_500:]]),
        "said twice, later": np.concatenate([heard[:30_000], heard[29_000:]]),
        "half as loud": heard // 2,
        "something else": heard[::-1],
        "silence": np.zeros_like(heard),
    }
    assert [name for name, sound in spoiled.items() if likeness(SENT, sound).whole] == []
