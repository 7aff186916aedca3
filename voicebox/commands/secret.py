"""``voicebox secret``: tokens and passwords, stored so that only the box reads them."""

import argparse
import getpass
import sys

from voicebox import settings
from voicebox.commands import running
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.redact import redact, remember
from voicebox.services.base import discover
from voicebox.settings import explain
from voicebox.settings.sealed import Store

LONGEST = 16_384  # characters


def set_secret(options: argparse.Namespace) -> int:
    name = _known(options.secret)
    store = Store(settings.main_file(options.config))
    secret = _ask(name)
    remember(secret)
    sealed = store.put(name, secret, seal=not options.plain and store.can_seal())
    print(f"{name} is stored, {'sealed to this machine' if sealed else 'readable by root only'}")
    _tell(name, secret)
    return 0


def remove(options: argparse.Namespace) -> int:
    name = _known(options.secret)
    if not Store(settings.main_file(options.config)).remove(name):
        raise VoiceboxError(f"{name} was not stored (voicebox secret list shows what is)")
    print(f"{name} is removed")
    _tell(name, "")
    return 0


def show_all(options: argparse.Namespace) -> int:
    """Names and ages only."""
    stored = list(Store(settings.main_file(options.config)).all())
    known = _names()
    for secret in stored:
        notes = ["sealed"] * secret.sealed + [secret.problem] * bool(secret.problem)
        notes += ["nothing needs it"] * (secret.name not in known)
        print(f"{secret.name:<24} {_age(secret.age):<12} {', '.join(notes)}".rstrip())
    if not stored:
        print("no secrets are stored; store one with: sudo voicebox secret set NAME")
        print(f"names: {', '.join(known)}")
    return 78 if any(secret.problem for secret in stored) else 0


def _names() -> list[str]:
    return settings.secret_names({name: module.Settings for name, module in discover().items()})


def _known(name: str) -> str:
    names = _names()
    if name not in names:
        raise ConfigError(
            f"no service knows a secret {name}{explain.nearest(name, names)} (there are: {', '.join(names)})"
        )
    return name


def _ask(name: str) -> str:
    """From the terminal without echo, or from standard input."""
    try:
        text = getpass.getpass(f"{name} (is not shown): ") if sys.stdin.isatty() else sys.stdin.read(LONGEST + 1)
    except (EOFError, UnicodeDecodeError):
        text = ""
    secret = text.strip("\r\n")
    if not secret.strip():
        raise VoiceboxError(f"nothing was given, so nothing was stored; {name} is as it was")
    if len(secret) > LONGEST or "\n" in secret:
        raise VoiceboxError(
            "this is no token or password: it has several lines, or is far too long; nothing was stored"
        )
    return secret


def _tell(name: str, secret: str) -> None:
    """A running box uses it from its next dial on."""
    try:
        answer = running.ask({"do": "secret.renew", "name": name, "value": secret})
    except VoiceboxError as error:
        print(f"the running box was not told: {redact(str(error))}; restart it", file=sys.stderr)
        return
    if answer is not None:
        print(
            "the running box uses it from its next connection on"
            if answer.get("in_use")
            else "the running box knows it, and has no use for it with its present settings"
        )


def _age(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' * (count > 1)}"
    return "just now"
