"""The section of the broker: its password is a secret like those of the services."""

import pytest

from tests.settings.conftest import SERVICES, Box
from voicebox import settings
from voicebox.errors import ConfigError

PASSWORD = "correct-horse-7c1"  # noqa: S105  # of nobody


def test_the_password_is_missed_only_where_it_is_needed(box: Box) -> None:
    for text, missed in (
        ("enabled = true", False),
        ('username = "box"', False),
        ('enabled = true\nusername = "box"', True),
    ):
        box.write(f"[mqtt]\n{text}")
        problems = settings.problems(box.file, box.environ, services=SERVICES)
        assert any("mqtt_password is missing" in problem for problem in problems) is missed
        assert ("mqtt_password" in box.load().all_secrets) is missed


def test_the_password_is_shown_as_set_and_not_what_it_is(box: Box) -> None:
    box.environ["VOICEBOX_MQTT_PASSWORD"] = PASSWORD
    loaded = box.load()
    assert loaded.credentials.read(loaded.mqtt.SECRETS) == {"mqtt_password": PASSWORD}
    shown = settings.render(loaded)
    assert "\n# mqtt_password: set (from VOICEBOX_MQTT_PASSWORD)\n" in shown
    assert PASSWORD not in shown + repr(loaded)


def test_a_password_in_the_file_is_refused_with_its_place(box: Box) -> None:
    box.write(f'[mqtt]\npassword = "{PASSWORD}"')
    with pytest.raises(ConfigError, match="the secret mqtt_password does not belong into a settings file") as caught:
        box.load()
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node", "living room"),
        ("node", ""),
        ("topic_prefix", "voice/#"),
        ("topic_prefix", "/voice"),
        ("discovery_prefix", "home+"),
    ],
)
def test_what_would_be_no_topic_is_refused(box: Box, key: str, value: str) -> None:
    box.write(f'[mqtt]\n{key} = "{value}"')
    with pytest.raises(ConfigError, match=rf"mqtt\.{key} = .* is not allowed"):
        box.load()
