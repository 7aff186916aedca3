"""Which scene the lights show: what was asked for, for a while; the box's own; and that its settings are old."""

from tests.support.gpio import ManualLoop, manual_loop
from voicebox.core.scenes import Scene
from voicebox.lights.base import Light
from voicebox.showing import Lights, Showing


class Noted:
    """A light and a lamp that note what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def show(self, scene: Scene) -> None:
        if self.told[-1:] != [scene.value]:
            self.told.append(scene.value)

    def flash(self, scene: Scene) -> None:
        self.told.append(f"flash {scene.value}")

    def sending(self, on: bool) -> bool:
        self.told.append(f"sending {on}")
        return True

    def close(self) -> None:
        self.told.append("closed")


def made() -> tuple[Showing, Noted, ManualLoop]:
    light, loop = Noted(), manual_loop()
    return Showing((light, Noted()), loop), light, loop


def test_what_was_asked_for_is_over_by_itself_and_the_true_scene_is_back() -> None:
    showing, light, loop = made()
    showing.show(Scene.IDLE)
    showing.ask(Scene.SPEAKING, 3.0)
    showing.show(Scene.IDLE)  # any event says so again
    loop.advance(2.9)
    assert light.told == ["idle", "speaking"]
    loop.advance(0.2)
    assert light.told == ["idle", "speaking", "idle"]
    assert loop.pending == 0


def test_news_of_the_box_end_what_was_asked_for_for_good() -> None:
    showing, light, loop = made()
    showing.show(Scene.IDLE)
    showing.ask(Scene.UPDATING, 600.0)
    showing.show(Scene.CONNECTING)
    showing.show(Scene.IDLE)
    loop.advance(700)
    assert light.told == ["idle", "updating", "connecting", "idle"]


def test_a_passing_scene_of_the_box_is_seen_even_so() -> None:
    showing, light, loop = made()
    showing.show(Scene.IDLE)
    showing.ask(Scene.UPDATING, 600.0)
    showing.flash(Scene.WAKE)
    assert light.told == ["idle", "updating", "idle", "flash wake"]
    assert loop.pending == 0


def test_one_asked_for_after_the_other_has_its_own_time() -> None:
    showing, light, loop = made()
    showing.show(Scene.IDLE)
    showing.ask(Scene.SPEAKING, 3.0)
    loop.advance(2.0)
    showing.ask(Scene.THINKING, 3.0)
    loop.advance(2.0)
    assert light.told == ["idle", "speaking", "thinking"]
    showing.ask(None)
    assert light.told[-1] == "idle"
    assert loop.pending == 0


def test_rejected_settings_show_while_it_is_idle_and_never_hide_anything() -> None:
    showing, light, _ = made()
    showing.outdated(True)
    for scene in (Scene.STARTING, Scene.IDLE, Scene.LISTENING, Scene.NO_SPEAKER, Scene.IDLE):
        showing.show(scene)
    showing.outdated(False)
    assert light.told == ["starting", "last_good_config", "listening", "no_speaker", "last_good_config", "idle"]


def test_new_lights_are_made_after_the_old_are_closed_and_go_on_where_those_were() -> None:
    showing, old, _ = made()
    new, lamp = Noted(), Noted()
    showing.show(Scene.LISTENING)
    showing.sending(True)

    def make() -> Lights:
        assert old.told[-1] == "closed"
        return new, lamp

    showing.replace(make)
    light: Light = showing.light
    assert light is new
    assert (new.told, lamp.told) == (["listening"], ["sending True"])
    showing.close()
    assert new.told[-1] == lamp.told[-1] == "closed"
