"""``voicebox config``: look at the settings, and change them without fear."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from voicebox import settings
from voicebox.commands import running
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.redact import redact
from voicebox.settings import edit
from voicebox.settings.text import to_toml

EDITORS = ("sensible-editor", "editor", "nano", "vi")
"""What edits where neither $VISUAL nor $EDITOR says."""


def show(options: argparse.Namespace) -> None:
    print(redact(settings.render(settings.load(options.config))))


def set_key(options: argparse.Namespace) -> int:
    """One key, checked before it is written."""
    file = settings.main_file(options.config)
    path, value = settings.to_value(options.key, options.value)
    with edit.alone(file):
        before = _read(file)
        after = edit.set_value(before, path, value)
        problems = _problems(file, after, mentioning=".".join(path))
        if problems:
            raise ConfigError(*problems)
        edit.write(file, after)
        print(f"{file}: {options.key} = {to_toml(value)}")
        _warn_of_overrides(file, path)
        return _apply(file, before)


def edit_file(options: argparse.Namespace) -> int:
    """As visudo does: a copy is edited, checked, and only then put in place."""
    file = settings.main_file(options.config)
    with edit.alone(file):
        before = _read(file)
        after = _drafted(file, before)
        if after is None or after == before:
            print(f"{file} is as it was")
            return 0
        edit.write(file, after)
        return _apply(file, before)


def _drafted(file: Path, before: str) -> str | None:
    """What the owner made of a copy; None if they gave up."""
    draft = file.with_name(f".{file.stem}.draft{file.suffix}")
    edit.write(draft, before, copy_of=file)
    try:
        return _edited(draft, file)
    finally:
        with suppress(OSError):
            draft.unlink()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except PermissionError:
        raise VoiceboxError(f"{file}: you may not read it; use sudo") from None
    except (OSError, UnicodeDecodeError) as error:
        raise VoiceboxError(f"{file} cannot be read: {error}") from None


def _edited(draft: Path, file: Path) -> str | None:
    """What the owner made of it, once it is right; None if they gave up."""
    while True:
        _run_editor(draft)
        after = _read(draft)
        problems = _problems(file, after)
        for problem in problems:
            print(redact(problem))
        if not problems:
            return after
        if _choice("What now? (e)dit again, e(x)it without saving: ", "ex") == "x":
            return None


def _run_editor(draft: Path) -> None:
    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    program = shlex.split(wanted) if wanted else [next(filter(shutil.which, EDITORS), EDITORS[-1])]
    try:
        done = subprocess.run([*program, str(draft)], check=False)  # noqa: S603  # the owner's own editor
    except OSError as error:
        raise VoiceboxError(f"the editor {program[0]} cannot be started: {error.strerror}; set EDITOR") from None
    if done.returncode != 0:
        raise VoiceboxError(f"the editor {program[0]} ended with {done.returncode}; nothing was changed")


def _problems(file: Path, content: str, mentioning: str = "") -> list[str]:
    """What would be wrong with ``content`` in place of the file. ``mentioning``: of this key only, or of all of it."""
    trial = file.with_name(f".{file.stem}.trial{file.suffix}")
    edit.write(trial, content, copy_of=file)
    try:
        settings.load(trial)
    except ConfigError as error:
        found = [problem.replace(str(trial), str(file)) for problem in error.problems]
        return [problem for problem in found if mentioning in problem] or ([] if mentioning else found)
    finally:
        trial.unlink(missing_ok=True)
    return []


def _warn_of_overrides(file: Path, path: tuple[str, ...]) -> None:
    """What conf.d or the environment says goes before the file."""
    with suppress(ConfigError):
        origin = type(settings.load(file)).layers.origin(path)
        if origin and not origin.startswith(f"{file}:"):
            print(f"this changes nothing yet: {origin} sets it too, and goes before {file.name}")


def _apply(file: Path, before: str) -> int:
    """Have the running box take it; where it does not like it, offer to go back."""
    try:
        answer = running.ask({"do": "reload"})
    except VoiceboxError as error:
        print(f"the running box refuses it and works on as before: {redact(str(error))}", file=sys.stderr)
        if _choice("Put the file back as it was? (y)es, (n)o: ", "yn") == "y":
            _go_back(file, before)
        return 78
    if answer is None:
        print("no box is running; it counts from the next start")
        return 0
    print(answer.get("said", ""))
    return 0


def _go_back(file: Path, before: str) -> None:
    edit.write(file, before)
    print(f"{file} is as it was")
    with suppress(VoiceboxError):  # so that the box no longer says that its settings are wrong
        running.ask({"do": "reload"})


def _choice(question: str, letters: str) -> str:
    """One of the letters; the last of them where nobody can be asked."""
    while True:
        try:
            answer = input(question).strip().lower()[:1] if sys.stdin.isatty() else letters[-1]
        except EOFError:
            answer = letters[-1]
        if answer in letters and answer:
            return answer
