"""What `voicebox config show` prints, and the sample in config/."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from tests.settings.conftest import SERVICES, TOKEN, Box
from voicebox import settings
from voicebox.services.base import ServiceSettings

SAMPLE = Path(__file__).parents[2] / "config" / "voicebox.toml"


def test_show_gives_values_and_origins_and_masks_secrets(box: Box) -> None:
    box.write('service = "toy"\n[audio]\n\ninput = "hw:1"')
    box.environ = {"VOICEBOX_LIGHTS__LED": "false", "VOICEBOX_TOY_TOKEN": TOKEN}
    loaded = box.load()
    shown = settings.render(loaded)
    for line in (
        f'service = "toy"  # {box.file}:1',
        f'input = "hw:1"  # {box.file}:4',
        'output = "default"  # default',
        "led = false  # VOICEBOX_LIGHTS__LED",
        "# toy_token: set (from VOICEBOX_TOY_TOKEN)",
    ):
        assert f"\n{line}\n" in "\n" + shown
    assert TOKEN not in shown + repr(loaded) + repr(loaded.credentials)


def test_a_missing_secret_is_shown_as_missing(box: Box) -> None:
    assert "# toy_token: missing\n" in settings.render(box.load())


def test_what_is_shown_gives_the_same_settings_again(box: Box) -> None:
    box.write(
        'service = "toy"\n[toy]\nextra = { "a b" = [1, true], c = "d\\"e" }\n'
        '[lights]\nbackend = "rgb"\nrgb = [5, 6, 13]\nnight = {end = "06:30"}'
    )
    loaded = box.load()
    box.write(settings.render(loaded))
    assert box.load().model_dump() == loaded.model_dump()


def test_hidden_values_are_not_shown_in_errors(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    class Secretive(ServiceSettings):
        code: SecretStr = Field(default=SecretStr(""), max_length=3)

    monkeypatch.setitem(SERVICES, "secretive", Secretive)
    box.write(f'secretive.code = "{TOKEN}"')
    assert box.problems() == [
        "voicebox.toml:1: secretive.code = a hidden value is not allowed; it takes text in double quotes"
    ]


def test_the_sample_shows_every_key_with_its_default(tmp_path: Path) -> None:
    """config/voicebox.toml cannot rot: uncommented, it is exactly the defaults."""
    sample = SAMPLE.read_text()
    assert tomllib.loads(sample) == {name: {} for name in re.findall(r"^\[(\w+)\]", sample, re.MULTILINE)}
    full = re.sub(r"^#(?=\w)", "", sample, flags=re.MULTILINE)
    (tmp_path / "voicebox.toml").write_text(full)
    (tmp_path / "empty.toml").write_text("")
    from_sample = settings.load(tmp_path / "voicebox.toml", {})
    assert from_sample.model_dump() == settings.load(tmp_path / "empty.toml", {}).model_dump()
    written = tomllib.loads(full)
    for name, section in from_sample.model_dump().items():
        if isinstance(section, dict) and (name in written or name not in from_sample.services):
            assert set(written[name]) == set(section)  # a new service may do without a place in the sample
