"""What ``voicebox wake report`` says: the counted scores of a week in words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

LOUD, FAINT = -40.0, -85.0
"""dBFS of a quiet room's noise beyond which something is worth saying."""
MARGIN = 0.05
"""By which every call must have risen above a higher threshold before that is suggested."""
OFFERED = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

Counts = Mapping[str, Sequence[int]]


class _Meant:
    """What a threshold would have meant."""

    def __init__(self, threshold: float, counts: Counts) -> None:
        def above(kind: str) -> int:
            steps = counts.get(kind, ())
            first = round(threshold * len(steps))
            return sum(steps[first:])

        self.threshold = threshold
        self.answered, self.silent, self.unclear = above("answered"), above("silent"), above("unclear")
        self.again, self.missed = above("again"), above("missed")


def advise(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines about every phrase. ``found``: the answer to the request ``wake``."""
    for phrase in found["phrases"]:
        counts = found["counts"].get(phrase["model"], {})
        yield (
            f'"{spoken(phrase["model"])}", threshold {phrase["threshold"]:.2f}, in the last {found["days"]} days'
            + (f" (patience {phrase['patience']})" if phrase["patience"] > 1 else "")
        )
        yield ""
        if not any(sum(steps) for steps in counts.values()):
            yield "  Nothing was counted yet: nobody called it, and nothing sounded alike."
            yield ""
            continue
        yield from _table(phrase["threshold"], counts)
        yield ""
        yield from _in_words(_Meant(phrase["threshold"], counts), counts)
        yield ""


def _table(threshold: float, counts: Counts) -> Iterator[str]:
    yield "              it woke, and then              it did not wake,"
    yield "  threshold   somebody spoke   nobody did    but would have"
    for offered in sorted({*OFFERED, threshold}):
        meant = _Meant(offered, counts)
        additional = meant.again + meant.missed
        arrow = "->" if offered == threshold else "  "
        more = str(additional) if additional and offered < threshold else "-"
        yield f"  {arrow} {offered:4.2f}     {meant.answered:8}     {meant.silent:9}     {more:>12}"


def _in_words(today: _Meant, counts: Counts) -> Iterator[str]:
    anything = _Meant(0.0, counts)
    if anything.unclear:
        yield f"  {_times(anything.unclear)} more it woke and could not connect, or the service was in trouble."
    if anything.again:
        yield f"  {_times(anything.again)} it had to be called twice: the first call was below the threshold."
    yield from _suggestion(today, counts)


def _suggestion(today: _Meant, counts: Counts) -> Iterator[str]:
    higher = [_Meant(step / 20, counts) for step in range(round(today.threshold * 20) + 1, 20)]
    kept = [_Meant(meant.threshold + MARGIN, counts).answered == today.answered for meant in higher]
    harmless = [meant for meant, all_kept in zip(higher, kept, strict=True) if all_kept and meant.silent < today.silent]
    lower = [_Meant(step / 20, counts) for step in range(5, round(today.threshold * 20))]
    if (again := [meant for meant in lower if meant.again]) and today.silent <= today.answered / 5:
        best = again[-1]
        strangers = f", and {_times(best.missed)} something that may have been no call" if best.missed else ""
        yield (
            f"  Worth trying: threshold = {best.threshold:.2f}. {_times(best.again)} a first call would have been heard"
            f"{strangers}."
        )
    elif harmless:
        best = min(harmless, key=lambda meant: (meant.silent, meant.threshold))
        yield (
            f"  Worth trying: threshold = {best.threshold:.2f}. {_times(today.silent - best.silent)} fewer it would"
            " have woken for nobody, and no call been missed."
        )
    else:
        yield "  Nothing of this speaks for another threshold."


def _times(number: int) -> str:
    return "Once" if number == 1 else f"{number} times"


def now(readings: Sequence[Mapping[str, Any]], phrases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines about what the box hears at this moment."""
    before = [reading["before"]["level"] for reading in readings if reading["before"]]
    after = [reading["after"]["level"] for reading in readings if reading["after"]]
    if not before:
        yield "Now: the microphone delivers nothing" + (" (muted)." if any(r["muted"] for r in readings) else ".")
        return
    noise, loudest = median(before), max(before)
    yield f"Now, over {len(readings) / 10:.0f} s:"
    yield f"  noise at the microphone {noise:6.1f} dBFS, loudest {loudest:.1f}{_remark(noise)}"
    if after and abs(median(after) - noise) >= 1.0:
        yield f"  as the service hears it {median(after):6.1f} dBFS, loudest {max(after):.1f}"
    for phrase in phrases:
        highest = max((reading["scores"].get(phrase["model"], 0.0) for reading in readings), default=0.0)
        yield f'  highest score of "{spoken(phrase["model"])}" {highest:.2f}'


def _remark(noise: float) -> str:
    if noise > LOUD:
        return ": loud; the wake word is hard to hear over this"
    return ": next to nothing; is the microphone's gain turned down?" if noise < FAINT else ""


def spoken(phrase: str) -> str:
    return Path(phrase).stem.replace("_", " ")
