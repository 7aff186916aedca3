"""``python -m tests.support.storm TARGET MESSAGES``: what chance makes of the corpus. Not guided, hence many times as
fast as fuzzing.py: for when that has found its way everywhere."""

import hashlib
import logging
import random
import sys
from pathlib import Path

from tests.support.fuzz import CORPUS, CUT, MOST, limit, targets
from tests.support.fuzzing import Meter
from tests.support.mutation import mutate

_LONGEST = 4096
_KEPT = 500
"""Inputs that are changed further."""


def storm(meter: Meter, seeds: Path, messages: int, dice: random.Random) -> int:
    """How many messages were taken. An input that fails is put beside the seeds, as atheris does, and raises."""
    begun = [path.read_bytes() for path in sorted(seeds.iterdir())]
    changed, taken = list(begun), 0
    while taken < messages:
        data = mutate(dice.choice(dice.choice((begun, changed))), _LONGEST, dice.getrandbits(32))
        try:
            meter(data)
        except BaseException:
            (seeds / f"crash-{hashlib.sha1(data).hexdigest()}").write_bytes(data)  # noqa: S324  # only a name
            raise
        taken += min(MOST, data.count(CUT) + 1)
        changed.append(data)
        if len(changed) > _KEPT:
            changed[dice.randrange(_KEPT)] = changed.pop()
    return taken


def main(target: str, messages: int) -> None:
    logging.disable()
    meter = Meter(targets()[target], limit(target))
    taken = storm(meter, CORPUS / target, messages, random.Random())  # noqa: S311  # not for secrets
    meter.tell()
    print(f"{taken} messages", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
