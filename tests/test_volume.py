"""How loud the box is: on the card's mixer or by software, kept through restarts, whatever card and disk do."""

import asyncio
import errno
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from voicebox import parts, statefile
from voicebox.audio.mixer import AUTO, Mixer
from voicebox.audio.playback import Playback
from voicebox.audio.wavfile import WavBackend
from voicebox.errors import DeviceError, VoiceboxError
from voicebox.settings import load
from voicebox.virtualtime import run_virtual
from voicebox.volume import SOFTWARE, Volume

NO_FILE = Path("/dev/null")


class Speaker(Playback):
    def __init__(self) -> None:
        super().__init__(lambda *_: None)
        self.levels: list[float] = []

    def set_volume(self, level: float) -> None:
        self.levels.append(level)


@dataclass
class Card:
    """amixer, and a card whose volume it turns."""

    percent: int = 100
    failure: str = ""
    there: bool = True
    turned: list[int] = field(default_factory=list)
    slow: dict[str, float] = field(default_factory=dict)  # seconds that turning it there takes
    gate: asyncio.Event | None = None  # amixer answers only when it is set

    async def amixer(self, *arguments: str) -> str:
        if self.gate is not None:
            await self.gate.wait()
        if self.failure:
            raise DeviceError(self.failure)
        if "sset" in arguments:
            await asyncio.sleep(self.slow.pop(arguments[5], 0.0))
            self.percent = int(arguments[5].rstrip("%"))
            self.turned.append(self.percent)
        return (
            "Simple mixer control 'PCM',0\n  Capabilities: pvolume pswitch\n"
            f"  Playback channels: Mono\n  Mono: Playback 7 [{self.percent}%] [0.00dB] [on]\n"
        )


@dataclass
class Room:
    path: Path
    card: Card
    speaker: Speaker
    volume: Volume


def room(path: Path, *, card: Card | None = None, wanted: str = AUTO) -> Room:
    """Without a card: files, which have no mixer."""
    speaker, turned = Speaker(), card or Card(there=False)
    mixer = None if wanted == SOFTWARE else Mixer(wanted, turned.amixer)
    return Room(path, turned, speaker, Volume(path, speaker, mixer, lambda: "hw:X" if turned.there else None))


def at_work(made: Room, what: Callable[[Room], Awaitable[None]]) -> Room:
    """Do it while the volume runs and the speaker has just been opened."""

    async def main() -> None:
        running = asyncio.create_task(made.volume.run())
        made.volume.speaker_ready()
        await asyncio.sleep(1)
        await what(made)
        await asyncio.sleep(1)
        assert not running.done()
        running.cancel()

    run_virtual(main())
    return made


async def nothing(_: Room) -> None:
    """Only start."""


def setting(*levels: int) -> Callable[[Room], Awaitable[None]]:
    async def act(made: Room) -> None:
        for level in levels:
            await made.volume.set(level)

    return act


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "volume"


def test_without_a_mixer_the_speaker_itself_is_turned_and_starts_at_full(path: Path) -> None:
    made = at_work(room(path), setting(40))
    assert made.volume.control == SOFTWARE
    assert made.speaker.levels[0] == 1.0
    assert made.speaker.levels[-1] == 0.4


def test_it_is_kept_through_a_restart(path: Path) -> None:
    at_work(room(path), setting(40, 35))
    assert path.read_text() == "35\n"
    again = room(path)
    assert (again.volume.level, again.speaker.levels) == (35, [0.35])


def test_a_cards_mixer_is_turned_and_the_speaker_is_left_alone(path: Path) -> None:
    made = at_work(room(path, card=Card()), setting(40))
    assert (made.volume.control, made.card.turned, made.speaker.levels[-1]) == ("PCM", [40], 1.0)


def test_a_mixer_that_nobody_set_here_stays_as_it_is(path: Path) -> None:
    made = at_work(room(path, card=Card(percent=62)), nothing)
    assert (made.volume.level, made.card.turned) == (62, [])
    assert not path.exists()


def test_louder_begins_where_the_mixer_is(path: Path) -> None:
    async def act(made: Room) -> None:
        await made.volume.change(5)

    assert at_work(room(path, card=Card(percent=62)), act).card.turned == [67]


def test_the_mixer_is_put_right_at_the_start_and_whenever_the_card_comes_back(path: Path) -> None:
    at_work(room(path), setting(30))

    async def replug(made: Room) -> None:
        assert made.card.turned == [30]
        made.card.percent = 100
        made.volume.speaker_ready()

    assert at_work(room(path, card=Card()), replug).card.turned == [30, 30]


def test_a_card_that_comes_late_is_turned_then(path: Path) -> None:
    async def plug(made: Room) -> None:
        await made.volume.set(30)
        assert made.speaker.levels[-1] == 0.3
        made.card.there = True
        made.volume.speaker_ready()

    made = at_work(room(path, card=Card(there=False)), plug)
    assert (made.card.turned, made.speaker.levels[-1], made.volume.control) == ([30], 1.0, "PCM")


def test_0_is_silence_whatever_the_mixers_lowest_step_is(path: Path) -> None:
    made = at_work(room(path, card=Card()), setting(0))
    assert (made.card.turned, made.speaker.levels[-1]) == ([0], 0.0)


def test_a_mixer_that_fails_is_done_without_and_tried_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def act(made: Room) -> None:
        made.card.failure = "amixer failed: no such device"
        await made.volume.set(50)
        assert (made.volume.control, made.speaker.levels[-1]) == (SOFTWARE, 0.5)
        await made.volume.set(60)
        made.card.failure = ""
        await made.volume.set(70)

    with caplog.at_level(logging.INFO):
        made = at_work(room(path, card=Card()), act)
    assert (made.card.turned, made.volume.control, made.speaker.levels[-1]) == ([70], "PCM", 1.0)
    assert caplog.messages == ["the volume is set by software: amixer failed: no such device"]


@pytest.mark.parametrize(("wanted", "level"), [(AUTO, logging.INFO), ("Lautsprecher", logging.WARNING)])
def test_a_missing_control_is_a_warning_only_if_it_was_asked_for(
    path: Path, caplog: pytest.LogCaptureFixture, wanted: str, level: int
) -> None:
    card = Card(failure="hw:X has none" if wanted == AUTO else "")
    with caplog.at_level(logging.INFO):
        at_work(room(path, card=card, wanted=wanted), setting(50, 60))
    assert [record.levelno for record in caplog.records] == [level]


def test_software_never_asks_the_card(path: Path) -> None:
    made = at_work(room(path, card=Card(failure="never asked"), wanted=SOFTWARE), setting(50))
    assert (made.volume.control, made.speaker.levels[-1]) == (SOFTWARE, 0.5)


def test_an_amixer_that_takes_its_time_holds_nobody_up_and_the_newest_wins(path: Path) -> None:
    made = room(path, card=Card())

    async def main() -> None:
        made.card.gate = asyncio.Event()
        changes = [asyncio.create_task(made.volume.set(level)) for level in (10, 20, 30)]
        await asyncio.sleep(0.1)  # the loop goes on
        assert not any(change.done() for change in changes)
        made.card.gate.set()
        await asyncio.gather(*changes)

    run_virtual(main())
    assert made.card.turned[-1] == 30
    assert path.read_text() == "30\n"


def test_two_changes_never_overtake_each_other(path: Path) -> None:
    async def act(made: Room) -> None:
        made.card.slow = {"10%": 5.0}
        first = asyncio.create_task(made.volume.set(10))
        await asyncio.sleep(0.1)
        await asyncio.gather(first, made.volume.set(30))

    made = at_work(room(path, card=Card()), act)
    assert made.card.turned == [10, 30]
    assert path.read_text() == "30\n"


@pytest.mark.parametrize("level", [-1, 101, 10**30])
def test_out_of_range_is_refused_and_changes_nothing(path: Path, level: int) -> None:
    async def act(made: Room) -> None:
        with pytest.raises(VoiceboxError, match="from 0 to 100"):
            await made.volume.set(level)

    made = at_work(room(path), act)
    assert made.volume.level == 100
    assert not path.exists()


@pytest.mark.parametrize(
    ("start", "by", "end"), [(50, 5, 55), (50, -5, 45), (97, 5, 100), (3, -5, 0), (50, 10**30, 100)]
)
def test_louder_and_softer_go_as_far_as_they_can(path: Path, start: int, by: int, end: int) -> None:
    async def act(made: Room) -> None:
        await made.volume.set(start)
        await made.volume.change(by)

    assert at_work(room(path), act).volume.level == end


@pytest.mark.parametrize("text", ["loud", "101", "-3", "1e2", "9999", "٣", '{"level": 3}', "3.5"])
def test_a_broken_file_is_said_and_not_used(path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert room(path).volume.level == 100
    assert [(record.levelno, "not used" in record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, True)
    ]
    at_work(room(path), setting(40))
    assert path.read_text() == "40\n"


def test_a_full_disk_is_said_once_and_the_volume_works_on(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def act(made: Room) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            for level in (40, 50, 60):
                await made.volume.set(level)
        assert made.speaker.levels[-1] == 0.6
        assert statefile.read(path) == ""
        await made.volume.set(60)

    at_work(room(path), act)
    assert [text for text in caplog.messages if "could not be written" in text] == caplog.messages
    assert len(caplog.messages) == 1
    assert path.read_text() == "60\n"


@pytest.mark.parametrize(("written", "mixer"), [("auto", AUTO), ("Digital", "Digital"), ("software", None)])
def test_the_owners_choice_arrives(path: Path, written: str, mixer: str | None) -> None:
    chosen: Any = parts.volume(load(NO_FILE, {"VOICEBOX_PLAYBACK__MIXER": written}), path, WavBackend())
    assert (chosen._mixer and chosen._mixer.wanted) == mixer
