"""S65 to S67: told to stop at any moment, cut off at any moment, and a disk that fails. S68: test_hangs.py."""

import asyncio
import errno
import io
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults.oracle import Oracle, overheard
from tests.faults.town import BRIEF, Town, town
from tests.support.house import living, now
from voicebox import reload, statefile
from voicebox.core.events import Device
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

LIMIT = 2.0
CUTS = 200


async def dialling(there: Town) -> None:
    await there.proxy.present(None)
    there.proxy.freeze()  # somebody takes the connection, and says nothing
    await there.house.wake()


async def in_tls(there: Town) -> None:
    there.proxy.freeze()
    await there.house.wake()


async def sending(there: Town) -> None:
    await there.house.wake()
    there.house.say()
    await there.house.until_phase(Phase.LISTENING)
    await asyncio.sleep(0.5)


async def playing(there: Town) -> None:
    await there.house.ask()
    await asyncio.sleep(1)


async def reopening(there: Town) -> None:
    there.house.backend._captures = False
    there.house.app._device_lost(Device.MICROPHONE, "it has been unplugged")


@pytest.mark.parametrize("moment", [dialling, in_tls, sending, playing, reopening])
def test_s65_told_to_stop(moment: Callable[[Town], Any]) -> None:
    """Within 2 s it says so to systemd, falls silent, and leaves the light dark and nothing open."""

    async def main() -> None:
        async with town(all_arrives=False) as there:
            await moment(there)
            told = now()
            there.house.stop.set()
            await asyncio.wait_for(asyncio.shield(there.house.running), LIMIT)
            assert now() - told <= LIMIT
            assert there.house.systemd.count("STOPPING=1") == 1
            assert not there.house.privacy.lit
            assert not there.connected
            assert there.house.backend.speaker.buffered <= 0.005  # the fade
            there.stopped = True
        assert there.house.lamp.closed == 1

    run_virtual(main())


class PowerCutError(BaseException):
    """Nothing that comes after it happens."""


class Cut:
    """Lets the power go after so many steps of writing: a step is a byte, or a call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
        self.left = steps
        opened, fsync, replace = os.fdopen, os.fsync, Path.replace

        def fdopen(descriptor: int, *arguments: Any, **options: Any) -> io.TextIOWrapper:
            file = opened(descriptor, *arguments, **options)
            assert isinstance(file, io.TextIOWrapper)
            write = file.write

            def dripping(text: str) -> int:
                for letter in text:
                    self.step(file.flush)
                    write(letter)
                return len(text)

            file.write = dripping  # type: ignore[method-assign]
            return file

        monkeypatch.setattr(os, "fdopen", fdopen)

        def sync(file: int) -> None:
            self.step()
            fsync(file)

        def put(path: Path, target: Path) -> None:
            self.step()
            replace(path, target)
            self.step()

        monkeypatch.setattr(os, "fsync", sync)
        monkeypatch.setattr(Path, "replace", put)

    def step(self, flush: Callable[[], None] = lambda: None) -> None:
        self.left -= 1
        if self.left < 0:
            flush()  # what had been written is on the disk, and no more
            raise PowerCutError


OLD, NEW = '{"volume": 40, "note": "as it was"}', '{"volume": 70, "note": "as it shall be, and somewhat longer"}'


def test_s66_the_power_goes_while_something_is_kept(tmp_path: Path) -> None:
    """200 times, anywhere in it: what is read afterwards is the old or the new, and what was left behind is in nobody's
    way. (Real kills of real processes: the installation's tests, and docs/measurements.md.)"""
    dice, read = random.Random(66), []  # noqa: S311  # whose power goes
    for number in range(CUTS):
        path = tmp_path / str(number) / "state"
        assert statefile.write(path, OLD)
        with pytest.MonkeyPatch.context() as patch:
            Cut(patch, dice.randrange(len(NEW) + 4))
            with suppress(PowerCutError):
                statefile.write(path, NEW)
        read.append(statefile.read(path))
        assert statefile.write(path, NEW)
        assert statefile.read(path) == NEW
    assert set(read) == {OLD, NEW}


GARBAGE: dict[str, Callable[[Path], object]] = {
    "nothing in it": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_text('{"day": "2026-01-0'),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "something else": lambda path: path.write_text('{"unlike": ["anything", 7]}'),
    "a gigabyte": lambda path: os.truncate(_touched(path), 2**30),
    "a directory": lambda path: path.mkdir(),
}
KEPT = ("volume", "usage.json", "keepsakes.json", reload.FILE)
"""But for the mute file: whatever can be read in it means muted."""


def _touched(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize("spoil", GARBAGE.values(), ids=GARBAGE)
def test_s67_what_was_kept_cannot_be_used(spoil: Callable[[Path], object], tmp_path: Path) -> None:
    """The box starts with what it comes with, and works."""
    for name in KEPT:
        spoil(tmp_path / name)

    async def main() -> None:
        home = {"STATE_DIRECTORY": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path / "run")}
        async with overheard(), living(options=BRIEF, environ=home) as house:
            await Oracle(house).survived()

    run_virtual(main())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_s67_a_disk_that_is_full_or_read_only(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It works on, and says so once for each file."""

    async def main() -> None:
        async with overheard(), living(options=BRIEF) as house:
            oracle = Oracle(house)

            def refuse(*_: object) -> None:
                raise OSError(number, os.strerror(number))

            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", refuse)
                for level in (10, 20, 30):
                    await house.app.volume.set(level)
                await house.ask()
                await asyncio.sleep(1)
            await oracle.survived()

    run_virtual(main())
    said = [record.getMessage() for record in caplog.records if "could not be written" in record.getMessage()]
    assert len(said) == len(set(said)) >= 1
