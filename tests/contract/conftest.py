"""A box with each back-end: arrays in virtual time, PyAudio on PulseAudio."""

from collections.abc import Iterator

import pytest

from tests.support.boxes import Box, PulseBox, WavBox
from tests.support.pulse import PulseServer, serving


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseServer]:
    with serving(here=True) as server:
        yield server


@pytest.fixture(params=["wav", "portaudio"])
def box(request: pytest.FixtureRequest) -> Box:
    return WavBox() if request.param == "wav" else PulseBox(request.getfixturevalue("pulse"))
