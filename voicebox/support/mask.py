"""Small pieces of text, each made so that nothing but what it is for can be in it."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

_ADDRESSES = re.compile(
    r"\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\b"  # a network card's
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b(?!\.?\d)"  # IPv4
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})*|(?<![\w:])(?:[0-9a-f]{1,4}:)+:[0-9a-f:]*"  # IPv6
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"  # an e-mail's
    r"|\b(?:https?|wss?|mqtts?)://\S+",
    re.IGNORECASE,
)
_VERSION = re.compile(r"\d+(?:\.\d+){1,3}")


def addresses(text: str) -> str:
    """``text`` without addresses of machines and people."""
    return _ADDRESSES.sub("***", text)


def word(text: str, known: Collection[str]) -> str:
    """One of the program's words, or a version; of anything else only the length."""
    return text if text in known or _VERSION.fullmatch(text) else f"({len(text)} characters)"


def time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%m-%d %H:%M:%S.%f")[:-3]


def module(entry: Mapping[str, Any]) -> str:
    """Who wrote an entry of the journal: a module of ours, or somebody."""
    name = str(entry.get("LOGGER", ""))
    return name if re.fullmatch(r"voicebox(\.\w+){0,3}", name) else "-"


def place(problem: str) -> str:
    """Of ``/etc/voicebox/conf.d/kitchen.toml:12: …`` the line; the owner's names stay with them."""
    found = re.match(r"(?:.*/)?([^/]+\.toml):(\d+)", problem)
    if not found:
        return "the environment, or a secret"
    return f"{'voicebox.toml' if found[1] == 'voicebox.toml' else 'a file in conf.d'}, line {found[2]}"
