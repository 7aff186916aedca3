"""The scene is derived: fault over mute over phase, for every state there can be."""

from itertools import product

import pytest

from voicebox.core.scenes import Scene, scene
from voicebox.core.state import Fault, Phase, State

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
    Fault.OFFLINE: Scene.TROUBLE,
    Fault.NO_REPLY: Scene.TROUBLE,
    Fault.BUSY: Scene.TROUBLE,
    Fault.USED_UP: Scene.TROUBLE,
    Fault.CLOCK_WRONG: Scene.TROUBLE,
    Fault.UPDATE_NEEDED: Scene.REFUSED,
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
    assert {scene(state) for state in states} == set(Scene) - {Scene.STARTING}
