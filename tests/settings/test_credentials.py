"""Secrets come from safe places only, anew every time, and are never shown."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.settings.conftest import TOKEN, Box
from voicebox import settings
from voicebox.errors import AuthError
from voicebox.redact import redact


@pytest.mark.parametrize("line", ['toy_token = "{}"', '[toy]\ntoken = "{}"', '[toy]\ntoy_token = "{}"'])
def test_a_secret_in_a_settings_file_is_refused_and_not_shown(box: Box, line: str) -> None:
    box.write(line.format(TOKEN))
    (problem,) = box.problems()
    assert re.match(r"voicebox\.toml:\d: the secret toy_token does not belong into a settings file", problem)
    assert "credentials/toy_token" in problem
    assert TOKEN not in problem


def test_a_secret_is_read_from_three_places_in_falling_order(box: Box, tmp_path: Path) -> None:
    box.write('service = "toy"')
    places: list[tuple[str, Callable[[], object]]] = [
        ("file", lambda: box.secret("from-file\n")),
        ("environment", lambda: box.environ.update({"VOICEBOX_TOY_TOKEN": "from-environment"})),
        ("credential", lambda: (tmp_path / "toy_token").write_text("from-credential")),
    ]
    box.environ["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    for place, put in places:
        put()
        loaded = box.load()
        assert loaded.credentials.read(loaded.secrets) == {"toy_token": f"from-{place}"}


def test_a_secret_is_read_anew_every_time(box: Box) -> None:
    """S70: LIRA-04: a renewed token is used without a restart."""
    credentials = box.load().credentials
    for value in ("first-value", "second-value"):
        box.secret(value + "\n")
        assert credentials.read(["toy_token"]) == {"toy_token": value}
        assert redact(f"dialling with {value}") == "dialling with ***"


@pytest.mark.parametrize(
    ("content", "value"), [("x y\n", "x y"), ("xy\n\n", "xy\n"), ("xyz\r\n", "xyz"), ("xyz", "xyz")]
)
def test_one_trailing_newline_is_taken_off(box: Box, content: str, value: str) -> None:
    """S70."""
    box.secret("")
    (box.file.parent / "credentials" / "toy_token").write_bytes(content.encode())
    assert box.load().credentials.read(["toy_token"]) == {"toy_token": value}


def test_a_missing_secret_names_the_three_places(box: Box) -> None:
    """S70."""
    box.secret("\n")  # empty is missing
    with pytest.raises(AuthError) as caught:
        box.load().credentials.read(["toy_token", "toy_password"])
    first, second = str(caught.value).splitlines()
    file = box.file.parent / "credentials" / "toy_token"
    assert first == (
        f"toy_token is missing. Type: sudo voicebox secret set toy_token (it is kept as {file}), "
        "or give it as systemd credential toy_token, or in the environment as VOICEBOX_TOY_TOKEN"
    )
    assert second.startswith("toy_password is missing")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_mend(box: Box, mode: int) -> None:
    path = box.secret(TOKEN, mode)
    with pytest.raises(AuthError, match=f"can be read by other users; type: sudo chmod 600 {path}") as caught:
        box.load().credentials.read(["toy_token"])
    assert TOKEN not in str(caught.value)


def test_a_file_of_another_user_is_refused(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    path = box.secret(TOKEN)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    real = os.fstat

    def theirs(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[stat.ST_UID] = 12345
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", theirs)
    with pytest.raises(AuthError, match=f"belongs to another user; type: sudo chown 54321 {path}"):
        box.load().credentials.read(["toy_token"])


def test_roots_file_is_read_through_the_copy_systemd_made(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``LoadCredential=voicebox:/etc/voicebox/credentials`` hands each file over as voicebox_NAME."""
    file = box.secret("newer-value")
    copies = tmp_path / "copies"
    copies.mkdir()
    (copies / "voicebox_toy_token").write_text("copied-value\n")
    (copies / "voicebox").write_text("none")
    box.environ["CREDENTIALS_DIRECTORY"] = str(copies)
    credentials = box.load().credentials
    assert credentials.read(["toy_token"]) == {"toy_token": "newer-value"}
    _forbid(monkeypatch, file)
    assert credentials.read(["toy_token"]) == {"toy_token": "copied-value"}
    (copies / "voicebox_toy_token").unlink()
    with pytest.raises(AuthError, match=f"cannot be read; type: sudo chown \\w+ {file}"):
        credentials.read(["toy_token"])


def _forbid(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """As if root's: the tests may run as root, who can open everything."""
    real = os.open

    def refuse(path: Path, flags: int) -> int:
        if path == file:
            raise PermissionError(13, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(os, "open", refuse)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: os.mkfifo(path, 0o600), "no ordinary file"),
        (lambda path: path.mkdir(mode=0o700), "no ordinary file"),
        (lambda path: path.write_bytes(b"x" * 70_000), "far too long"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "no UTF-8 text"),
    ],
)
def test_what_is_no_secret_is_refused_without_waiting(box: Box, make: Callable[[Path], object], words: str) -> None:
    path = box.secret("")
    path.unlink()
    make(path)
    if path.is_file():
        path.chmod(0o600)
    with pytest.raises(AuthError, match=words):
        box.load().credentials.read(["toy_token"])


@pytest.mark.parametrize("names", [("choosy_key",), ("choosy_jwt",), ("choosy_key", "choosy_jwt")])
def test_of_secrets_that_stand_for_each_other_one_is_enough(box: Box, names: tuple[str, ...]) -> None:
    box.write('service = "choosy"')
    for name in names:
        box.secret(f"value-of-{name}", name=name)
    loaded = box.load()
    assert loaded.credentials.read(loaded.secrets) == {name: f"value-of-{name}" for name in names}


def test_of_secrets_that_stand_for_each_other_none_is_one_problem(box: Box) -> None:
    box.write('service = "choosy"')
    loaded = box.load()
    (problem,) = loaded.credentials.problems(loaded.secrets)
    assert problem.startswith("choosy_key or choosy_jwt is missing. Type: sudo voicebox secret set choosy_key ")
    assert "VOICEBOX_CHOOSY_KEY" in problem


def test_a_secret_that_is_unfit_is_named_even_if_another_stands_for_it(box: Box) -> None:
    box.secret(TOKEN, name="choosy_jwt")
    path = box.secret(TOKEN, 0o644, name="choosy_key")
    (problem,) = box.load().credentials.problems(["choosy_key", "choosy_jwt"])
    assert str(path) in problem
    assert "chmod 600" in problem


def test_secrets_that_stand_for_each_other_are_shown_and_kept_out_of_files(box: Box) -> None:
    box.secret(TOKEN, name="choosy_jwt")
    shown = settings.render(box.load())
    assert "# choosy_key: not set" in shown
    assert "# choosy_jwt: set (from " in shown
    assert TOKEN not in shown
    box.write(f'[choosy]\njwt = "{TOKEN}"')
    (problem,) = box.problems()
    assert "the secret choosy_jwt does not belong into a settings file" in problem
