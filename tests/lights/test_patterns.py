"""Item 7: every scene has a light of its own that can be told across a room."""

from itertools import combinations, pairwise
from math import inf
from pathlib import Path

import pytest

from voicebox.core.scenes import Scene
from voicebox.lights.patterns import FRAME, PATTERNS, Pattern, colour_at, next_change

STATIC = {Scene.IDLE, Scene.LISTENING, Scene.MUTED}
FLASHES = {Scene.TROUBLE: 1, Scene.NO_MICROPHONE: 2, Scene.NO_SPEAKER: 3, Scene.REFUSED: 4}


def brightness(pattern: Pattern, seconds: float) -> float:
    return max(colour_at(pattern, seconds))


def samples(scene: Scene, seconds: float) -> list[float]:
    return [brightness(PATTERNS[scene], i * 0.01) for i in range(round(seconds / 0.01))]


def test_every_scene_has_exactly_one_row() -> None:
    assert set(PATTERNS) == set(Scene)


@pytest.mark.parametrize("scene", Scene)
def test_every_scene_is_in_the_owners_table(scene: Scene) -> None:
    page = Path(__file__).parents[2] / "docs" / "lights.md"
    assert f"| {scene.value.replace('_', ' ')} |" in page.read_text()


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


@pytest.mark.parametrize(("scene", "count"), list(FLASHES.items()))
def test_a_fault_flashes_its_number_and_then_pauses(scene: Scene, count: int) -> None:
    """The owner counts; the pause is longer than any gap between two flashes."""
    cycle = sum(step.seconds for step in PATTERNS[scene].steps)
    shown = samples(scene, cycle)
    rises = [i for i, (before, now) in enumerate(pairwise([0.0, *shown])) if before == 0 and now > 0]
    gaps = [later - earlier for earlier, later in pairwise(rises)]
    assert len(rises) == count
    assert len(shown) - rises[-1] > 2 * max(gaps, default=50)


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
