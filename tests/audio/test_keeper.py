"""Cards that go, come late or refuse: what the keeper does about it, with streams that do as they are told."""

import threading
from typing import Any

import pytest

from voicebox.audio import keeper as room
from voicebox.audio.devices import NotFound
from voicebox.audio.keeper import Keeper, Outage
from voicebox.errors import ConfigError


class FakeStream:
    def __init__(self, kind: str, *refusals: Exception) -> None:
        self.kind = kind
        self.name = "card"
        self.setting = f"audio.{kind}"
        self.outage = Outage()
        self.broken = False
        self.restart_wanted = False
        self.wanted = True
        self.is_open = False
        self.refusals = list(refusals)
        self.opened = threading.Semaphore(0)
        self.restarted = threading.Semaphore(0)
        self.closed = threading.Semaphore(0)

    def open(self, audio: Any) -> None:  # noqa: ANN401  # stands for a pyaudio.PyAudio
        assert audio.alive
        if self.refusals:
            raise self.refusals.pop(0)
        self.is_open = True
        self.opened.release()

    def restart(self) -> None:
        self.restart_wanted = False
        self.restarted.release()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.closed.release()


class FakeAudio:
    made = 0

    def __init__(self) -> None:
        FakeAudio.made += 1
        self.alive = True

    def terminate(self) -> None:
        self.alive = False


class Kept:
    def __init__(self, *streams: FakeStream) -> None:
        FakeAudio.made = 0
        self.lost: list[tuple[str, str]] = []
        self.first: list[ConfigError | None] = []
        self.opened = threading.Event()
        self.closed = threading.Event()
        self.keeper = Keeper(
            streams,
            FakeAudio,
            lost=lambda kind, why: self.lost.append((kind, why)),
            opened=self._opened,
            closed=self.closed.set,
        )

    def _opened(self, error: ConfigError | None) -> None:
        self.first.append(error)
        self.opened.set()

    def __enter__(self) -> "Kept":
        self.keeper.start()
        assert self.opened.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.keeper.stop()
        assert self.closed.wait(5)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(room, "_LONGEST_PAUSE", 0.0)
    monkeypatch.setattr(room, "_ROUND", 0.001)


def impatient(kind: str, *refusals: Exception) -> FakeStream:
    stream = FakeStream(kind, *refusals)
    stream.outage = Outage(pause=0.0)
    return stream


def test_missing_card_is_told_once_and_taken_when_it_comes() -> None:
    mic = impatient("microphone", *[NotFound("there are: none")] * 3)
    with Kept(mic) as kept:
        assert mic.opened.acquire(timeout=5)
        assert kept.first == [None]
        assert kept.lost == [("microphone", "there are: none")]
        assert FakeAudio.made == 4  # PortAudio sees new cards only when made anew


def test_refusing_card_names_its_setting() -> None:
    mic = impatient("microphone", OSError("Device unavailable"))
    with Kept(mic) as kept:
        assert mic.opened.acquire(timeout=5)
        assert kept.lost[0][1].startswith('audio.microphone = "card" cannot be opened: Device unavailable')


def test_ambiguous_name_ends_the_start_but_not_a_running_box() -> None:
    with Kept(impatient("microphone", ConfigError("which?"))) as kept:
        assert str(kept.first[0]) == "which?"
    speaker = impatient("speaker")
    with Kept(speaker) as kept:
        assert speaker.opened.acquire(timeout=5)
        speaker.refusals.append(ConfigError("which?"))
        speaker.broken = True
        assert speaker.opened.acquire(timeout=5)
        assert ("speaker", "which?") in kept.lost


def test_broken_stream_is_reopened_and_the_working_one_left_alone() -> None:
    mic, speaker = impatient("microphone"), impatient("speaker")
    with Kept(mic, speaker):
        assert mic.opened.acquire(timeout=5)
        assert speaker.opened.acquire(timeout=5)
        mic.broken = True
        assert mic.opened.acquire(timeout=5)
        assert FakeAudio.made == 1
        assert not speaker.opened.acquire(blocking=False)


def test_a_stream_that_is_not_wanted_is_closed_and_opened_again_beside_the_working_one() -> None:
    mic, speaker = impatient("microphone"), impatient("speaker")
    mic.wanted = False
    with Kept(mic, speaker) as kept:
        assert speaker.opened.acquire(timeout=5)
        assert kept.first == [None]
        for _ in range(3):
            mic.wanted = True
            kept.keeper.wake()
            assert mic.opened.acquire(timeout=5)
            mic.wanted = False
            kept.keeper.wake()
            assert mic.closed.acquire(timeout=5)
        assert FakeAudio.made == 1
        assert not speaker.opened.acquire(blocking=False)
    assert kept.lost == []


def test_a_working_stream_is_interrupted_for_another_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    mic, speaker = impatient("microphone", *[OSError("busy")] * 3), impatient("speaker")
    with Kept(speaker, mic):
        assert mic.opened.acquire(timeout=5)
        assert FakeAudio.made == 1
        monkeypatch.setattr(room, "_RENEW", 0.0)
        mic.refusals += [OSError("busy")] * 2
        mic.broken = True
        assert mic.opened.acquire(timeout=5)
        assert FakeAudio.made == 3


def test_sleeping_stream_is_woken_at_once() -> None:
    speaker = impatient("speaker")
    with Kept(speaker) as kept:
        assert speaker.opened.acquire(timeout=5)
        speaker.restart_wanted = True
        kept.keeper.wake()
        assert speaker.restarted.acquire(timeout=5)


def test_pause_grows_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LONGEST_PAUSE", 5.0)
    stream = FakeStream("microphone")
    keeper = Keeper([stream], FakeAudio, lost=lambda *_: None, opened=lambda _: None, closed=lambda: None)
    pauses = []
    for _ in range(6):
        stream.outage.pause = stream.outage.pause or 0.5
        pauses.append(stream.outage.pause)
        keeper._failed(stream, "gone")
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
