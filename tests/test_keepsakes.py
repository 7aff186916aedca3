"""The store behind the Remember effect (LIKU-05): what services want kept, in a file that only we may read."""

import json
import stat
from pathlib import Path

import pytest

from voicebox.keepsakes import Keepsakes
from voicebox.redact import redact
from voicebox.services.base import Remember

SECRET = "keepsake-canary-8Kq2"  # noqa: S105  # made up, to be looked for where it must not be


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keepsakes.json"


def test_what_is_kept_outlives_the_process(path: Path) -> None:
    keepsakes = Keepsakes(path)
    assert keepsakes.recall() == {}
    keepsakes.remember(Remember("liku_token", SECRET))
    keepsakes.remember(Remember("other", "something else"))
    assert keepsakes.recall() == Keepsakes(path).recall() == {"liku_token": SECRET, "other": "something else"}


def test_it_is_replaced_and_forgotten(path: Path) -> None:
    keepsakes = Keepsakes(path)
    for value in (SECRET, "a newer one", None, None):
        keepsakes.remember(Remember("liku_token", value))
        assert keepsakes.recall() == Keepsakes(path).recall() == ({"liku_token": value} if value else {})


def test_liku_05_nobody_else_may_read_it(path: Path) -> None:
    """COM-03"""
    Keepsakes(path).remember(Remember("liku_token", SECRET))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_com_02_what_is_kept_is_redacted_from_then_on(path: Path) -> None:
    fresh = f"{SECRET}-fresh"
    Keepsakes(path).remember(Remember("liku_token", fresh))
    assert redact(f"token {fresh}") == "token ***"
    path.write_text(json.dumps({"liku_token": f"{SECRET}-read"}))
    Keepsakes(path).recall()
    assert redact(f"{SECRET}-read") == "***"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"a":1}', '{"a":{}}', "[" * 9_999, '{"liku_token":"x"}garbage', "\xff\xfe"]
)
def test_a_damaged_file_is_as_none_and_is_mended(path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content.encode("latin-1"))
    path.chmod(0o600)
    keepsakes = Keepsakes(path)
    assert keepsakes.recall() == {}
    assert (str(path) in caplog.text) is bool(content)
    keepsakes.remember(Remember("liku_token", SECRET))
    assert Keepsakes(path).recall() == {"liku_token": SECRET}


def test_a_file_that_others_can_read_is_not_believed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Keepsakes(path).remember(Remember("liku_token", SECRET))
    path.chmod(0o644)
    keepsakes = Keepsakes(path)
    assert keepsakes.recall() == {}
    assert "0600" in caplog.text
    assert SECRET not in caplog.text
    keepsakes.remember(Remember("liku_token", SECRET))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nor_is_a_link_to_somewhere_else(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps({"liku_token": SECRET}))
    elsewhere.chmod(0o600)
    path.symlink_to(elsewhere)
    assert Keepsakes(path).recall() == {}


def test_where_nothing_can_be_written_it_lasts_as_long_as_we_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    obstacle = tmp_path / "obstacle"
    obstacle.write_text("")
    keepsakes = Keepsakes(obstacle / "keepsakes.json")
    keepsakes.remember(Remember("liku_token", SECRET))
    assert keepsakes.recall() == {"liku_token": SECRET}
    assert "could not be written" in caplog.text
    assert SECRET not in caplog.text


def test_what_is_known_already_is_not_written_again(path: Path) -> None:
    keepsakes = Keepsakes(path)
    keepsakes.remember(Remember("liku_token", SECRET))
    path.unlink()
    keepsakes.remember(Remember("liku_token", SECRET))
    assert not path.exists()
