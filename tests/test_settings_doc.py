"""docs/settings.md: made from the settings model, complete, current."""

from tests.support import scripts
from voicebox.settings import reference

PAGE = (scripts.ROOT / "docs/settings.md").read_text("utf-8")


SCRIPT = scripts.load("settings-doc")


def test_every_key_is_in_it_once_and_means_something() -> None:
    known = SCRIPT.meanings()
    for key in reference.every_key():
        assert len(known[key.path][1]) > 5, f"{key.path} has no comment in config/voicebox.toml"
        section = PAGE.partition(f"## {f'[{key.section}]' if key.section else 'At the top of the file'}\n")[2]
        rows = [row for row in section.partition("\n## ")[0].splitlines() if f"`{key.name}`" in row.split(" | ")[0]]
        assert len(rows) == 1


def test_takes_and_default_are_those_of_the_model() -> None:
    keys = {key.path: key for key in reference.every_key()}
    assert keys["wake.preroll_ms"].takes == "a whole number from 0 to 5000"
    assert keys["wake.preroll_ms"].default == "1500"
    assert keys["lights.led"].variable == "VOICEBOX_LIGHTS__LED"
    assert "| `preroll_ms` | a whole number from 0 to 5000 | `1500` | How much from before" in PAGE


def test_text_of_the_owners_is_not_plain() -> None:
    """Nor is what could hold some."""
    plain = {key.path for key in reference.every_key() if key.is_plain}
    assert {"audio.duplex", "lights.rgb", "interruption.by", "conversation.listen_timeout_s", "log.level"} <= plain
    texts = {"audio.input", "wake.phrases", "mqtt.host", "lira.meeting_id", "lira.settings", "sounds.directory"}
    assert texts.isdisjoint(plain)
