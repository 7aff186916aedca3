"""The documents: short where they promise to be, complete, and their links lead somewhere."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from voicebox.lights import base as lights
from voicebox.services import base as services

ROOT = Path(__file__).parent.parent
OURS = {"voicebox", "tests", "scripts", "docs", "config", "systemd", "debian", ".ci"}


def tracked() -> Iterator[Path]:
    """The project's own files, without what git ignores (a downloaded copy need not be a git repository)."""
    for path in ROOT.iterdir():
        if path.is_file():
            yield path
        elif path.name in OURS:
            yield from (p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


FILES = sorted(tracked())
PAGES = [path for path in FILES if path.suffix == ".md"]


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def anchors(page: Path) -> set[str]:
    """The anchors that the page's headings get."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text(page))
    dead = []
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_the_readme_is_short_and_names_the_two_commands() -> None:
    readme = text(ROOT / "README.md")
    assert len(readme.splitlines()) < 120
    assert {"scripts/demo", "scripts/test"} <= set(readme.split())


def test_the_readme_leads_to_every_document() -> None:
    """Directly, or over architecture.md."""
    pages = text(ROOT / "README.md") + text(ROOT / "docs/architecture.md")
    assert {path.name for path in (ROOT / "docs").glob("*.md") if path.name not in pages} == set()


@pytest.mark.parametrize("script", ["services-doc", "settings-doc", "state-diagram"])
def test_what_is_made_from_the_code_is_current(script: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / script, "--check"], capture_output=True, check=False)
    assert done.returncode == 0, f"run scripts/{script}"


def test_the_models_licence_is_named_where_a_wake_word_is_chosen() -> None:
    for name in ("NOTICE", "config/voicebox.toml"):
        assert "CC BY-NC-SA 4.0" in text(ROOT / name)
    assert "Apache License" in text(ROOT / "LICENSE")


@pytest.mark.parametrize("service", sorted(services.discover()))
def test_every_service_is_documented(service: str) -> None:
    assert service in text(ROOT / "README.md").lower()
    assert f"{service}.py" in text(ROOT / "docs/architecture.md")
    assert f"[{service}]" in text(ROOT / "config/voicebox.toml")


@pytest.mark.parametrize("light", sorted(lights.discover()))
def test_every_light_is_documented(light: str) -> None:
    assert f"- `{light}`:" in text(ROOT / "docs/lights.md")


def test_every_room_is_on_the_map() -> None:
    architecture = text(ROOT / "docs/architecture.md")
    rooms = {path.name + ("/" if path.is_dir() else "") for path in (ROOT / "voicebox").iterdir()}
    rooms -= {"__init__.py", "__main__.py", "__pycache__/"}
    known = {"errors.py", "redact.py", "pins.py", "assets/", "virtualtime.py"}  # named in prose or imported by all
    assert {room for room in rooms - known if f"`{room}`" not in architecture} == set()


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix not in (".wav", ".png")], ids=ids)
def test_nobodys_machine_is_in_it(path: Path) -> None:
    """No home directory of whoever wrote it, and no package index that only they can reach."""
    found = re.findall(
        r"/root/\w+|/home/(?!pi\b|voicebox\b)\w+|/Users/\w+|--?(?:extra-)?index-url|--find-links", text(path)
    )
    assert path.name == "test_docs.py" or found == []
