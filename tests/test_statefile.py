"""Small files kept between runs: written whole or not at all, and never a reason to stop."""

import errno
import os
import stat
from pathlib import Path

import pytest

from voicebox import statefile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "usage.json"


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "/home/pi"}, "/var/lib/a"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/home/pi"}, "/x/voicebox"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/pi"}, "/home/pi/.local/state/voicebox"),
        ({}, "/.local/state/voicebox"),
    ],
)
def test_where_state_is_kept(environ: dict[str, str], where: str) -> None:
    assert statefile.directory(environ) == Path(where)


def test_what_was_written_is_read_and_is_ours_alone(path: Path) -> None:
    statefile.write(path, "first, and longer")
    statefile.write(path, "zweitens ü")
    assert statefile.read(path) == "zweitens ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == [path.name]


class Killed(BaseException):
    """The power went."""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_killed_in_the_midst_the_old_text_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    statefile.write(path, "old")

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[moment], kill)
        with pytest.raises(Killed):
            statefile.write(path, "new")
    assert statefile.read(path) == "old"
    statefile.write(path, "newer")  # what was left behind is in nobody's way
    assert statefile.read(path) == "newer"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_it_is_on_the_disk_before_it_takes_the_old_ones_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        order.append(f"fsync {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        order.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    statefile.write(path, "12345")
    assert order == ["fsync 5", "replace"]


def test_a_full_disk_is_said_and_the_old_text_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    statefile.write(path, "old")
    monkeypatch.setattr(os, "fsync", full)
    assert not statefile.write(path, "new")
    assert statefile.read(path) == "old"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert "No space left" in caplog.text
    assert str(path) in caplog.text


def test_a_full_disk_is_said_once_for_as_long_as_it_lasts(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for said in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            statefile.write(path, "one")
            statefile.write(path, "two")
        assert len(caplog.records) == said
        assert statefile.write(path, "three")


def test_a_directory_that_cannot_be_had_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("a file")
    statefile.write(tmp_path / "state" / "usage.json", "text")
    assert "could not be written" in caplog.text


def test_nothing_there_is_no_trouble(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert statefile.read(path) == ""
    assert caplog.text == ""


@pytest.mark.parametrize("content", [b"\xff\xfe\x00binary", b"x" * 1_000_001], ids=["binary", "huge"])
def test_what_cannot_be_used_is_said_and_as_if_there_were_nothing(
    path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert statefile.read(path) == ""
    assert "not used" in caplog.text


def test_what_cannot_be_read_is_said_and_as_if_there_were_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.mkdir(parents=True)  # also root cannot read a directory as a file
    assert statefile.read(path) == ""
    assert "cannot be read" in caplog.text
