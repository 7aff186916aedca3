"""Changes to conversations that mostly stay conversations: what is no JSON gets no further than the reader of JSON."""

import json
import random
from collections.abc import Callable
from contextlib import suppress

from tests.support.fuzz import CUT

_NUMBERS: tuple[object, ...] = (0, -1, 1 << 63, 10**400, 1e308, float("nan"), "1e400")
_TEXTS: tuple[object, ...] = ("", "\0", "\ud800", "AAAA", "A" * 3000)
NASTY: tuple[object, ...] = (None, True, *_NUMBERS, *_TEXTS, [], {}, [[[]]], {"": {}})

Messages = list[bytes]


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """What atheris wants of a mutator: other data, of at most ``longest`` bytes."""
    dice = random.Random(seed)  # noqa: S311  # not for secrets
    messages = data.split(CUT)
    dice.choice((_value, _value, _value, _key, _order, _again, _bytes))(dice, messages, dice.randrange(len(messages)))
    return CUT.join(messages)[:longest]


def _value(dice: random.Random, messages: Messages, at: int) -> None:
    """Another value somewhere, or one that stands beside it."""

    def change(members: dict[str, object], name: str) -> None:
        members[name] = dice.choice((*NASTY, *members.values()))

    _change(dice, messages, at, change)


def _key(dice: random.Random, messages: Messages, at: int) -> None:
    _change(dice, messages, at, lambda members, name: members.pop(name))


def _order(dice: random.Random, messages: Messages, _at: int) -> None:
    dice.shuffle(messages)


def _again(dice: random.Random, messages: Messages, at: int) -> None:
    messages.insert(dice.randrange(len(messages) + 1), messages[at])


def _bytes(dice: random.Random, messages: Messages, at: int) -> None:
    """Some of them others, more or fewer."""
    whole = messages[at]
    begin = dice.randrange(len(whole) + 1)
    end = min(len(whole), begin + dice.randrange(8))
    messages[at] = whole[:begin] + dice.randbytes(dice.randrange(8)) + whole[end:]


def _change(
    dice: random.Random, messages: Messages, at: int, change: Callable[[dict[str, object], str], object]
) -> None:
    with suppress(ValueError, RecursionError):
        members = message = json.loads(messages[at])
        while isinstance(members, dict) and members:
            name = dice.choice(list(members))
            inner = members[name]
            if isinstance(inner, dict) and inner and dice.random() < 0.7:
                members = inner
                continue
            change(members, name)
            messages[at] = json.dumps(message).encode("utf-8", "replace")
            return
