"""Item 7: lights.backend = "terminal" draws the light in the terminal."""

import io

from voicebox.core.scenes import Scene
from voicebox.lights.terminal import TerminalLight


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_drawn_over_and_over() -> None:
    out = Terminal()
    light = TerminalLight(out)
    for scene in (Scene.IDLE, Scene.LISTENING, Scene.NO_MICROPHONE):
        light.show(scene)
    assert "\n" not in out.getvalue()
    pictures = out.getvalue().split("\r\x1b[2K")[1:]
    assert pictures == [
        "○ idle\r",
        "\x1b[38;2;26;102;255m●\x1b[0m listening\r",
        "\x1b[38;2;255;0;0m●\x1b[0m no microphone\r",
    ]


def test_elsewhere_each_change_is_one_plain_line() -> None:
    out = io.StringIO()
    light = TerminalLight(out)
    for scene in (Scene.IDLE, Scene.IDLE, Scene.THINKING):
        light.show(scene)
    light.close()
    assert out.getvalue() == "light: idle\nlight: thinking\n"


def test_the_same_scene_again_writes_nothing() -> None:
    out = Terminal()
    light = TerminalLight(out)
    light.show(Scene.SPEAKING)
    before = out.getvalue()
    light.show(Scene.SPEAKING)
    assert out.getvalue() == before


def test_close_leaves_an_empty_line_behind() -> None:
    out = Terminal()
    light = TerminalLight(out)
    light.show(Scene.SPEAKING)
    light.close()
    assert out.getvalue().endswith("\r\x1b[2K")


def test_a_closed_terminal_is_no_error() -> None:
    out = Terminal()
    light = TerminalLight(out)
    out.close()
    light.show(Scene.SPEAKING)
    light.close()
