"""A box with each back-end: arrays in virtual time, PyAudio on PulseAudio."""

from collections.abc import Iterator

import pytest

from tests.support import pulse as pulse_support
from tests.support.boxes import Box, PulseBox, WavBox


@pytest.fixture(scope="module")
def pulse() -> Iterator[pulse_support.PulseServer]:
    if not pulse_support.available():
        pytest.skip("needs PulseAudio: apt-get install pulseaudio pulseaudio-utils libasound2-plugins")
    with pulse_support.PulseServer() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.env.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["wav", "portaudio"])
def box(request: pytest.FixtureRequest) -> Box:
    return WavBox() if request.param == "wav" else PulseBox(request.getfixturevalue("pulse"))
