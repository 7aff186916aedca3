"""docs/services.md: its table is that of the code, and what it tells the owner to write works."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support import scripts
from voicebox import parts, settings
from voicebox.services.base import discover

PAGE = (scripts.ROOT / "docs/services.md").read_text("utf-8")
SERVICES = discover()


def section(service: str) -> str:
    found = re.search(rf"^## {service}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/services.md says nothing of {service}"
    return found[1]


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_the_lines_it_gives_are_all_that_a_box_needs(service: str, tmp_path: Path) -> None:
    """With them and the secrets it names, ``voicebox check`` finds nothing; without the secrets it names them."""
    text = section(service)
    block = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert block
    assert tomllib.loads(block[1])["service"] == service
    file = tmp_path / "voicebox.toml"
    file.write_text(block[1], "utf-8")
    environ = {"VOICEBOX_LIGHTS__BACKEND": "none", "VOICEBOX_WAKE__ENABLED": "false"}
    needed = SERVICES[service].Settings
    assert settings.problems(file, environ, parts.CHECKS)
    for name in (*needed.SECRETS, *needed.SECRETS_ANY):
        assert f"`{name}`" in text
    # what begins with oak_ can be any service's key
    secrets = {f"VOICEBOX_{name.upper()}": "oak_x" for name in (*needed.SECRETS, *needed.SECRETS_ANY[:1])}
    assert settings.problems(file, environ | secrets, parts.CHECKS) == []
