"""``voicebox simulate``: one service, or all of them side by side."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from voicebox.errors import ConfigError
from voicebox.simulator.base import discover
from voicebox.simulator.command import ALL, Options, serve
from voicebox.virtualtime import run_virtual


def said(options: Options) -> Sequence[str]:
    """What it says until it would only wait."""

    async def main() -> list[str]:
        lines: list[str] = []
        running = asyncio.ensure_future(serve(options, lines.append))
        await asyncio.wait({running}, timeout=5)
        if running.done():
            running.result()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return lines

    return run_virtual(main())


def test_one_service_says_where_it_is_and_what_the_owner_does() -> None:
    (line,) = said(Options(service="lira"))
    assert line.startswith("lira (parrot) listens at ws://127.0.0.1:")
    assert "[lira]" in line


def test_all_services_listen_side_by_side() -> None:
    lines = said(Options(service=ALL, faults=("late_audio",)))
    assert [line.split()[0] for line in lines] == sorted(discover())


def test_a_fault_of_one_service_does_not_disturb_the_others_and_an_unknown_one_is_refused() -> None:
    assert len(said(Options(service=ALL, faults=("close_4000",)))) == len(discover())
    with pytest.raises(ConfigError, match="nonsense"):
        said(Options(service=ALL, faults=("nonsense",)))
