"""What presses mean, by the owner's table; each kind is done once, at the right moment."""

import pytest

from tests.support.gpio import ManualLoop, manual_loop
from voicebox.core.events import ButtonHeld, ButtonPressed, ButtonReleased, ButtonTapped, Event
from voicebox.gestures import Gestures, Meaning

HOLD = 0.4


class Finger:
    """A finger on a button as buttons.py reports it, and what comes of it: (seconds, what)."""

    def __init__(self, meaning: Meaning) -> None:
        self.loop: ManualLoop = manual_loop()
        self.done: list[tuple[float, str]] = []
        self.told: list[Event] = []
        self.gestures = Gestures(meaning, act=self._act, dispatch=self.told.append, loop=self.loop)

    def _act(self, action: str) -> None:
        self.done.append((round(self.loop.time(), 3), action))

    def press(self, seconds: float) -> None:
        at = round(self.loop.time() * 16_000)
        self.gestures(ButtonPressed(at))
        if seconds < HOLD:
            self.loop.advance(seconds)
            self.gestures(ButtonTapped(at))
            return
        self.loop.advance(HOLD)
        self.gestures(ButtonHeld(at))
        self.loop.advance(seconds - HOLD)
        self.gestures(ButtonReleased(round(self.loop.time() * 16_000)))

    def wait(self, seconds: float) -> None:
        self.loop.advance(seconds)

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__.removeprefix("Button") for event in self.told]


def test_talking_is_told_to_the_core_as_it_is() -> None:
    finger = Finger(Meaning())
    finger.press(0.1)
    finger.wait(1)
    finger.press(2)
    assert finger.kinds == ["Pressed", "Tapped", "Pressed", "Held", "Released"]
    assert finger.done == []


def test_a_double_tap_is_done_after_the_core_heard_both() -> None:
    finger = Finger(Meaning(double_tap="repeat"))
    finger.press(0.1)
    finger.wait(0.2)
    finger.press(0.1)
    assert finger.kinds == ["Pressed", "Tapped"] * 2
    assert finger.done == [(0.4, "repeat")]
    finger.wait(0.1)
    finger.press(0.1)  # a third is the first of a next pair
    finger.wait(1)
    assert finger.done == [(0.4, "repeat")]


def test_two_taps_that_are_too_far_apart_are_two() -> None:
    finger = Finger(Meaning(double_tap="repeat"))
    finger.press(0.1)
    finger.wait(0.36)
    finger.press(0.1)
    finger.wait(1)
    assert finger.done == []


def test_a_tap_that_does_something_waits_for_a_second_one_only_where_that_means_something() -> None:
    at_once = Finger(Meaning(tap="mute", hold=None))
    at_once.press(0.1)
    assert at_once.done == [(0.1, "mute")]
    waiting = Finger(Meaning(tap="mute", double_tap="stop", hold=None))
    waiting.press(0.1)
    waiting.wait(1)
    assert waiting.done == [(0.45, "mute")]
    waiting.press(0.1)
    waiting.wait(0.1)
    waiting.press(0.1)
    waiting.wait(1)
    assert [action for _, action in waiting.done] == ["mute", "stop"]
    assert waiting.told == []


def test_a_tap_before_a_hold_is_a_tap() -> None:
    finger = Finger(Meaning(tap="mute", double_tap="stop", hold="repeat"))
    finger.press(0.1)
    finger.wait(0.2)
    finger.press(1)
    finger.wait(1)
    assert [action for _, action in finger.done] == ["mute", "repeat"]


def test_holding_may_do_something_and_holding_on_something_else() -> None:
    finger = Finger(Meaning(tap="volume_up", hold="mute", long_hold="shut_down"))
    finger.press(4.9)
    assert finger.done == [(0.4, "mute")]
    finger.wait(10)
    finger.press(5.1)
    assert [action for _, action in finger.done] == ["mute", "mute", "shut_down"]
    assert finger.told == []


def test_push_to_talk_alone_tells_the_core_of_the_whole_press() -> None:
    finger = Finger(Meaning(tap="stop"))
    finger.press(1)
    assert finger.told == [ButtonPressed(0), ButtonHeld(0), ButtonReleased(16_000)]
    assert finger.done == []


def test_where_tapping_talks_and_holding_does_not_the_core_learns_that_the_press_is_over() -> None:
    finger = Finger(Meaning(hold="mute"))
    finger.press(1)
    assert finger.kinds == ["Pressed", "Tapped"]
    assert finger.done == [(0.4, "mute")]


@pytest.mark.parametrize("meaning", [Meaning(double_tap="stop"), Meaning(tap="mute", double_tap="stop")])
def test_nothing_is_done_once_it_is_closed(meaning: Meaning) -> None:
    finger = Finger(meaning)
    finger.press(0.1)
    finger.gestures.close()
    finger.wait(1)
    assert (finger.done, finger.loop.pending) == ([], 0)
