"""What a stream asks a card for, and what it makes of what it gets."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.house import NO_FILE
from voicebox import parts, settings
from voicebox.audio import alsa, devices
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.playback import FADE, Playback
from voicebox.audio.streams import Microphone, Speaker

CALLED_IN = {"current_time": 5.0, "input_buffer_adc_time": 4.98}
"""What PortAudio says with 20 ms of sound."""


class Card:
    """Stands for a pyaudio.PyAudio with one card that takes certain formats only, and then calls as it is told."""

    def __init__(self, channels: int, rate: int, *takes: tuple[int, int]) -> None:
        self._device = {"index": 0, "name": "Array", "maxInputChannels": channels, "maxOutputChannels": channels}
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
    microphone = Microphone("Array", channel, blocks.extend, lambda _: None)
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
        card.call(np.tile(values, card.frames).tobytes(), card.frames, CALLED_IN, 0)
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


@pytest.mark.parametrize(("written", "frames"), [({}, 120), ({"VOICEBOX_AUDIO__PERIOD_MS": "20"}, 480)])
def test_the_period_of_the_settings_is_what_the_speaker_asks_for(written: dict[str, str], frames: int) -> None:
    backend: Any = parts.backend(settings.load(NO_FILE, written))
    assert backend._spk.frames() == frames


def test_check_tells_of_names_that_no_card_has_for_good() -> None:
    wrong = settings.load(NO_FILE, {"VOICEBOX_AUDIO__INPUT": "hw:1", "VOICEBOX_AUDIO__OUTPUT": "2"})
    told = [problem for check in parts.CHECKS for problem in check(wrong)]
    assert [problem.split(" = ")[0] for problem in told] == ["audio.input", "audio.output"]


Samples = NDArray[np.int16]

# --- the speaker ----------------------------------------------------------------------------------------------------


class Loudspeaker:
    """A speaker opened on such a card, which takes what it asks for one period after the other."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.time = 0.0
        self.drained: list[int] = []
        self.playback = Playback(lambda reply_id, _: self.drained.append(reply_id), clock=lambda: self.time)
        self.stream = Speaker("Array", self.playback, lambda _: None)
        self.stream.open(card)

    def take(self, seconds: float) -> Samples:
        """What it gets in this time, shape (frames, channels)."""
        info = {"output_buffer_dac_time": self.time, "current_time": self.time}
        out = b""
        for _ in range(round(seconds * self.stream.card_rate / self.card.frames)):
            piece, _ = self.card.call(None, self.card.frames, info, 0)
            assert len(piece) == 2 * self.card.frames * self.stream.channels
            out += piece
            self.time += self.card.frames / self.stream.card_rate
        return np.frombuffer(out, np.int16).reshape(-1, self.stream.channels)


def tone(seconds: float, rate: int) -> Samples:
    """Never 0, so that it can be told from silence."""
    wave = np.sin(np.arange(round(seconds * rate)) / rate * 2 * np.pi * 440)
    return np.asarray(np.rint(9_000 + 4_000 * wave), np.int16)


EVERY = [(rate, channels) for rate in (24_000, 44_100, 48_000) for channels in (1, 2)]


@pytest.mark.parametrize(
    ("most", "rate", "takes", "granted"),
    [
        (2, 48_000, EVERY, (24_000, 1)),
        (2, 48_000, [(24_000, 2), (48_000, 1), (48_000, 2)], (24_000, 2)),
        (2, 48_000, [(48_000, 2), (44_100, 2)], (48_000, 2)),
        (2, 44_100, [(48_000, 2), (44_100, 2)], (44_100, 2)),  # what it calls its own
        (1, 32_000, [(44_100, 1)], (44_100, 1)),
        (6, 96_000, [(96_000, 6)], (96_000, 6)),
    ],
)
def test_a_card_is_asked_for_our_own_rate_first(
    most: int, rate: int, takes: list[tuple[int, int]], granted: tuple[int, int]
) -> None:
    """A40."""
    card = Card(most, rate, *takes)
    speaker = Loudspeaker(card)
    assert card.asked[0] == (24_000, 1)
    assert card.asked[-1] == granted
    assert (speaker.stream.card_rate, speaker.stream.channels) == granted
    assert card.frames == granted[0] // 200


@pytest.mark.parametrize("channels", [1, 2])
def test_a_card_that_takes_24_khz_gets_every_sample_as_it_is(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)  # whoever imports it now fails
    speaker = Loudspeaker(Card(channels, 48_000, (24_000, channels)))
    reply = np.random.default_rng(1).integers(-30_000, 30_000, 2_400).astype(np.int16)
    speaker.playback.play(1, reply.tobytes())
    speaker.playback.finish(1)
    heard = speaker.take(0.2)
    for channel in range(channels):
        assert np.array_equal(heard[:2_400, channel], reply)
    assert not heard[2_400:].any()
    assert speaker.drained == [1]


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_other_rates_on_two_channels_lose_nothing_through_a_hold_and_an_underrun(rate: int) -> None:
    """A40."""
    speaker = Loudspeaker(Card(2, rate, (rate, 2)))
    reply = tone(1.0, 24_000)
    for start in range(0, 19_200, 1_920):
        speaker.playback.play(1, reply[start : start + 1_920].tobytes())
    before = speaker.take(0.2)
    speaker.playback.hold()
    fading = speaker.take(0.2)
    speaker.playback.resume()
    after = speaker.take(1.0)  # longer than what has come
    assert speaker.drained == []
    speaker.playback.play(1, reply[19_200:].tobytes())
    speaker.playback.finish(1)
    rest = speaker.take(0.5)
    assert speaker.drained == [1]
    assert speaker.playback.underruns == 1
    fade = round(FADE * rate)
    assert not fading[fade:].any()
    sounding = [piece[: np.flatnonzero(piece[:, 0])[-1] + 1] for piece in (after, rest)]
    heard = np.concatenate([before, fading[:fade], *sounding]).astype(int)
    assert np.array_equal(heard[:, 0], heard[:, 1])
    expected = tone(1.0, rate)
    assert abs(len(heard) - expected.size) <= 2
    wrong = np.flatnonzero(np.abs(heard[: expected.size, 0] - expected[: len(heard)]) > 3)
    edges = (
        range(rate // 200),
        range(len(before), len(before) + 2 * fade),
        range(len(heard) - rate // 200, len(heard)),
    )
    assert set(wrong.tolist()) <= {sample for edge in edges for sample in edge}


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_at_other_rates_a_flush_is_silent_and_counts_in_our_samples(rate: int) -> None:
    """A40."""
    speaker = Loudspeaker(Card(2, rate, (rate, 2)))
    speaker.playback.play(1, tone(2.0, 24_000).tobytes())
    speaker.take(0.5)
    flushed = speaker.playback.flush(1)
    assert flushed.reply_id == 1
    assert flushed.played == pytest.approx(12_000, abs=30)
    assert flushed.discarded == pytest.approx(36_000 - FADE * 24_000, abs=800)  # some of it was still being converted
    after = speaker.take(0.1)
    assert not after[round(FADE * rate) :].any()
    speaker.playback.play(2, tone(0.2, 24_000).tobytes())
    speaker.playback.finish(2)
    assert np.count_nonzero(speaker.take(0.3)[:, 0]) == pytest.approx(0.2 * rate, abs=2)
    assert speaker.drained == [2]
