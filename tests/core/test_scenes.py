"""The scene is derived: fault over mute over phase, for every state there can be."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.model import Model
from tests.core.test_properties import anything, impossible, policies
from voicebox.core.events import (
    ButtonPressed,
    Event,
    Interrupted,
    MuteChanged,
    SessionEnded,
    StopRequested,
    Timer,
    TimerExpired,
    WakeDetected,
)
from voicebox.core.scenes import _FAULTS, ONCE, Scene, flash, scene
from voicebox.core.state import LASTING, Fault, Link, Phase, Policy, State, Window
from voicebox.core.transitions import step

APPS_OWN = {Scene.STARTING, Scene.UPDATING, Scene.LAST_GOOD_CONFIG}

WAKE, PRESS, DEADLINE = WakeDetected("hey_jarvis", 0.9, 0), ButtonPressed(0), TimerExpired(Timer.PHASE)
FLASHES = [
    (Phase.IDLE, WAKE, Phase.CONNECTING, Scene.WAKE),
    (Phase.IDLE, PRESS, Phase.CONNECTING, Scene.WAKE),
    (Phase.CONNECTING, WAKE, Phase.CONNECTING, Scene.WAKE),
    (Phase.LISTENING, DEADLINE, Phase.IDLE, Scene.HEARD_NOTHING),
    (Phase.LISTENING, StopRequested(), Phase.IDLE, None),
    (Phase.LISTENING, SessionEnded("over"), Phase.IDLE, None),
    (Phase.LISTENING, MuteChanged(True), Phase.IDLE, None),
    (Phase.CONNECTING, DEADLINE, Phase.IDLE, None),
    (Phase.THINKING, DEADLINE, Phase.IDLE, None),
    (Phase.IDLE, Interrupted(1), Phase.IDLE, None),
]

BY_PHASE = {
    Phase.IDLE: Scene.IDLE,
    Phase.CONNECTING: Scene.CONNECTING,
    Phase.LISTENING: Scene.LISTENING,
    Phase.THINKING: Scene.THINKING,
    Phase.SPEAKING: Scene.SPEAKING,
}
BY_FAULT = {
    Fault.NO_MICROPHONE: Scene.NO_MICROPHONE,
    Fault.NO_SPEAKER: Scene.NO_SPEAKER,
    Fault.REFUSED: Scene.REFUSED,
    Fault.OFFLINE: Scene.OFFLINE,
    Fault.NO_REPLY: Scene.TROUBLE,
    Fault.BUSY: Scene.TROUBLE,
    Fault.USED_UP: Scene.USED_UP,
    Fault.CLOCK_WRONG: Scene.CLOCK_NOT_SET,
    Fault.UPDATE_NEEDED: Scene.UPDATE_NEEDED,
}


@pytest.mark.parametrize("phase", Phase)
def test_without_fault_and_mute_the_phase_shows(phase: Phase) -> None:
    assert scene(State(phase=phase)) is BY_PHASE[phase]


@pytest.mark.parametrize(("fault", "phase", "muted"), list(product(Fault, Phase, (False, True))))
def test_a_fault_hides_everything_else(fault: Fault, phase: Phase, muted: bool) -> None:
    assert scene(State(phase=phase, muted=muted, fault=fault)) is BY_FAULT[fault]


@pytest.mark.parametrize("phase", Phase)
def test_mute_shows_when_the_box_is_idle_and_never_hides_that_it_speaks(phase: Phase) -> None:
    assert scene(State(phase=phase, muted=True)) is (Scene.MUTED if phase is Phase.IDLE else BY_PHASE[phase])


def test_every_scene_but_the_apps_own_can_come_up() -> None:
    states = [State(phase=p, muted=m, fault=f) for p, m, f in product(Phase, (False, True), (None, *Fault))]
    states += [State(phase=Phase.LISTENING, follow_up=True)]
    assert {scene(state) for state in states} == set(Scene) - APPS_OWN - ONCE


@pytest.mark.parametrize(("phase", "event", "leads_to", "passing"), FLASHES)
def test_what_passes_is_derived_from_the_step(
    phase: Phase, event: Event, leads_to: Phase, passing: Scene | None
) -> None:
    before = State(phase=phase, link=Link.UP, window=Window(0))
    after, _ = step(before, event)
    assert after.phase is leads_to
    assert flash(before, event, after) is passing


def test_after_an_answer_nobody_need_speak() -> None:
    before = State(phase=Phase.LISTENING, link=Link.UP, window=Window(0), follow_up=True)
    assert scene(before) is Scene.FOLLOW_UP
    assert flash(before, DEADLINE, step(before, DEADLINE)[0]) is None


def test_a_muted_box_does_not_say_that_it_noticed() -> None:
    for event in (WakeDetected("hey_jarvis", 0.9, 0), ButtonPressed(0)):
        before = State(muted=True)
        assert flash(before, event, step(before, event)[0]) is None


RESTING = {Scene.IDLE, Scene.MUTED} | {_FAULTS[fault] for fault in LASTING}


@settings(max_examples=200, deadline=None)
@given(policies, st.lists(anything, max_size=40))
def test_left_alone_the_light_comes_to_rest(policy: Policy, events: list[Event]) -> None:
    """Whatever happened: when nobody does anything any more, every scene that passes is over after a few deadlines."""
    model = Model.of(policy)
    for event in events:
        if not impossible(model, event):
            model = model.happens(event)
    for _ in range(12):
        model = model.left_alone()[1]
    assert scene(model.state) in RESTING
