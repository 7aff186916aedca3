"""Muted: what somebody said is kept, and the switch on the box wins over it."""

from pathlib import Path

import pytest

from voicebox.core.events import Event, MuteChanged
from voicebox.errors import VoiceboxError
from voicebox.mute import FILE, Mute


class Told(list[Event]):
    @property
    def states(self) -> list[bool]:
        return [event.muted for event in self if isinstance(event, MuteChanged)]


@pytest.fixture
def told() -> Told:
    return Told()


def test_what_somebody_said_is_kept_through_a_restart(tmp_path: Path, told: Told) -> None:
    mute = Mute(tmp_path / FILE, told.append)
    mute.start()
    assert told.states == []
    mute.set(True)
    mute.set(True)
    again = Mute(tmp_path / FILE, told.append)
    again.start()
    again.toggle()
    assert told.states == [True, True, False]
    assert not Mute(tmp_path / FILE, told.append).muted


def test_the_switch_wins_over_what_is_said(tmp_path: Path, told: Told) -> None:
    mute = Mute(tmp_path / FILE, told.append)
    mute.switch(True)
    with pytest.raises(VoiceboxError, match="only there can it be unmuted"):
        mute.set(False)
    assert (mute.muted, told.states) == (True, [True])
    mute.switch(False)
    assert told.states == [True, False]


def test_opening_the_switch_does_not_unmute_what_somebody_muted(tmp_path: Path, told: Told) -> None:
    mute = Mute(tmp_path / FILE, told.append)
    mute.set(True)
    mute.switch(True)
    mute.switch(False)
    assert (mute.muted, told.states) == (True, [True])


def test_a_mute_button_cannot_open_what_the_switch_closed_and_leaves_nothing_behind(tmp_path: Path, told: Told) -> None:
    mute = Mute(tmp_path / FILE, told.append)
    mute.switch(True)
    with pytest.raises(VoiceboxError, match="only there can it be unmuted"):
        mute.toggle()
    mute.switch(False)
    assert (mute.muted, told.states) == (False, [True, False])


@pytest.mark.parametrize("closed", [False, True])
def test_a_switch_that_is_lost_leaves_the_box_as_it_was_and_software_may_change_it(
    closed: bool, tmp_path: Path, told: Told
) -> None:
    mute = Mute(tmp_path / FILE, told.append)
    mute.switch(closed)
    mute.lose_switch()
    assert mute.muted is closed
    mute.set(False)
    assert not mute.muted


def test_what_the_switch_says_is_not_kept(tmp_path: Path, told: Told) -> None:
    Mute(tmp_path / FILE, told.append).switch(True)
    assert not Mute(tmp_path / FILE, told.append).muted
