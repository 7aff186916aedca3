"""Sound cards that go, come back, refuse and hang as they are told, behind PyAudio's interface.

Stands for what ``voicebox.audio.streams.connect`` gives; tests/contract/test_pyaudio.py holds it against the real one.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyaudio

Callback = Callable[[bytes | None, int, dict[str, float], int], tuple[bytes | None, int]]
BUSY = OSError(-9985, "Device unavailable")


class Card:
    """One card with one direction. All of it may be changed while streams are open."""

    def __init__(self, name: str, *, capture: bool, rate: int) -> None:
        self.name, self.capture, self.rate = name, capture, rate
        self.there = True
        self.refusals: list[OSError] = []  # one for each attempt to open it
        self.calls = True  # callbacks come
        self.life = 0  # how often it was plugged in again
        self.sound: Callable[[int], bytes] = lambda frames: bytes(2 * frames)
        self.status = 0  # given to the next callback
        self.free = threading.Event()  # unset: ``open`` and ``close`` hang
        self.free.set()
        self.opened = 0

    @property
    def info(self) -> dict[str, Any]:
        inputs, outputs = (1, 0) if self.capture else (0, 1)
        counts = {"maxInputChannels": inputs, "maxOutputChannels": outputs}
        return {"name": self.name, "defaultSampleRate": float(self.rate), **counts}

    def unplug(self) -> None:
        """As the kernel's cards do it: callbacks cease, and nobody is told."""
        self.there = False

    def plug_in(self) -> None:
        """What was open before is of no use any more."""
        self.there, self.life = True, self.life + 1


class Stream:
    """A pyaudio.Stream in callback mode. A stream that was open when its card went never works again."""

    def __init__(self, card: Card, rate: int, frames: int, callback: Callback) -> None:
        self._card, self._rate, self._frames, self._callback = card, rate, frames, callback
        self._life = card.life
        self._stopping, self._active = False, True
        self.start_stream()

    def _run(self) -> None:
        begun, called = time.monotonic(), 0
        while not self._stopping:
            called += 1
            time.sleep(max(0.0, begun + called * self._frames / self._rate - time.monotonic()))  # the card's own pace
            if self._dead or not self._card.calls:
                continue
            status, self._card.status = self._card.status, 0
            data = self._card.sound(self._frames) if self._card.capture else None
            times = dict.fromkeys(("input_buffer_adc_time", "current_time", "output_buffer_dac_time"), time.monotonic())
            if self._callback(data, self._frames, times, status)[1] != pyaudio.paContinue:
                break
        self._active = False

    @property
    def _dead(self) -> bool:
        return not self._card.there or self._life != self._card.life

    def is_active(self) -> bool:
        return self._active

    def stop_stream(self) -> None:
        self._stopping = True
        self._thread.join()

    def start_stream(self) -> None:
        if self._dead:
            raise OSError(-9999, "Unanticipated host error")
        self._stopping, self._active = False, True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._card.free.wait()
        self.stop_stream()


class Cards:
    """``connect`` makes what stands for a pyaudio.PyAudio."""

    def __init__(self, *cards: Card) -> None:
        self.cards = cards
        self.alive = 0  # made and not terminated

    def connect(self) -> "Audio":
        self.alive += 1
        return Audio(self)


class Audio:
    """The list of devices is that of the moment it was made."""

    def __init__(self, cards: Cards) -> None:
        self._cards = cards
        self._listed = [card for card in cards.cards if card.there]

    def get_device_count(self) -> int:
        return len(self._listed)

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        return {"index": index, **self._listed[index].info}

    def open(
        self,
        *,
        rate: int,
        channels: int,
        format: int,  # noqa: A002  # PyAudio calls it so
        input: bool,  # noqa: A002
        output: bool,
        input_device_index: int | None,
        output_device_index: int | None,
        frames_per_buffer: int,
        stream_callback: Callback,
    ) -> Stream:
        index = input_device_index if input else output_device_index
        assert index is not None
        assert format == pyaudio.paInt16
        card = self._listed[index]
        assert (input, output) == (card.capture, not card.capture)
        card.free.wait()
        if card.refusals:
            raise card.refusals.pop(0)
        if not card.there:
            raise OSError(-9999, "Unanticipated host error")
        if channels != 1:
            raise OSError(-9998, "Invalid number of channels")
        if rate != card.rate:
            raise OSError(-9997, "Invalid sample rate")
        card.opened += 1
        return Stream(card, rate, frames_per_buffer, stream_callback)

    def terminate(self) -> None:
        self._cards.alive -= 1


def noise(frames: int) -> bytes:
    return np.random.default_rng().integers(-99, 99, frames).astype(np.int16).tobytes()
