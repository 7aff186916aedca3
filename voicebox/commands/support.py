"""``voicebox support-bundle``: what somebody who helps may see, told to the owner before anything is written."""

import argparse
import io
import os
import sys
import tarfile
import time
from pathlib import Path

from voicebox.errors import VoiceboxError
from voicebox.support import contents


def bundle(options: argparse.Namespace) -> int:
    texts = contents.gather(contents.Box(options.config))
    if options.show:
        for name, text in texts.items():
            print(f"--- {name}\n{text}")
        return 0
    _announce(texts)
    file = options.output or Path(time.strftime("voicebox-support-%Y%m%d-%H%M%S.tar.gz"))
    if not options.yes and not _agreed(file):
        print("nothing was written")
        return 1
    _write(file, texts)
    print(f"{file} is written; open it and look before you send it: tar -xOf {file} | less")
    return 0


def _announce(texts: dict[str, str]) -> None:
    print("The bundle will hold these files, as plain text:\n")
    for item in contents.ITEMS:
        lines = texts[item.name].count("\n")
        print(f"  {item.name:<14} {lines:>5} line{'s' * (lines != 1):<1}  {item.words}")
    print("\nNothing that was said, no secrets, no addresses, no names of networks. To read all of it first:")
    print("voicebox support-bundle --show")


def _agreed(file: Path) -> bool:
    if not sys.stdin.isatty():
        raise VoiceboxError("nobody can be asked here, so nothing was written; --yes writes it, --show prints it")
    try:
        return input(f"\nWrite {file}? (y)es, (n)o: ").strip().lower().startswith("y")
    except EOFError:
        return False


def _write(file: Path, texts: dict[str, str]) -> None:
    """For its owner alone, and never over a file that is there."""
    directory = file.name.split(".")[0]
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise VoiceboxError(f"{file} cannot be written: {error.strerror}; --output FILE names another") from None
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, text in texts.items():
            content = text.encode("utf-8", "backslashreplace")
            entry = tarfile.TarInfo(f"{directory}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o644
            archive.addfile(entry, io.BytesIO(content))
