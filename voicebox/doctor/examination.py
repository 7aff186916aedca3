"""All checks, one after another, none for longer than it may take."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from voicebox.doctor.base import Case, Check, Finding, left_out, wrong
from voicebox.errors import VoiceboxError
from voicebox.redact import redact
from voicebox.settings.text import to_key, to_toml


@dataclass(frozen=True, slots=True)
class Family:
    """``module``: the file of this room that holds ``check``. ``limit``: seconds for all of it, with nobody to wait
    for; with an owner there is ``patience`` more."""

    title: str
    module: str
    limit: float
    patience: float = 0.0


CHECKS = (
    Family("Settings", "configuration", 30.0),
    Family("Service", "service", 15.0),
    Family("Machine", "machine", 20.0),
    Family("Network", "network", 45.0),
    Family("Sound cards", "cards", 30.0),
    Family("Sound", "sound", 45.0, patience=120.0),
    Family("Button and light", "pins", 20.0, patience=90.0),
)


async def examine(case: Case, families: tuple[Family, ...] = CHECKS) -> AsyncIterator[tuple[Family, Finding]]:
    for family in families:
        check: Check = importlib.import_module(f"voicebox.doctor.{family.module}").check
        async with aclosing(_within(family, check, case)) as findings:  # type: ignore[type-var]  # it is a generator
            async for finding in findings:
                yield family, finding


async def _within(family: Family, check: Check, case: Case) -> AsyncIterator[Finding]:
    """What the check finds; if it hangs or cannot go on, that."""
    limit = family.limit + (family.patience if case.owner.present else 0.0)
    findings, over = check(case), asyncio.get_running_loop().time() + limit
    while True:
        try:
            async with asyncio.timeout_at(over):
                finding = await anext(findings)
        except StopAsyncIteration:
            return
        except TimeoutError:
            yield wrong(f"gave no answer within {limit:.0f} s", "run it again; if it stays so: voicebox support-bundle")
            return
        except VoiceboxError as error:
            yield left_out(redact(str(error)))
            return
        yield finding


def fragment(findings: list[Finding]) -> str:
    """The lines for the settings file that the findings propose, by section; the first proposal of a key wins."""
    sections: dict[str, dict[str, object]] = {}
    for finding in findings:
        for path, value in finding.settings.items():
            section, _, key = path.rpartition(".")
            sections.setdefault(section, {}).setdefault(key, value)
    blocks = []
    for section, keys in sorted(sections.items()):
        lines = [f"{to_key(key)} = {to_toml(value)}" for key, value in keys.items()]
        blocks.append("\n".join([f"[{section}]", *lines] if section else lines))
    return "\n\n".join(blocks)
