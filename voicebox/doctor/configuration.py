"""Whether the settings are fine, and the secrets there."""

import asyncio
from collections.abc import AsyncIterator

from voicebox import parts, settings
from voicebox.doctor.base import Case, Finding, note, well, wrong
from voicebox.redact import redact


async def check(case: Case) -> AsyncIterator[Finding]:
    problems = await asyncio.to_thread(settings.problems, case.config, hooks=parts.CHECKS)
    for problem in problems:
        yield wrong(redact(problem), "sudo voicebox config edit")
    if problems or case.settings is None:
        return
    yield well(f"{settings.main_file(case.config)} is fine; the service is {case.settings.service}")
    for warning in (*parts.warnings(case.settings), *await asyncio.to_thread(parts.unheard, case.settings)):
        yield note(warning)
