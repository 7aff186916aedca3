"""``voicebox monitor``: what the running box hears and does, live in a terminal. The only client of urwid."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any

import urwid
from urwid.display.raw import Screen

from voicebox import control
from voicebox.commands.dashboard import Dashboard, Line
from voicebox.commands.plot import fancy
from voicebox.errors import VoiceboxError

METERS = 10
"""Readings a second."""
ASK_EVERY = 1.0
"""Seconds between two looks at the status, and between two tries to reach a box that is away."""

PALETTE = [
    ("title", "black", "light gray"),
    ("dim", "dark gray", "default"),
    ("text", "default", "default"),
    ("strong", "default,bold", "default"),
    ("good", "dark green", "default"),
    ("warn", "brown", "default"),
    ("bad", "light red", "default"),
]


def main(_options: argparse.Namespace) -> int:
    """Until q, Ctrl-C or SIGTERM; the terminal is left as it was."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise VoiceboxError(
            "monitor needs a terminal (over SSH: ssh -t HOST voicebox monitor); for programs there is voicebox watch"
        )
    return asyncio.run(_monitor(control.find_socket(os.environ)))


async def _monitor(path: Path) -> int:
    await control.ask(path, {"do": "status"})  # where no box runs, that is said as ever
    board = Dashboard(plain=not fancy())
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(code: int) -> None:
        if not over.done():
            over.set_result(code)

    def pressed(key: object) -> None:
        if key in ("q", "Q", "esc"):
            end(0)
        elif key in ("t", "T"):
            board.speech = not board.speech

    _at_signals(end)
    text, screen = urwid.Text("", wrap="clip"), Screen(bracketed_paste_mode=False, focus_reporting=False)
    view = urwid.MainLoop(
        urwid.Filler(text, valign="top"),
        PALETTE,
        screen=screen,
        handle_mouse=False,
        unhandled_input=pressed,
        event_loop=urwid.AsyncioEventLoop(loop=asyncio.get_running_loop()),
    )

    def draw() -> None:
        text.set_text(_markup(board.lines(*screen.get_cols_rows())))
        view.draw_screen()

    with view.start():
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(task(path, board, draw)) for task in (_news, _state)]
            code = await over
            for task in work:
                task.cancel()
    return code


def _at_signals(end: Callable[[int], None]) -> None:
    """With the exit codes that a shell gives a program ended by them."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end, 128 + number)


async def _news(path: Path, board: Dashboard, draw: Callable[[], None]) -> None:
    """For ever; a box that has gone is waited for."""
    while True:
        try:
            async with aclosing(control.follow(path, meters=METERS)) as news:
                async for line in news:
                    board.away = ""
                    board.event(json.loads(line), f"{datetime.now().astimezone():%H:%M:%S}")
                    draw()
            board.away = "The box has stopped, or cut us off."
        except VoiceboxError as error:
            board.away = str(error)
        draw()
        await asyncio.sleep(ASK_EVERY)


async def _state(path: Path, board: Dashboard, draw: Callable[[], None]) -> None:
    phrases: list[dict[str, Any]] = []
    while True:
        try:
            board.status(await control.ask(path, {"do": "status"}), phrases)
            phrases = phrases or (await control.ask(path, {"do": "wake"}))["phrases"]
        except VoiceboxError:
            phrases = []  # it may come back with others
        draw()
        await asyncio.sleep(ASK_EVERY)


def _markup(lines: list[Line]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in lines:
        found += [*line, ("text", "\n")]
    return found[:-1]
