"""Where secrets are stored: for root alone, sealed where that is possible, never half."""

import os
from pathlib import Path

import pytest

from voicebox.errors import AuthError, VoiceboxError
from voicebox.settings import sealed
from voicebox.settings.credentials import Credentials
from voicebox.settings.sealed import PLAIN, PREFIX, SEALED, Store, Stored

TOKEN = "toy-credential-0815"  # noqa: S105  # opens nothing


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "voicebox.toml")


def _fake_creds(*arguments: str, given: bytes) -> bytes:
    """As systemd-creds: what is sealed under one name does not open under another."""
    name = arguments[1].encode()
    if arguments[0] == "encrypt":
        return name + b"|" + given[::-1]
    return given.removeprefix(name + b"|")[::-1] if given.startswith(name + b"|") else b""


def test_a_stored_secret_is_for_its_owner_alone_and_can_be_read(store: Store, tmp_path: Path) -> None:
    assert store.put("toy_token", TOKEN, seal=False) is False
    file = tmp_path / PLAIN / "toy_token"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert Credentials({}, tmp_path / PLAIN).read(["toy_token"]) == {"toy_token": TOKEN}
    (found,) = store.all()
    assert (found.name, found.sealed, found.problem) == ("toy_token", False, "")
    assert found.age < 60


def test_sealing_takes_the_plain_file_away_and_the_unit_reads_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "_systemd_creds", _fake_creds)
    store.put("toy_token", "older", seal=False)
    assert store.put("toy_token", TOKEN, seal=True) is True
    assert not (tmp_path / PLAIN / "toy_token").exists()
    assert TOKEN.encode() not in (tmp_path / SEALED / "toy_token").read_bytes()
    assert [(s.name, s.sealed) for s in store.all()] == [("toy_token", True)]
    outside = Credentials({}, tmp_path / PLAIN)
    assert outside.where("toy_token") == str(tmp_path / SEALED / "toy_token")
    assert outside.problems(["toy_token"]) == []
    given = tmp_path / "given"  # as systemd would
    given.mkdir()
    (given / f"{PREFIX}toy_token").write_text(TOKEN)
    inside = Credentials({"CREDENTIALS_DIRECTORY": str(given)}, tmp_path / PLAIN)
    assert inside.read(["toy_token"]) == {"toy_token": TOKEN}
    store.put("toy_token", "newer", seal=False)
    assert [(s.name, s.sealed) for s in store.all()] == [("toy_token", False)]


def test_what_does_not_unseal_again_is_kept_plain(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "_systemd_creds", lambda *_a, given: given + b"?")
    assert store.put("toy_token", TOKEN, seal=True) is False
    assert [s.sealed for s in store.all()] == [False]


def test_removing_one_that_is_not_there_is_no_error(store: Store) -> None:
    assert store.remove("toy_token") is False
    store.put("toy_token", TOKEN, seal=False)
    assert store.remove("toy_token") is True
    assert list(store.all()) == []


def test_a_full_disk_leaves_the_old_one(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("toy_token", TOKEN, seal=False)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VoiceboxError, match="toy_token was not stored: No space left"):
        store.put("toy_token", "newer", seal=False)
    assert Credentials({}, tmp_path / PLAIN).read(["toy_token"]) == {"toy_token": TOKEN}


def test_one_that_others_can_read_is_listed_with_the_mend(store: Store, tmp_path: Path) -> None:
    store.put("toy_token", TOKEN, seal=False)
    file = tmp_path / PLAIN / "toy_token"
    file.chmod(0o644)
    assert [s.problem for s in store.all()] == [f"others can read it; type: sudo chmod 600 {file}"]
    assert isinstance(next(store.all()), Stored)


def test_a_renewed_secret_goes_before_all_others_until_it_is_removed(store: Store, tmp_path: Path) -> None:
    store.put("toy_token", "older", seal=False)
    credentials = Credentials({"VOICEBOX_TOY_TOKEN": "oldest"}, tmp_path / PLAIN)
    credentials.renewed["toy_token"] = TOKEN
    assert credentials.read(["toy_token"]) == {"toy_token": TOKEN}
    credentials.renewed["toy_token"] = ""
    with pytest.raises(AuthError, match="toy_token is missing"):
        credentials.read(["toy_token"])
