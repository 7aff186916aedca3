"""``voicebox wake``: how the wake word does, and what it makes of a sound or of the room."""

import argparse
import asyncio
import json
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from voicebox import control, parts, settings
from voicebox.audio.base import CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.decode import whole_file
from voicebox.audio.pcm import Samples, from_bytes, resample, to_bytes
from voicebox.commands.advise import advise, now, spoken
from voicebox.commands.microphone import readings
from voicebox.commands.plot import bar, curve, fancy
from voicebox.errors import ConfigError, VoiceboxError
from voicebox.wake.base import HOP, Detector

LONGEST = 600.0
"""Seconds of a file that is scored."""
LEAD = 3 * CAPTURE_RATE // HOP * HOP
"""Silence before the file: the networks want to have heard something before they score anything."""
READINGS = 5
"""Of the meters, ten a second, for one line."""
QUIET = 20
"""Readings for what the box hears now."""
BAR = 32
NO_PHRASE = "the box listens for no wake word: wake.enabled = true and [[wake.phrases]] switch it on"


def report(options: argparse.Namespace) -> None:
    """What another threshold would have meant, and what the box hears now."""
    found = asyncio.run(control.ask(control.find_socket(os.environ), {"do": "wake"}))
    if not found["phrases"]:
        raise VoiceboxError(NO_PHRASE)
    heard = asyncio.run(_for_a_while())
    if options.json:
        del found["ok"]
        print(json.dumps({**found, "now": heard}, ensure_ascii=False))
        return
    for line in (*advise(found), *now(heard, found["phrases"])):
        print(line)


async def _for_a_while() -> list[dict[str, Any]]:
    async with aclosing(_told()) as told:
        return [await anext(told) for _ in range(QUIET)]


def test(options: argparse.Namespace) -> None:
    """Score a file, or the room: what the running box hears, or else the microphone itself."""
    if options.file is not None:
        _score_file(options.file, settings.load(options.config))
    elif _is_running():
        asyncio.run(_live_of_the_box(options.seconds))
    else:
        asyncio.run(_live_of_ours(options.seconds, settings.load(options.config)))


def _is_running() -> bool:
    try:
        return control.find_socket(os.environ).exists()
    except PermissionError:  # it may be: whoever asks it is told that they may not
        return True


# --- a file --------------------------------------------------------------------------------------------------------


def _score_file(path: Path, chosen: settings.Settings) -> None:
    samples = _sound(path)
    engine = _engine(chosen)
    thresholds = {phrase.model: phrase.threshold for phrase in chosen.wake.phrases}
    scores, heard = _scored(engine, samples)
    seconds = samples.size / CAPTURE_RATE
    width, plain = min(100, shutil.get_terminal_size().columns - 2), not fancy()
    for phrase, values in scores.items():
        threshold = thresholds.get(phrase, 0.5)
        print(f'{path.name}, {seconds:.1f} s: "{spoken(phrase)}", threshold {threshold:.2f}\n')
        for line in curve(values, len(values) * HOP / CAPTURE_RATE, threshold, width, ascii_only=plain):
            print(line)
        print("\n" + _verdict(phrase, values, [at for at, found in heard if found == phrase]) + "\n")


def _engine(chosen: settings.Settings) -> Detector:
    engine = parts.detector(chosen)
    if engine is None:
        raise ConfigError(NO_PHRASE)
    return engine


def _verdict(phrase: str, values: Sequence[float], heard: Sequence[float]) -> str:
    highest = f"highest score {max(values, default=0.0):.3f}"
    if not heard:
        return f'"{spoken(phrase)}" would not wake the box: {highest}.'
    times = " and ".join(f"{at:.1f} s" for at in heard[:10]) + (" …" if len(heard) > 10 else "")
    return f"It would wake the box at {times}: {highest}."


def _sound(path: Path) -> Samples:
    """Any WAV, Ogg, FLAC or MP3 as 16 kHz mono. Raises ConfigError."""
    try:
        pcm = whole_file(path.read_bytes(), LONGEST)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} {error}") from None
    return resample(from_bytes(pcm), PLAYBACK_RATE, CAPTURE_RATE)


def _scored(engine: Detector, samples: Samples) -> tuple[dict[str, list[float]], list[tuple[float, str]]]:
    """The scores of each phrase, hop by hop; and what was detected, when (seconds)."""
    scores: dict[str, list[float]] = {phrase: [] for phrase in engine.scores}
    heard = []
    for index, hop in enumerate(_hops(samples)):
        detections = engine.process(hop)
        at = ((index + 1) * HOP - LEAD) / CAPTURE_RATE
        if at > 0:
            heard += [(at, detection.model) for detection in detections]
            for phrase, score in engine.scores.items():
                scores[phrase].append(score)
    return scores, heard


def _hops(samples: Samples) -> Iterator[Samples]:
    after = CAPTURE_RATE // 2
    padded = from_bytes(bytes(2 * LEAD) + to_bytes(samples) + bytes(2 * (after + HOP)))
    for start in range(0, LEAD + samples.size + after, HOP):
        yield padded[start : start + HOP]


# --- the room ------------------------------------------------------------------------------------------------------


async def _live_of_the_box(seconds: float) -> None:
    found = await control.ask(control.find_socket(os.environ), {"do": "wake"})
    thresholds = {phrase["model"]: phrase["threshold"] for phrase in found["phrases"]}
    if not thresholds:
        raise VoiceboxError(NO_PHRASE)
    async with aclosing(_told()) as told:
        await _live(told, seconds, thresholds)


async def _live_of_ours(seconds: float, chosen: settings.Settings) -> None:
    engine = _engine(chosen)
    thresholds = {phrase.model: phrase.threshold for phrase in chosen.wake.phrases}
    print("No box is running: this is the microphone itself, with echo and noise as they are.")
    async with aclosing(readings(chosen, engine)) as heard:
        await _live(heard, seconds, thresholds)


async def _told() -> AsyncGenerator[dict[str, Any], None]:
    """The readings of the running box."""
    async with aclosing(control.follow(control.find_socket(os.environ), meters=10)) as news:
        async for line in news:
            event = json.loads(line)
            if event["event"] == "Meters":
                yield event
    raise VoiceboxError("the box has stopped answering: is it still running? (systemctl status voicebox)")


async def _live(source: AsyncIterator[Mapping[str, Any]], seconds: float, thresholds: Mapping[str, float]) -> None:
    """A line for every so many readings."""
    names = " or ".join(f'"{spoken(phrase)}"' for phrase in thresholds)
    print(f"Say {names} from where you usually are. {seconds:.0f} s; Ctrl-C ends it.\n", flush=True)
    highest = 0.0
    for at in range(1, max(1, round(seconds * 10 / READINGS)) + 1):
        gathered = [await anext(source) for _ in range(READINGS)]
        highest = max(highest, _best(gathered)[1])
        print(f"{at * READINGS / 10:5.1f} s {_line(gathered, thresholds)}".rstrip(), flush=True)
    print(f"\nhighest score {highest:.2f}; it wakes the box from {min(thresholds.values()):.2f} on")


def _line(gathered: Sequence[Mapping[str, Any]], thresholds: Mapping[str, float]) -> str:
    phrase, score = _best(gathered)
    levels = [reading["before"]["level"] for reading in gathered if reading["before"]]
    level = f"{max(levels):5.0f} dBFS" if levels else "  no sound"
    threshold = thresholds.get(phrase, 0.5)
    shown = bar(score, BAR, threshold, ascii_only=not fancy())
    return f"{level}  {score:4.2f} {shown}" + (f'  "{spoken(phrase)}"' if score >= threshold else "")


def _best(readings: Sequence[Mapping[str, Any]]) -> tuple[str, float]:
    """The highest score, and whose it is."""
    found = [(score, phrase) for reading in readings for phrase, score in reading["scores"].items()]
    score, phrase = max(found, default=(0.0, ""))
    return phrase, score
