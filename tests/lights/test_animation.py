"""A light that stands still costs nothing, and one that moves is never left standing."""

from math import isinf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.gpio import manual_loop
from voicebox.core.scenes import ONCE, Scene
from voicebox.lights.animation import SEEN, Animation
from voicebox.lights.patterns import PATTERNS, Colour, colour_at, next_change


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


def test_what_passes_is_shown_once_and_gives_way_to_what_stays() -> None:
    loop, drawn = manual_loop(), list[Colour]()
    animation = Animation(loop, drawn.append)
    animation.play(PATTERNS[Scene.CONNECTING])
    animation.flash(PATTERNS[Scene.HEARD_NOTHING])
    loop.advance(1.5)
    assert drawn[-1] == pytest.approx(colour_at(PATTERNS[Scene.HEARD_NOTHING], 1.5), abs=0.05)
    loop.advance(0.2)
    assert drawn[-1] == pytest.approx(colour_at(PATTERNS[Scene.CONNECTING], 0.1), abs=0.3)
    assert drawn[-1][2] > drawn[-1][1] > 0


def test_news_cut_short_what_passes_but_it_is_seen() -> None:
    """The session was kept warm: it listens in the very moment in which the wake word is heard."""
    loop, drawn = manual_loop(), list[Colour]()
    animation = Animation(loop, drawn.append)
    animation.flash(PATTERNS[Scene.HEARD_NOTHING])
    loop.advance(0.1)
    animation.play(PATTERNS[Scene.LISTENING])
    loop.advance(SEEN - 0.12)
    assert drawn[-1] != colour_at(PATTERNS[Scene.LISTENING], 0)
    loop.advance(0.05)
    assert (drawn[-1], loop.pending) == (colour_at(PATTERNS[Scene.LISTENING], 0), 0)


shows = st.tuples(st.sampled_from(Scene), st.booleans(), st.floats(0, 3))


@settings(max_examples=200, deadline=None)
@given(st.lists(shows, max_size=12), st.sampled_from(sorted(set(Scene) - ONCE)))
def test_no_story_leaves_the_light_stuck(story: list[tuple[Scene, bool, float]], last: Scene) -> None:
    """Whatever was shown before: two seconds after the last news the light says what it is to say."""
    loop, drawn = manual_loop(), list[Colour]()
    animation = Animation(loop, drawn.append)
    for scene, passes, seconds in story:
        (animation.flash if passes and scene in ONCE else animation.play)(PATTERNS[scene])
        loop.advance(seconds)
    animation.play(PATTERNS[last])
    loop.advance(2.0)
    assert animation._passing is None
    drawn.clear()
    loop.advance(5.0)
    hue = [round(part / max(colour), 6) for colour in drawn if max(colour) > 0 for part in colour]
    assert set(zip(hue[::3], hue[1::3], hue[2::3], strict=True)) <= {PATTERNS[last].colour}
    assert loop.pending == (0 if isinf(next_change(PATTERNS[last], 0)) else 1)


def test_a_lit_picture_that_stands_still_is_looked_at_again_and_a_dark_one_is_not() -> None:
    loop, drawn = manual_loop(), list[Colour]()
    animation = Animation(loop, drawn.append, look_again=lambda: 60.0)
    animation.play(PATTERNS[Scene.MUTED])
    loop.advance(3600)
    assert 58 <= len(drawn) <= 61
    animation.play(PATTERNS[Scene.IDLE])
    assert loop.pending == 0


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
