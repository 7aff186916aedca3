"""Item 7: every scene has a light of its own that can be told across a room."""

from itertools import combinations, pairwise
from math import inf
from pathlib import Path

import pytest

from voicebox.core.scenes import ONCE, Scene
from voicebox.lights.animation import SEEN
from voicebox.lights.patterns import (
    AMBER,
    CODES,
    FRAME,
    LONG,
    MAGENTA,
    PATTERNS,
    RED,
    Pattern,
    colour_at,
    next_change,
)

STATIC = {Scene.IDLE, Scene.LISTENING, Scene.MUTED}
PAGE = Path(__file__).parents[2] / "docs" / "lights.md"
COLOURS = {AMBER: "amber", RED: "red"}


def brightness(pattern: Pattern, seconds: float) -> float:
    return max(colour_at(pattern, seconds))


def samples(scene: Scene, seconds: float) -> list[float]:
    return [brightness(PATTERNS[scene], i * 0.01) for i in range(round(seconds / 0.01))]


def test_every_scene_has_exactly_one_row() -> None:
    assert set(PATTERNS) == set(Scene)


@pytest.mark.parametrize("scene", Scene)
def test_every_scene_is_in_the_owners_table(scene: Scene) -> None:
    assert f"| {scene.value.replace('_', ' ')} |" in PAGE.read_text()


def test_the_card_shows_the_codes_as_they_are() -> None:
    """Every fault with its flashes, number and colour, in order."""
    card = PAGE.read_text().partition("<!-- card")[2].partition("<!-- end of card -->")[0]
    rows = [
        tuple(cell.strip() for cell in line.split("|")[1:5]) for line in card.splitlines() if line.startswith("| `")
    ]
    expected = []
    for scene, number in sorted(CODES.items(), key=lambda item: item[1]):
        long, short = divmod(number, LONG)
        flashes = " ".join(["—"] * long + (["•" * short] if short else []))
        colour = COLOURS[PATTERNS[scene].colour]
        expected.append((f"`{flashes}`", str(number), colour, scene.value.replace("_", " ")))
    assert rows == expected


def test_no_two_faults_have_the_same_number() -> None:
    assert len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("scene", Scene)
def test_what_passes_has_an_end_and_nothing_else_has(scene: Scene) -> None:
    pattern = PATTERNS[scene]
    assert pattern.once is (scene in ONCE)
    if pattern.once:
        assert SEEN <= pattern.seconds <= 2.0


def test_no_scene_can_be_taken_for_the_privacy_lamp() -> None:
    assert MAGENTA not in {pattern.colour for pattern in PATTERNS.values()}


@pytest.mark.parametrize(("one", "other"), list(combinations(Scene, 2)))
def test_two_scenes_differ_on_a_single_led(one: Scene, other: Scene) -> None:
    assert PATTERNS[one].steps != PATTERNS[other].steps


@pytest.mark.parametrize("scene", Scene)
def test_colours_stay_in_range_and_a_single_led_can_reach_full_brightness(scene: Scene) -> None:
    assert max(PATTERNS[scene].colour) == 1.0
    for i in range(1000):
        assert all(0.0 <= part <= 1.0 for part in colour_at(PATTERNS[scene], i * 0.0137))


def test_only_idle_is_dark() -> None:
    dark = {scene for scene in Scene if max(samples(scene, 8)) == 0}
    assert dark == {Scene.IDLE}


@pytest.mark.parametrize("scene", sorted(STATIC))
def test_a_still_scene_never_changes(scene: Scene) -> None:
    assert next_change(PATTERNS[scene], 0) == inf
    assert next_change(PATTERNS[scene], 1e6) == inf
    assert len(set(samples(scene, 3))) == 1


def test_muted_is_dimmer_than_listening() -> None:
    assert 0 < brightness(PATTERNS[Scene.MUTED], 0) < brightness(PATTERNS[Scene.LISTENING], 0) / 2


@pytest.mark.parametrize(("scene", "number"), list(CODES.items()))
def test_a_fault_flashes_its_number_and_then_pauses(scene: Scene, number: int) -> None:
    """The owner counts: long flashes are told from short ones, and the pause from any gap between two flashes."""
    shown = samples(scene, PATTERNS[scene].seconds)
    changes = [i for i, (before, now) in enumerate(pairwise([0.0, *shown])) if (before == 0) is not (now == 0)]
    lengths = [down - up for up, down in zip(changes[::2], changes[1::2], strict=True)]
    gaps = [up - down for down, up in zip(changes[1:-1:2], changes[2::2], strict=True)]
    long = [length > 50 for length in lengths]
    assert sum(LONG if is_long else 1 for is_long in long) == number
    assert long == sorted(long, reverse=True)
    assert all(length > 80 or length < 25 for length in lengths)
    assert len(shown) - changes[-1] > 3 * max(gaps, default=30)


def test_the_faster_the_box_works_the_faster_it_breathes() -> None:
    cycles = [
        sum(step.seconds for step in PATTERNS[scene].steps)
        for scene in (Scene.CONNECTING, Scene.THINKING, Scene.SPEAKING, Scene.STARTING)
    ]
    assert cycles == sorted(cycles)
    assert all(slow / fast >= 1.5 for fast, slow in pairwise(cycles))


@pytest.mark.parametrize("scene", sorted(set(Scene) - STATIC))
def test_the_next_change_is_the_next_change(scene: Scene) -> None:
    """Nothing happens before it, and it is never later than the picture needs."""
    pattern, at = PATTERNS[scene], 0.0
    for _ in range(200):
        pause = next_change(pattern, at)
        assert 0 < pause < inf
        if pause > FRAME:
            assert colour_at(pattern, at + pause * 0.99) == colour_at(pattern, at)
        at += max(pause, 0.001)
