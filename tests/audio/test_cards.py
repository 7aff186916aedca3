"""The back-end on cards that go, refuse, hang and fall silent: what the box is told, how soon, and that it recovers.

The cards are those of tests/support/soundcard.py, which tests/contract/test_pyaudio.py holds against the real ones.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyaudio
import pytest

from tests.support.soundcard import BUSY, Card, Cards, noise
from voicebox.audio import alsa, devices, keeper, portaudio, streams
from voicebox.audio.base import BLOCK, Block, Handlers
from voicebox.audio.portaudio import PortAudioBackend

SOON = 2.0  # seconds in which a fault must be told
REPLY = bytes(2 * 4_800)  # 0.2 s


class Box:
    def __init__(self) -> None:
        self.mic = Card("box mic", capture=True, rate=16_000)
        self.mic.sound = noise
        self.speaker = Card("box speaker", capture=False, rate=24_000)
        self.cards = Cards(self.mic, self.speaker)
        self.backend = PortAudioBackend("box mic", "box speaker")
        self.blocks: list[Block] = []
        self.drained: list[int] = []
        self.lost: list[tuple[str, str]] = []
        self.ready: list[str] = []
        self._changed = asyncio.Event()

    def _note(self, where: list[Any], what: object) -> None:
        where.append(what)
        self._changed.set()

    @property
    def handlers(self) -> Handlers:
        return Handlers(
            lambda block: self._note(self.blocks, block),
            lambda reply_id: self._note(self.drained, reply_id),
            lambda kind, why: self._note(self.lost, (kind, why)),
            lambda kind: self._note(self.ready, kind),
        )

    async def until(self, happened: Callable[[], object], within: float = 10.0) -> float:
        """How long it took. Raises TimeoutError."""
        begun = time.monotonic()
        async with asyncio.timeout(within):
            while not happened():
                self._changed.clear()
                await self._changed.wait()
        return time.monotonic() - begun

    async def works(self) -> None:
        """Both cards have been opened (again): it hears, and a reply comes to its end."""
        heard = len(self.blocks)
        await self.until(lambda: {"microphone", "speaker"} <= set(self.ready) and len(self.blocks) >= heard + 3)
        await self.plays()

    async def plays(self) -> None:
        reply_id = len(self.drained) + 1
        self.backend.speaker.play(reply_id, REPLY)
        self.backend.speaker.finish(reply_id)
        await self.until(lambda: reply_id in self.drained)

    async def sleeps(self) -> None:
        """Until the speaker rests."""
        async with asyncio.timeout(5):
            while not self.backend.speaker.asleep:  # noqa: ASYNC110  # nobody says when
                await asyncio.sleep(0.01)

    def forget(self) -> None:
        self.ready.clear()
        self.lost.clear()

    def jumps(self) -> list[int]:
        """Samples missing before each block."""
        return [b.position - a.position - BLOCK for a, b in itertools.pairwise(self.blocks)]

    def told(self, kind: str) -> list[str]:
        return [why for lost, why in self.lost if lost == kind]


@pytest.fixture(autouse=True)
def _no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "read_cards", dict)
    monkeypatch.setattr(alsa, "forget_configuration", lambda: None)
    monkeypatch.setattr(alsa, "hurry", lambda: None)


def in_box(
    monkeypatch: pytest.MonkeyPatch,
    test: Callable[[Box], Awaitable[None]],
    before: Callable[[Box], object] = lambda _: None,
) -> Box:
    async def main() -> Box:
        box = Box()
        monkeypatch.setattr(portaudio, "connect", box.cards.connect)
        before(box)
        await box.backend.start(box.handlers)
        try:
            await test(box)
        finally:
            stopping = time.monotonic()
            await box.backend.stop()
            assert time.monotonic() - stopping < 1.0
            for card in box.cards.cards:
                card.free.set()
            await asyncio.to_thread(box.backend._keeper._thread.join, 5)
        return box

    return asyncio.run(main())


@pytest.mark.parametrize("gone", ["unplugged", "silent"])
def test_a_card_that_stops_calling_is_told_within_2_s_and_found_again(
    gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A30, A32, A34: ENODEV, ESTRPIPE and a read that blocks for ever all look like this: callbacks cease, and no error
    comes."""

    async def test(box: Box) -> None:
        await box.works()
        assert box.lost == []
        box.forget()
        position = box.backend.position
        for card in box.cards.cards:
            if gone == "unplugged":
                card.unplug()
            card.calls = False
        await box.until(lambda: box.told("microphone") and box.told("speaker"), SOON)
        assert "has gone silent" in box.told("microphone")[0]
        for card in box.cards.cards:
            card.plug_in()
            card.calls = True
        await box.works()
        assert max(box.jumps()) > 16_000  # so that nobody takes what comes after it for the same speech
        assert box.blocks[-1].position > position

    in_box(monkeypatch, test)


def test_a_card_that_another_program_holds_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A38."""

    def busy(box: Box) -> None:
        box.mic.refusals += [BUSY] * 6  # in two rounds, each of three formats

    async def test(box: Box) -> None:
        await box.works()
        assert len(box.told("microphone")) == 1
        assert "Device unavailable" in box.told("microphone")[0]
        assert "another program" in box.told("microphone")[0]
        assert box.told("speaker") == []
        assert box.speaker.opened == 1  # it was left alone

    in_box(monkeypatch, test, busy)


def test_a_card_that_hangs_while_it_is_opened_does_not_hold_up_start_nor_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "_OPEN_LIMIT", 0.2)
    monkeypatch.setattr(keeper, "_HUNG", 0.3)

    async def test(box: Box) -> None:
        assert "does not answer" in box.told("microphone")[0]
        assert box.backend.trouble() is None
        async with asyncio.timeout(5):
            while box.backend.trouble() is None:  # noqa: ASYNC110  # nobody says when it is noticed
                await asyncio.sleep(0.02)
        assert box.backend.trouble() == "the sound system hangs"
        box.mic.free.set()
        await box.works()
        assert box.backend.trouble() is None
        box.mic.free.clear()
        box.backend.capture(False)  # now it hangs while it is closed, and the stop, too, has to wait for that

    in_box(monkeypatch, test, lambda box: box.mic.free.clear())


def test_nothing_is_heard_of_a_microphone_whose_closing_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(box: Box) -> None:
        await box.works()
        box.mic.free.clear()
        box.backend.capture(False)
        heard = len(box.blocks)
        await asyncio.sleep(0.2)  # ten blocks
        assert len(box.blocks) == heard

    in_box(monkeypatch, test)


def test_what_is_said_of_a_microphone_after_it_was_closed_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(box: Box) -> None:
        await box.works()
        box.forget()
        for kind in ("microphone", "speaker"):  # as the keeper does, on a thread of its own
            box.backend._lost(kind, "late")
            box.backend._announce(kind)
        box.backend.capture(False)
        await box.until(lambda: "speaker" in box.ready)
        assert (box.lost, box.ready) == ([("speaker", "late")], ["speaker"])

    in_box(monkeypatch, test)


def test_a_card_that_opens_but_never_calls_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_START_GRACE", 0.3)

    async def test(box: Box) -> None:
        await box.until(lambda: box.told("microphone"), SOON)
        await box.until(lambda: box.mic.opened >= 2)
        box.mic.calls = True
        await box.works()

    in_box(monkeypatch, test, lambda box: setattr(box.mic, "calls", False))


def test_a_microphone_that_is_stuck_is_told_and_opened_ever_again_until_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One value for ever, far from zero: no room sounds like that, nor does a muted card."""
    monkeypatch.setattr(streams, "_STALLED", 0.3)

    def stuck(frames: int) -> bytes:
        return np.full(frames, 12_345, np.int16).tobytes()

    async def test(box: Box) -> None:
        await box.works()
        box.forget()
        heard, opened, box.mic.sound = len(box.blocks), box.mic.opened, stuck
        await box.until(lambda: box.told("microphone"), SOON)
        assert "delivers nothing but the value 12345" in box.told("microphone")[0]
        await box.until(lambda: box.mic.opened >= opened + 1 and len(box.blocks) > heard + 40)
        assert "microphone" not in box.ready  # it calls, but is of no use
        assert sum(jump > 0 for jump in box.jumps()) <= box.mic.opened - opened  # where it was opened, nowhere else
        box.mic.sound = noise
        await box.until(lambda: "microphone" in box.ready)

    in_box(monkeypatch, test)


@pytest.mark.parametrize("value", [0, -1, 64])
def test_a_microphone_that_is_merely_silent_is_left_alone(value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_STALLED", 0.1)

    async def test(box: Box) -> None:
        box.mic.sound = lambda frames: np.full(frames, value, np.int16).tobytes()
        await box.until(lambda: len(box.blocks) >= 30)  # 0.6 s
        assert (box.told("microphone"), box.mic.opened) == ([], 1)

    in_box(monkeypatch, test)


def test_a_microphone_that_stays_silent_is_opened_anew_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cards deliver zeros after a sleep until somebody opens them again; for others it is no fault."""
    monkeypatch.setattr(streams, "_DOUBTED", 0.2)

    async def test(box: Box) -> None:
        box.mic.sound = lambda frames: bytes(2 * frames)
        await box.until(lambda: box.mic.opened == 2)
        heard = len(box.blocks)
        await box.until(lambda: len(box.blocks) >= heard + 30)
        assert (box.told("microphone"), box.mic.opened) == ([], 2)
        box.mic.sound = noise
        await box.works()
        box.mic.sound = lambda frames: bytes(2 * frames)
        await box.until(lambda: box.mic.opened == 3)

    in_box(monkeypatch, test)


def test_a_speaker_that_slept_while_its_card_was_away_plays_the_next_reply_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "_SLEEP_AFTER", 0.1)

    async def test(box: Box) -> None:
        await box.works()
        await box.sleeps()
        box.forget()
        box.speaker.unplug()
        box.speaker.plug_in()
        await box.plays()
        assert (box.speaker.opened, box.told("speaker")) == (2, [])

    in_box(monkeypatch, test)


@pytest.mark.parametrize(("name", "opened"), [("box speaker (hw:7,0)", 1), ("box speaker", 2)])
def test_a_sleeping_speaker_is_started_again_only_where_its_card_is_known_to_be_there(
    name: str, opened: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PortAudio's start never returns where the card is gone: what cannot be known to be there is opened anew."""
    monkeypatch.setattr(streams, "_SLEEP_AFTER", 0.1)
    monkeypatch.setattr(streams, "_CARDS", tmp_path)
    (tmp_path / "card7").mkdir()

    async def test(box: Box) -> None:
        await box.works()
        await box.sleeps()
        await box.plays()
        assert box.speaker.opened == opened
        assert box.lost == []

    in_box(monkeypatch, test, lambda box: setattr(box.speaker, "name", name))


def test_a_sleeping_speaker_that_is_unplugged_is_missed_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(streams, "_SLEEP_AFTER", 0.1)
    monkeypatch.setattr(streams, "_CARDS", tmp_path)
    (tmp_path / "card7").mkdir()

    def seventh(box: Box) -> None:
        box.speaker.name = "box speaker (hw:7,0)"

    async def test(box: Box) -> None:
        await box.works()
        await box.sleeps()
        box.speaker.unplug()
        (tmp_path / "card7").rmdir()
        await box.until(lambda: box.told("speaker"), SOON)
        assert "has been unplugged" in box.told("speaker")[0]
        box.forget()
        box.speaker.plug_in()
        (tmp_path / "card7").mkdir()
        await box.until(lambda: "speaker" in box.ready)
        await box.plays()

    in_box(monkeypatch, test, seventh)


def test_what_a_card_ran_over_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A33: EPIPE: PortAudio recovers by itself and says so with the next callback."""

    async def test(box: Box) -> None:
        await box.works()
        heard = len(box.blocks)
        box.mic.calls = False
        await asyncio.sleep(0.3)
        box.mic.status, box.mic.calls = pyaudio.paInputOverflow, True
        await box.until(lambda: len(box.blocks) >= heard + 10)
        assert 3_000 < sum(box.jumps()) < 12_000
        assert box.lost == []

    in_box(monkeypatch, test)
