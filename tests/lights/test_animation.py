"""A light that stands still costs nothing, and one that moves is never left standing."""

import pytest

from tests.support.gpio import manual_loop
from voicebox.core.scenes import Scene
from voicebox.lights.animation import Animation
from voicebox.lights.patterns import PATTERNS, Colour, colour_at


def test_a_still_picture_is_drawn_once_and_sets_no_timer() -> None:
    loop, drawn = manual_loop(), list[Colour]()
    Animation(loop, drawn.append).play(PATTERNS[Scene.IDLE])
    assert (drawn, loop.pending) == ([(0.0, 0.0, 0.0)], 0)


def test_breathing_is_drawn_25_times_a_second_at_the_right_brightness() -> None:
    loop, drawn = manual_loop(), list[tuple[float, Colour]]()
    Animation(loop, lambda colour: drawn.append((loop.time(), colour))).play(PATTERNS[Scene.SPEAKING])
    loop.advance(10)
    assert 240 <= len(drawn) <= 270
    assert all(colour == colour_at(PATTERNS[Scene.SPEAKING], at) for at, colour in drawn)


def test_blinking_wakes_only_when_the_light_changes() -> None:
    loop, drawn = manual_loop(), list[Colour]()
    Animation(loop, drawn.append).play(PATTERNS[Scene.NO_MICROPHONE])
    loop.advance(2.2 * 10)  # ten cycles of two flashes: on, off, on, off, pause
    assert 45 <= loop.wakeups <= 50


def test_a_new_pattern_takes_over_at_once_and_the_old_timer_is_gone() -> None:
    loop, drawn = manual_loop(), list[Colour]()
    animation = Animation(loop, drawn.append)
    animation.play(PATTERNS[Scene.THINKING])
    loop.advance(0.5)
    animation.play(PATTERNS[Scene.LISTENING])
    assert (drawn[-1], loop.pending) == (colour_at(PATTERNS[Scene.LISTENING], 0), 0)


def test_a_picture_that_cannot_be_drawn_does_not_stop_the_film() -> None:
    loop, drawn = manual_loop(), list[float]()

    def draw(_: Colour) -> None:
        drawn.append(loop.time())
        if len(drawn) == 1:
            raise OSError("no such pin")

    with pytest.raises(OSError, match="no such pin"):
        Animation(loop, draw).play(PATTERNS[Scene.THINKING])
    loop.advance(1.0)
    assert len(drawn) > 20


def test_a_late_loop_does_not_fall_behind() -> None:
    """A picture shows the brightness of now, not of the moment it was due."""
    loop, drawn = manual_loop(), list[Colour]()
    Animation(loop, drawn.append).play(PATTERNS[Scene.SPEAKING])
    loop.now = 1.0  # busy for a second
    loop.advance(0)
    assert drawn[-1] == colour_at(PATTERNS[Scene.SPEAKING], 1.0)
