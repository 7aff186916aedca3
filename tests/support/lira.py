"""A simulated Lira."""

from collections.abc import Sequence
from itertools import pairwise

from tests.support.vendor import Samples, Vendor, heard_by
from voicebox.simulator.recording import Memory


class Lira(Vendor):
    """See Vendor."""

    def __init__(self, *answers: str, faults: Sequence[str] = ()) -> None:
        super().__init__("lira", *answers, faults=faults)


def stretches(connection: Memory) -> list[Samples]:
    """What the service heard, one array for each audio_start."""
    everything, at, ends = heard_by(connection), 0, [0]
    for noted in connection.messages:
        if noted.direction != "received":
            continue
        if noted.text is None:
            at += noted.size // 2
            ends[-1] = at
        elif "audio_start" in noted.text:
            ends.append(at)
    return [everything[a:b] for a, b in pairwise(ends)]
