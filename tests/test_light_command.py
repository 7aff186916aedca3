"""``voicebox light``: the walk through all scenes, and one scene for a while."""

import time
from typing import Any

import pytest

from voicebox import cli, control
from voicebox.core.scenes import Scene
from voicebox.errors import DeviceError
from voicebox.lights.patterns import CODES, PATTERNS


class Told:
    """What the box is asked, and how long the command waits in between."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, float]] = []
        self.slept: list[float] = []
        self.stop_after = 10**6

    async def ask(self, _path: object, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((request["scene"], request["seconds"]))
        return {"ok": True}

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self.stop_after:
            raise KeyboardInterrupt


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    monkeypatch.setattr(control, "ask", told.ask)
    monkeypatch.setattr(time, "sleep", told.sleep)
    return told


def test_every_scene_is_shown_to_its_end_with_its_name_and_then_the_true_one(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["light", "test"]) == 0
    assert [name for name, _ in told.asked] == [*Scene, None]
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in printed] == [scene.value.replace("_", " ") for scene in Scene]
    assert f"no microphone ({CODES[Scene.NO_MICROPHONE]})" in printed
    for scene, waited, (_, seconds) in zip(Scene, told.slept, told.asked, strict=False):
        assert waited >= 2.5
        assert waited >= PATTERNS[scene].seconds or PATTERNS[scene].seconds == float("inf")
        assert waited < seconds < waited + 2  # nobody asks any more: it is over by itself


def test_ctrl_c_brings_the_true_scene_back(told: Told) -> None:
    told.stop_after = 3
    assert cli.main(["light", "test"]) == 130
    assert told.asked[-1] == (None, 0.0)
    assert len(told.asked) == 4


def test_one_scene_for_a_while(told: Told) -> None:
    assert cli.main(["light", "show", "updating", "--seconds", "300"]) == 0
    assert told.asked == [("updating", 300.0)]


def test_without_a_box_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def nobody(*_: object) -> None:
        raise DeviceError("no voicebox answers")

    monkeypatch.setattr(control, "ask", nobody)
    assert cli.main(["light", "test"]) == 69
    assert "no voicebox answers" in capsys.readouterr().err
