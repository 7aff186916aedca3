"""A configuration directory to try settings in, with one toy service."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from voicebox import settings
from voicebox.errors import ConfigError
from voicebox.services.base import ServiceSettings
from voicebox.settings import Settings


class Toy(ServiceSettings):
    SECRETS: ClassVar[tuple[str, ...]] = ("toy_token",)
    url: str = "wss://toy.example/ws"
    meeting_id: str = ""
    extra: dict[str, Any] = Field(default_factory=dict)


class Choosy(ServiceSettings):
    """Takes one of two secrets."""

    SECRETS_ANY: ClassVar[tuple[str, ...]] = ("choosy_key", "choosy_jwt")


SERVICES: dict[str, type[ServiceSettings]] = {"toy": Toy, "choosy": Choosy}
TOKEN = "toy-credential-0815"  # noqa: S105  # opens nothing


class Box:
    """A configuration directory, and the ways to read it."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "voicebox.toml"
        self.environ: dict[str, str] = {}

    def write(self, text: str, name: str = "voicebox.toml") -> None:
        path = self.file.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def secret(self, value: str, mode: int = 0o600, name: str = "toy_token") -> Path:
        self.write(value, f"credentials/{name}")
        path = self.file.parent / "credentials" / name
        path.chmod(mode)
        return path

    def load(self) -> Settings:
        if not self.file.exists():
            self.write("")
        return settings.load(self.file, self.environ, SERVICES)

    def problems(self) -> list[str]:
        """What ``load`` refuses, the directory left out."""
        with pytest.raises(ConfigError) as caught:
            self.load()
        return [problem.replace(f"{self.file.parent}/", "") for problem in caught.value.problems]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)
