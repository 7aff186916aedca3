"""Cards that go, come late or refuse: what the keeper does about it, with streams that do as they are told."""

import itertools
import threading
import time
from types import SimpleNamespace
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
        self.unplugged = False
        self.is_open = False
        self.refusals = list(refusals)
        self.restart_fails: OSError | None = None
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
        if self.restart_fails:
            raise self.restart_fails
        self.restarted.release()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.closed.release()


class FakeAudio:
    made = 0

    def __init__(self) -> None:
        FakeAudio.made += 1
        if FakeAudio.made <= 0:
            raise OSError("no host")
        self.alive = True

    def terminate(self) -> None:
        self.alive = False


class Kept:
    def __init__(self, *streams: FakeStream, failures: int = 0) -> None:
        FakeAudio.made = -failures
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


def test_a_sound_system_that_does_not_start_is_tried_again() -> None:
    """PortAudio's own initialisation may fail, while a sound server restarts, say."""
    mic = impatient("microphone")
    with Kept(mic, failures=2) as kept:
        assert mic.opened.acquire(timeout=5)
        assert kept.first == [None]
        assert [kind for kind, _ in kept.lost] == ["microphone"]
        assert "the sound system does not start: no host" in kept.lost[0][1]


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


def test_a_working_stream_is_not_interrupted_for_another_at_once() -> None:
    mic, speaker = impatient("microphone", *[OSError("busy")] * 3), impatient("speaker")
    with Kept(speaker, mic):
        assert mic.opened.acquire(timeout=5)
        assert FakeAudio.made == 1


def test_an_unplugged_card_is_told_and_taken_back() -> None:
    speaker = impatient("speaker")
    with Kept(speaker) as kept:
        assert speaker.opened.acquire(timeout=5)
        speaker.unplugged = True
        assert speaker.closed.acquire(timeout=5)
        speaker.unplugged = False
        assert speaker.opened.acquire(timeout=5)
        assert kept.lost[0] == ("speaker", 'audio.speaker = "card" has been unplugged; waiting for it.')


def test_a_stream_that_does_not_start_again_is_opened_anew_and_nobody_is_alarmed() -> None:
    """Its card was away while it slept, and is there again."""
    speaker = impatient("speaker")
    with Kept(speaker) as kept:
        assert speaker.opened.acquire(timeout=5)
        speaker.restart_fails = OSError("no such device")
        speaker.restart_wanted = True
        assert speaker.opened.acquire(timeout=5)
        assert kept.lost == []


def test_a_card_that_opens_but_never_calls_is_tried_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LONGEST_PAUSE", 5.0)
    stream = FakeStream("microphone")
    keeper = Keeper([stream], FakeAudio, lost=lambda *_: None, opened=lambda _: None, closed=lambda: None)
    waits = []
    for _ in range(6):
        keeper._round()
        assert keeper._missing() == []
        stream.broken = True
        before = time.monotonic()
        keeper._round()
        assert keeper._missing() == [stream]
        waits.append(stream.outage.retry_at - before)
        stream.outage.retry_at = 0.0
    assert waits == pytest.approx([0.5, 1.0, 2.0, 4.0, 5.0, 5.0], abs=0.1)
    stream.outage = Outage()  # as its first callback does
    keeper._round()
    stream.broken = True
    keeper._round()
    assert stream.outage.retry_at - time.monotonic() == pytest.approx(0.5, abs=0.1)


def test_a_call_that_never_returns_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_HUNG", 0.05)
    stream, reached, free = impatient("microphone"), threading.Event(), threading.Event()

    def hang() -> None:
        reached.set()
        assert free.wait(10)

    with Kept(stream) as kept:
        assert stream.opened.acquire(timeout=5)
        monkeypatch.setattr(stream, "close", hang)
        stream.broken = True
        assert reached.wait(5)
        asked = [kept.keeper.hangs]
        while not asked[-1] and len(asked) < 1_000:
            time.sleep(0.005)
            asked.append(kept.keeper.hangs)
        assert (asked[0], asked[-1]) == (False, True)
        stream.is_open = False
        free.set()
        assert stream.opened.acquire(timeout=5)
        assert kept.keeper.hangs is False


@pytest.mark.parametrize("muted", [False, True])
def test_renewals_that_interrupt_what_works_become_rare(muted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what works is only a microphone that is not wanted: each renewal costs some memory."""
    now = 1_000.0
    monkeypatch.setattr(room, "_LONGEST_PAUSE", 5.0)
    monkeypatch.setattr("voicebox.audio.keeper.time", SimpleNamespace(monotonic=lambda: now))
    speaker, mic = FakeStream("speaker"), FakeStream("microphone", *[OSError("busy")] * 5_000)
    keeper = Keeper([speaker, mic], FakeAudio, lost=lambda *_: None, opened=lambda _: None, closed=lambda: None)
    speaker.wanted = not muted
    FakeAudio.made, made_at = 0, []
    while now < 4_600.0:
        before = FakeAudio.made
        keeper._round()
        made_at += [now] * (FakeAudio.made - before)
        now += 5.0
    gaps = [b - a for a, b in itertools.pairwise(made_at)]
    assert gaps == [30.0, 60.0, 120.0, 240.0, 480.0, *[600.0] * 4]


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
