"""One sound server for all; for each class of tests a service, a daemon that talks to it, and its speaker recorded.

A class says what it needs by attributes: ``CONFIG`` (TOML without sections), ``PINS``, ``ANSWERS`` (names of shipped
speech instead of a parrot's) and ``FAULTS``.
"""

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.daemon import Daemon
from tests.support.hearing import Samples
from tests.support.lira import Lira
from tests.support.pulse import PulseServer, Recording, serving
from tests.support.speech import noise

LEAD = noise(1.6, -66)
"""What is in the room before somebody speaks: too quiet to count as speech, and no two moments of it are alike."""

Say = Callable[[Samples], None]


@pytest.fixture(scope="session")
def pulse() -> Iterator[PulseServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="class")
def speaker(pulse: PulseServer) -> Iterator[Recording]:
    """What leaves the box's speaker."""
    with pulse.record() as recording:
        yield recording


@pytest.fixture(scope="class")
def lira(request: pytest.FixtureRequest) -> Iterator[Lira]:
    wanted = request.cls
    with Lira(*getattr(wanted, "ANSWERS", ()), faults=getattr(wanted, "FAULTS", ())) as server:
        yield server


@pytest.fixture(scope="class")
def box(
    request: pytest.FixtureRequest, pulse: PulseServer, lira: Lira, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """A daemon that is ready. Its story is shown when a test fails."""
    wanted = request.cls
    config = f'service = "lira"\n{wanted.CONFIG}\n{lira.config}'
    pins = getattr(wanted, "PINS", False)
    folder = tmp_path_factory.mktemp("box")
    with Daemon(folder, config, environ=pulse.env, secrets=lira.secrets, pins=pins, watchdog=1.0) as daemon:
        daemon.ready()
        yield daemon


@pytest.fixture
def say(pulse: PulseServer) -> Iterator[Say]:
    """Speak into the box's microphone, without waiting for the end of it."""
    voices: list[threading.Thread] = []

    def speak(samples: Samples) -> None:
        voices.append(threading.Thread(target=pulse.say, args=(samples,), daemon=True))
        voices[-1].start()

    yield speak
    for voice in voices:
        voice.join(60)
        assert not voice.is_alive()
