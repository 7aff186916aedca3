"""Sources in rising order: defaults, file, conf.d, environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.settings.conftest import SERVICES, Box, Toy
from voicebox import settings
from voicebox.errors import ConfigError
from voicebox.services.base import discover
from voicebox.settings import sources


def test_without_any_source_the_defaults_hold(box: Box) -> None:
    loaded = box.load()
    assert loaded.service == settings.SIMULATOR
    assert (loaded.audio.duplex, loaded.wake.preroll_ms, loaded.lights.led) == ("auto", 1500, 25)
    assert loaded.service_settings is None
    assert loaded.secrets == ()


def test_each_source_overrides_the_one_before(box: Box) -> None:
    """File < conf.d in order of names < environment; a section is laid over, not replaced."""
    box.write('[audio]\ninput = "file"\noutput = "file"\nduplex = "full"\n[button]\npin = 5\n')
    box.write('[audio]\noutput = "first"\n[button]\npin = 6', "conf.d/10-first.toml")
    box.write('[audio]\noutput = "second"', "conf.d/20-second.toml")
    box.write("no TOML at all", "conf.d/README")
    box.environ = {"VOICEBOX_BUTTON__PIN": "7"}
    loaded = box.load()
    assert (loaded.audio.input, loaded.audio.output, loaded.audio.duplex) == ("file", "second", "full")
    assert loaded.button.pin == 7


def test_the_file_can_be_named_in_the_environment_and_by_argument(box: Box, tmp_path: Path) -> None:
    box.write("[button]\npin = 5")
    other = tmp_path / "other.toml"
    other.write_text("[button]\npin = 6")
    environ = {"VOICEBOX_CONFIG": str(box.file)}
    assert settings.load(None, environ, SERVICES).button.pin == 5
    assert settings.load(other, environ, SERVICES).button.pin == 6


def test_a_missing_default_file_is_fine_but_a_named_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings.sources, "DEFAULT_FILE", tmp_path / "voicebox.toml")
    assert settings.load(None, {}, SERVICES).service == "simulator"
    with pytest.raises(ConfigError, match=r"gone\.toml: there is no such file"):
        settings.load(tmp_path / "gone.toml", {}, SERVICES)


def test_environment_values_are_written_as_in_the_file_or_as_bare_text(box: Box) -> None:
    box.environ = {
        "VOICEBOX_AUDIO__INPUT": "hw:1,0",
        "VOICEBOX_AUDIO__OUTPUT": "7",
        "VOICEBOX_AUDIO__WAV_INPUT": "/tmp/in.wav",  # noqa: S108  # never opened
        "VOICEBOX_LIGHTS__LED": "false",
        "VOICEBOX_LIGHTS__BACKEND": "rgb",
        "VOICEBOX_LIGHTS__RGB": "[5, 6, 13]",
        "VOICEBOX_LIGHTS__BRIGHTNESS": "0.5",
        "VOICEBOX_WAKE__PHRASES": '[{ model = "alexa" }]',
        "VOICEBOX_TOY__MEETING_ID": "4711",
        "VOICEBOX_SERVICE": "toy",
    }
    loaded = box.load()
    assert (loaded.audio.input, loaded.audio.output, str(loaded.audio.wav_input)) == ("hw:1,0", "7", "/tmp/in.wav")  # noqa: S108
    assert (loaded.lights.led, loaded.lights.rgb, loaded.lights.brightness) == (None, (5, 6, 13), 0.5)
    assert [phrase.model for phrase in loaded.wake.phrases] == ["alexa"]
    assert isinstance(loaded.service_settings, Toy)
    assert loaded.service_settings.meeting_id == "4711"


def test_settings_are_frozen(box: Box) -> None:
    with pytest.raises(ValidationError):
        box.load().audio.input = "hw:1"


def test_every_service_has_a_section_that_works_without_a_file(tmp_path: Path) -> None:
    """Found by name, no registry: the contract for a new service's Settings."""
    file = tmp_path / "voicebox.toml"
    services = discover()
    for name, module in services.items():
        file.write_text(f'service = "{name}"')
        loaded = settings.load(file, {})
        assert isinstance(loaded.service_settings, module.Settings)
        assert loaded.secrets == module.Settings.SECRETS + module.Settings.SECRETS_ANY
    assert services


def test_the_control_sockets_variable_is_none_of_the_settings_but_known() -> None:
    assert list(sources.foreign_variables({"VOICEBOX_CONTROL": "/run/x.sock", "VOICEBOX_CONTROLL": "x"}, [])) == [
        "VOICEBOX_CONTROLL"
    ]
