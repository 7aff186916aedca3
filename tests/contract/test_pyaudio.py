"""The cards of tests/support/soundcard.py behave as PyAudio does on PulseAudio."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyaudio
import pytest

from tests.support.pulse import serving
from tests.support.soundcard import Card, Cards
from voicebox.audio import alsa

RATE, FRAMES = 16_000, 320
PATIENCE = 10.0


@dataclass
class World:
    connect: Callable[[], Any]
    unplug: Callable[[], object]
    plug_in: Callable[[], object]


def on_pulse() -> Iterator[World]:
    alsa.hush()
    with serving(here=True) as server, alsa.quiet():
        yield World(pyaudio.PyAudio, server.stop, server.start)


def on_fakes() -> Iterator[World]:
    card = Card("box_mic", capture=True, rate=RATE)
    yield World(Cards(card).connect, card.unplug, card.plug_in)


@pytest.fixture(params=[on_pulse, on_fakes], ids=["pulse", "fake"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from request.param()


class Calls:
    """A callback and what it was called with."""

    def __init__(self) -> None:
        self.answer = pyaudio.paContinue
        self.frames: set[int] = set()
        self.sizes: set[int] = set()
        self.times: dict[str, float] = {}
        self.happened = threading.Semaphore(0)

    def __call__(self, data: bytes, frames: int, times: dict[str, float], status: int) -> tuple[None, int]:
        assert isinstance(status, int)
        self.frames.add(frames)
        self.sizes.add(len(data))
        self.times = times
        self.happened.release()
        return None, self.answer

    def come(self, count: int = 5) -> bool:
        return all(self.happened.acquire(timeout=PATIENCE) for _ in range(count))

    def cease(self) -> bool:
        """None came for half a second, within the time there is."""
        return any(not self.happened.acquire(timeout=0.5) for _ in range(round(PATIENCE * RATE / FRAMES)))


def index(audio: Any) -> int | None:  # noqa: ANN401  # PyAudio ships no types
    infos = [audio.get_device_info_by_index(i) for i in range(audio.get_device_count())]
    return next((info["index"] for info in infos if info["name"] == "box_mic" and info["maxInputChannels"]), None)


def opened(audio: Any, device: int | None, calls: Calls) -> Any:  # noqa: ANN401
    return audio.open(
        rate=RATE,
        channels=1,
        format=pyaudio.paInt16,
        input=True,
        output=False,
        input_device_index=device,
        output_device_index=None,
        frames_per_buffer=FRAMES,
        stream_callback=calls,
    )


def test_callbacks_come_in_the_size_asked_for_and_end_with_the_stream(world: World) -> None:
    audio, calls = world.connect(), Calls()
    stream = opened(audio, index(audio), calls)
    assert calls.come()
    assert (calls.frames, calls.sizes) == ({FRAMES}, {2 * FRAMES})
    assert {"current_time", "output_buffer_dac_time"} <= set(calls.times)
    stream.close()
    assert calls.cease()
    audio.terminate()


def test_a_stream_that_ended_itself_can_be_started_again(world: World) -> None:
    audio, calls = world.connect(), Calls()
    stream = opened(audio, index(audio), calls)
    assert calls.come()
    calls.answer = pyaudio.paComplete
    assert calls.cease()
    assert not stream.is_active()
    calls.answer = pyaudio.paContinue
    stream.stop_stream()
    stream.start_stream()
    assert calls.come()
    stream.close()
    audio.terminate()


def test_a_card_that_goes_says_nothing_and_only_a_new_instance_finds_it_again(world: World) -> None:
    audio, calls = world.connect(), Calls()
    device = index(audio)
    stream = opened(audio, device, calls)
    assert calls.come()
    world.unplug()
    assert calls.cease()
    with pytest.raises(OSError, match="-99"):
        opened(audio, device, Calls())
    stream.close()
    audio.terminate()
    blind = world.connect()
    assert index(blind) is None
    world.plug_in()
    assert index(blind) is None
    blind.terminate()
    audio, calls = world.connect(), Calls()
    stream = opened(audio, index(audio), calls)
    assert calls.come()
    stream.close()
    audio.terminate()
