"""What a stream asks a card for, and what it makes of what it gets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.house import NO_FILE
from voicebox import parts, settings
from voicebox.audio import alsa, devices
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.streams import Microphone


class Card:
    """Stands for a pyaudio.PyAudio with one card that takes certain formats only, and then calls as it is told."""

    def __init__(self, channels: int, rate: int, *takes: tuple[int, int]) -> None:
        self._device = {"index": 0, "name": "Array", "maxInputChannels": channels, "maxOutputChannels": 0}
        self._rate = rate
        self._takes = takes
        self.asked: list[tuple[int, int]] = []
        self.frames = 0
        self.call: Callable[..., Any]

    def get_device_count(self) -> int:
        return 1

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        assert index == 0
        return {**self._device, "defaultSampleRate": float(self._rate)}

    def open(self, *, rate: int, channels: int, frames_per_buffer: int, stream_callback: Any, **_: Any) -> object:  # noqa: ANN401
        self.asked.append((rate, channels))
        if (rate, channels) not in self._takes:
            raise OSError(-9997, "Invalid sample rate")
        self.frames, self.call = frames_per_buffer, stream_callback
        return object()


@pytest.fixture(autouse=True)
def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "read_cards", dict)
    monkeypatch.setattr(alsa, "forget_configuration", lambda: None)
    monkeypatch.setattr(alsa, "hurry", lambda: None)


def opened(card: Card, channel: int | None) -> tuple[Microphone, list[Block]]:
    blocks: list[Block] = []
    microphone = Microphone("Array", channel, blocks.append, lambda _: None)
    microphone.open(card)
    return microphone, blocks


@pytest.mark.parametrize(
    ("most", "rate", "takes", "channel", "granted"),
    [
        (1, 16_000, [(16_000, 1)], 0, (16_000, 1)),
        (2, 48_000, [(48_000, 2)], 0, (48_000, 2)),
        (2, 44_100, [(44_100, 2)], 1, (44_100, 2)),
        (6, 16_000, [(16_000, 6)], 3, (16_000, 6)),
        (6, 16_000, [(16_000, 4), (16_000, 6)], 3, (16_000, 4)),
        (6, 16_000, [(16_000, 1), (16_000, 2), (16_000, 6)], 5, (16_000, 6)),
        (6, 16_000, [(16_000, 1), (16_000, 6)], None, (16_000, 6)),
        (32, 44_100, [(16_000, 32), (16_000, 2)], None, (16_000, 2)),  # not a card: it takes whatever one asks for
    ],
)
def test_the_wanted_channel_is_heard_in_a_format_the_card_takes(
    most: int, rate: int, takes: list[tuple[int, int]], channel: int | None, granted: tuple[int, int]
) -> None:
    card = Card(most, rate, *takes)
    _, blocks = opened(card, channel)
    assert card.asked[-1] == granted
    assert card.frames == granted[0] * BLOCK // 16_000
    values = np.arange(1, granted[1] + 1, dtype=np.int16) * 1000
    for _ in range(20):
        card.call(np.tile(values, card.frames).tobytes(), card.frames, {}, 0)
    heard = np.frombuffer(b"".join(block.pcm for block in blocks), np.int16)
    expected = round(float(values.mean())) if channel is None else values[channel]
    assert heard.size >= 16 * BLOCK
    assert np.abs(heard[-8 * BLOCK :].astype(int) - expected).max() <= 1


def test_a_channel_the_card_does_not_have_is_said() -> None:
    with pytest.raises(OSError, match=r"audio\.input_channel = 2, but it has only 2, counted from 0"):
        opened(Card(2, 16_000, (16_000, 1), (16_000, 2)), 2)


@pytest.mark.parametrize(("written", "channel"), [("0", 0), ("3", 3), ("false", None)])
def test_the_channel_of_the_settings_reaches_the_card(written: str, channel: int | None) -> None:
    chosen = settings.load(NO_FILE, {"VOICEBOX_AUDIO__INPUT_CHANNEL": written})
    backend: Any = parts.backend(chosen)
    assert backend._mic._channel == channel


def test_check_tells_of_names_that_no_card_has_for_good() -> None:
    wrong = settings.load(NO_FILE, {"VOICEBOX_AUDIO__INPUT": "hw:1", "VOICEBOX_AUDIO__OUTPUT": "2"})
    told = [problem for check in parts.CHECKS for problem in check(wrong)]
    assert [problem.split(" = ")[0] for problem in told] == ["audio.input", "audio.output"]
