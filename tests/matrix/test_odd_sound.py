"""Sound from every service that is empty, cut in the middle of a sample, no sound at all, or of another rate."""

import base64
import io
from unittest.mock import patch

import numpy as np
import pytest
import soundfile

from tests.matrix.witness import (
    SERVICES,
    assert_whole,
    heard,
    inject,
    living_briefly,
    sent,
    to_the_end,
)
from tests.support.bounded import run_bounded
from tests.support.house import now
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.pcm import from_bytes, resample
from voicebox.core.state import Phase
from voicebox.wire import dump


def tts(content: str) -> str:
    return dump({"type": "tts_chunk", "content": content})


def stream(*pieces: str) -> tuple[str, ...]:
    """ZeebeeAI's sound, whole."""
    chunks = [{"type": "audio_chunk", "data": text, "chunk_index": n} for n, text in enumerate(pieces)]
    return (*map(dump, ({"type": "audio_stream_start", "total_chunks": len(pieces)}, *chunks)),)


NO_BASE64 = dump({"type": "audio", "data": "%%%"})
"""To a service whose sound is binary this is any message of unknown type."""
ODD: dict[str, dict[str, tuple[list[str], tuple[str | bytes, ...]]]] = {
    "empty": {
        "lira": (["empty_audio"], ()),
        "liku": (["empty_audio"], ()),
        "nextevi": ([], (tts(""), b"")),
        "zeebee": ([], (dump({"type": "audio_chunk", "data": "", "chunk_index": 0}), b"")),
    },
    "odd_byte": {
        "lira": (["odd_bytes"], ()),
        "liku": (["odd_bytes"], ()),
        "nextevi": (["bare_pcm"], (tts(base64.b64encode(b"\0").decode()),)),
        "zeebee": (["wav_sound", "pieces_sliced"], ()),  # its pieces end in the middle of samples
    },
    "bad_base64": {
        "lira": ([], (NO_BASE64,)),
        "liku": ([], (NO_BASE64,)),
        "nextevi": (["bad_audio"], ()),
        "zeebee": ([], stream("%%%", "=A=A")),
    },
}
"""What comes: faults of the simulator, and messages before the reply."""


@pytest.mark.parametrize("form", ODD)
@pytest.mark.parametrize("service", SERVICES)
def test_it_is_survived_and_the_reply_is_heard_whole(service: str, form: str) -> None:
    async def test() -> None:
        faults, messages = ODD[form][service]
        async with living_briefly(service, faults=faults) as house:
            inject(house, *messages)
            await house.ask()
            await to_the_end(house)
            assert house.faults == set()
            assert_whole(house, heard(house), sent(house), exact=True if "wav_sound" in faults else None)

    run_bounded(test())


def test_every_kind_says_what_it_means_for_each_service() -> None:
    assert all(set(row) == set(SERVICES) for row in ODD.values())


def cd_stereo(pcm: bytes, form: str) -> bytes:
    """Instead of the simulator's own encoding, which is at 24 kHz."""
    samples = resample(from_bytes(pcm), PLAYBACK_RATE, 44_100) / 32768  # libsndfile spoils whole numbers in stereo MP3
    file = io.BytesIO()
    soundfile.write(file, np.stack([samples, samples], axis=1), 44_100, format=form)
    return file.getvalue()


@pytest.mark.parametrize("service", SERVICES)
def test_a_rate_that_is_not_ours(service: str) -> None:
    """A rate that is named is honoured; bare PCM names none, and is played at the documented one."""

    async def test() -> None:
        async with living_briefly(service, faults=["wav_16k"] if service == "nextevi" else []) as house:
            with patch("voicebox.simulator.zeebee._encoded", cd_stereo):
                await house.ask()
                began = now()
                await house.until_phase(Phase.LISTENING)
                took = now() - began
                await to_the_end(house)
            said = sent(house)
            assert took == pytest.approx(said.size / PLAYBACK_RATE, abs=0.6)
            assert house.faults == set()
            assert_whole(house, heard(house), said, exact=service in ("lira", "liku"))

    run_bounded(test())
