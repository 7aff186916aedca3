"""What was said, kept where the owner wants it: by us alone, for so many days, and never at the box's expense."""

import asyncio
import errno
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.house import living
from voicebox.core.events import (
    EmotionUpdated,
    Event,
    ParticipantChanged,
    ReplyAudio,
    ReplyText,
    SessionWarning,
    TaskCreated,
    Transcript,
)
from voicebox.diary import LOOK_EVERY, Diary
from voicebox.virtualtime import run_virtual

NOON = datetime(2031, 3, 10, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "conversations"


@pytest.fixture
def diary(folder: Path, clock: Clock) -> Diary:
    return Diary(folder, 7, clock)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]


def written(folder: Path) -> list[str]:
    return [str(line["event"]) for line in lines(folder)] if folder.exists() else []


KEPT: list[Event] = [
    Transcript("user", "wie spät ist es?", speaker="Anna", details={"confidence": 0.9}),
    ReplyText(3, "half past — nine 🕤"),
    EmotionUpdated((("joy", 0.8),), {"joy": 0.8}),
    ParticipantChanged({"id": "lira"}, "joined"),
    TaskCreated({"title": "buy milk"}),
]


def test_what_was_said_is_one_line_each(diary: Diary, folder: Path) -> None:
    for event in KEPT:
        diary.note(event)
    written = lines(folder)
    assert [line["event"] for line in written] == [type(event).__name__ for event in KEPT]
    assert {line["time"] for line in written} == {"2031-03-10T12:00:00.000+00:00"}
    assert written[0]["text"] == "wie spät ist es?"
    assert written[0]["details"] == {"confidence": 0.9}
    assert written[1]["text"] == "half past — nine 🕤"
    assert [file.name for file in folder.iterdir()] == ["2031-03-10.jsonl"]


@pytest.mark.parametrize(
    "event", [Transcript("user", "wie sp", final=False), ReplyAudio(1, b""), SessionWarning("", "")]
)
def test_nothing_else_is_kept(diary: Diary, folder: Path, event: Event) -> None:
    diary.note(event)
    assert not folder.exists()


def test_it_is_readable_by_us_alone(diary: Diary, folder: Path) -> None:
    before = os.umask(0)
    try:
        diary.note(KEPT[0])
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def test_text_that_no_file_can_hold_is_written_as_json_writes_it(diary: Diary, folder: Path) -> None:
    diary.note(Transcript("user", "half an emoji \ud83d"))
    assert lines(folder)[0]["text"] == "half an emoji \ud83d"


def test_every_day_has_its_file_and_old_ones_go(diary: Diary, folder: Path, clock: Clock) -> None:
    for _ in range(12):
        diary.note(KEPT[0])
        diary.forget()
        clock.now += timedelta(days=1)
    clock.now -= timedelta(days=1)
    assert sorted(file.stem for file in folder.iterdir()) == [
        str(clock.now.date() - timedelta(days=ago)) for ago in range(7, -1, -1)
    ]


def test_what_is_not_ours_is_left_alone(diary: Diary, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("1999-01-01.jsonl", "1999-01-01.txt", "notes.jsonl"):
        (folder / name).touch()
    diary.forget()
    assert sorted(file.name for file in folder.iterdir()) == ["1999-01-01.txt", "notes.jsonl"]


def test_one_that_cannot_be_deleted_is_said(diary: Diary, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "1999-01-01.jsonl").mkdir(parents=True)
    diary.forget()
    assert "1999-01-01.jsonl cannot be deleted" in caplog.text


def test_old_ones_go_also_while_nobody_says_anything(diary: Diary, folder: Path, clock: Clock) -> None:
    async def main() -> None:
        running = asyncio.ensure_future(diary.run())
        await asyncio.sleep(0)
        diary.note(KEPT[0])
        clock.now += timedelta(days=8)
        await asyncio.sleep(LOOK_EVERY + 1)
        running.cancel()

    run_virtual(main())
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_said_once_and_costs_only_the_lines(
    diary: Diary, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        diary.note(KEPT[0])
        diary.note(KEPT[1])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text
    diary.note(KEPT[1])
    assert len(lines(folder)) == 1


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_box_keeps_it_where_it_is_wanted(enabled: str) -> None:
    async def main() -> list[str]:
        async with living(brain="parrot", options={"VOICEBOX_DIARY__ENABLED": enabled}) as house:
            await house.ask()
            return written(Path(house.app.environ["STATE_DIRECTORY"], "conversations"))

    kept = run_virtual(main())
    assert ({"Transcript", "ReplyText"} <= set(kept)) if enabled == "true" else kept == []
