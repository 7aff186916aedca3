"""The settings that worked last, kept and read again."""

import pytest

from tests.settings.conftest import SERVICES, Box
from voicebox import settings
from voicebox.errors import ConfigError
from voicebox.settings import lastgood


def test_what_is_kept_gives_the_same_settings_again(box: Box) -> None:
    box.write('service = "toy"\n[wake]\npreroll_ms = 700\n[toy]\nmeeting_id = "m"\nextra = { a = [1, { b = true }] }\n')
    box.write("[wake]\nrefractory_s = 0.5\n", "conf.d/10.toml")
    box.environ = {"VOICEBOX_AUDIO__INPUT": "USB"}
    good = box.load()
    kept = lastgood.dump(good)
    box.write("this is [no TOML")
    with pytest.raises(ConfigError):
        box.load()
    again = settings.load(box.file, {}, SERVICES, files=lastgood.parse(kept))
    assert (again.wake, again.service_settings) == (good.wake, good.service_settings)
    assert (good.audio.input, again.audio.input) == ("USB", "default")  # the environment is as it is now
    assert str(type(again).layers.origin(("wake", "preroll_ms"))).endswith("as it was when it last worked")


@pytest.mark.parametrize("text", ["", "{", "[]x", '[{"name": "x"}]', '[{"name": "x", "values": 3}]', "[" * 9999, "7"])
def test_what_was_damaged_is_none(text: str) -> None:
    assert lastgood.parse(text) is None


def test_what_is_kept_is_checked_like_any_other(box: Box) -> None:
    box.write("")
    layers = lastgood.parse('[{"name": "old.toml", "values": {"wake": {"preroll_ms": -1}}}]')
    with pytest.raises(ConfigError, match=r"old\.toml as it was when it last worked: wake\.preroll_ms = -1"):
        settings.load(box.file, {}, SERVICES, files=layers)
