"""Which cards the box means, what they take, and whether they keep up with short periods."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.probe import Found, Missing, look
from voicebox.doctor.base import Case, Finding, left_out, note, well, wrong

ENOUGH = 0.02
"""Of all callbacks: so many may be late before it is told."""


async def check(case: Case) -> AsyncIterator[Finding]:
    if case.settings is None or case.settings.audio.backend != "alsa":
        yield left_out(
            "the settings are wrong" if case.settings is None else "the box plays into files (audio.backend)"
        )
        return
    audio = case.settings.audio
    wanted = (("microphone", "audio.input", audio.input, True), ("speaker", "audio.output", audio.output, False))
    for what, setting, name, capture in wanted:
        found = await asyncio.to_thread(look, name, capture=capture, setting=setting, try_periods=case.status is None)
        for finding in judge(what, setting, name, found, running=case.status is not None):
            yield finding


def judge(what: str, setting: str, name: str, found: Found | Missing, *, running: bool) -> Iterator[Finding]:
    """``running``: a box holds the cards, so they cannot be tried."""
    if isinstance(found, Missing):
        yield from _missing(what, setting, found)
        return
    exact = {setting: found.name} if name == "default" and found.name != found.title else {}
    where = f"{what}: {found.title}, {found.channels} channel{'s' * (found.channels != 1)}"
    if running and not found.rates:
        yield left_out(f"{where}; the running box holds it, so it was not tried")
        return
    if not found.rates:
        yield wrong(
            f"{where}: it takes none of our rates; does another program hold it?",
            "fuser -v /dev/snd/*; stop that program",
        )
        return
    rates = ", ".join(f"{rate / 1000:g}" for rate in found.rates)
    yield Finding(well("").mark, f"{where}, {rates} kHz", settings=exact)
    own = CAPTURE_RATE if what == "microphone" else PLAYBACK_RATE
    if own not in found.rates:
        yield well(f"{what}: not {own / 1000:g} kHz, so the box converts the rate itself (some 1 % of a Pi's core)")
    yield from _periods(what, found)


def _missing(what: str, setting: str, found: Missing) -> Iterator[Finding]:
    if not found.others:
        yield wrong(
            f"no {what}: {found.why}",
            "is the card plugged in, or its overlay in /boot/firmware/config.txt? (aplay -l, arecord -l)",
        )
        return
    names = ", ".join(f'"{name}"' for name in found.others)
    yield wrong(f"no {what}: {found.why}", f"name one of those there are: {names}", settings={setting: found.others[0]})


def _periods(what: str, found: Found) -> Iterator[Finding]:
    if not found.late:
        return
    good = [period for period, (late, calls) in found.late.items() if calls and late <= calls * ENOUGH]
    told = ", ".join(
        f"{period * 1000:g} ms ({f'{late} of {calls} late' if calls else 'refused'})"
        for period, (late, calls) in found.late.items()
    )
    first = next(iter(found.late))
    if first in good:
        yield well(f"{what}: keeps up with periods of {told}")
    else:
        yield note(
            f"{what}: periods of {told}: sound may stutter",
            "what else uses the processor (top)? is the power sufficient? does the unit have LimitRTPRIO=5?",
        )
