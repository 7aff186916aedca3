"""The box's own microphone and speaker at work: the quiet room, a rising tone and what comes back of it, a voice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from voicebox import parts
from voicebox.assets import speech
from voicebox.audio.base import BLOCK, CAPTURE_RATE, Backend, Block, Handlers
from voicebox.audio.pcm import level, to_bytes
from voicebox.doctor import acoustics
from voicebox.doctor.acoustics import Returned, Samples
from voicebox.doctor.base import Case, Finding, left_out, note, well, wrong
from voicebox.settings import Settings
from voicebox.wake.base import HOP, Detector

OPENING = 10.0
"""Seconds a card may take to open."""
QUIET, TAIL, SPEECH, MEETING = 2.0, 1.5, 4.0, 15.0
"""Seconds: of the quiet room; for the echo to come back; for somebody to speak; for the wake word to be said."""
WARMING = 2.5
"""Seconds an engine must have heard before it scores."""
LOUD_ROOM, SOFT_VOICE, LOUD_ECHO = -45.0, -45.0, -9.0  # dBFS
LATE = 0.25
"""Seconds of delay from which interrupting feels slow; a Bluetooth speaker is later."""


@dataclass
class _Ear:
    """All that the microphone heard, and who waits for more."""

    pcm: bytearray = field(default_factory=bytearray)
    gaps: int = 0
    _end: int | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def block(self, block: Block) -> None:
        self.gaps += self._end is not None and block.position != self._end
        self._end = block.position + BLOCK
        self.pcm += block.pcm
        self._news.set()

    @property
    def samples(self) -> int:
        return len(self.pcm) // 2

    def since(self, first: int) -> Samples:
        return np.frombuffer(bytes(self.pcm[2 * first :]), np.int16)

    async def until(self, samples: int) -> None:
        while self.samples < samples:
            self._news.clear()
            await self._news.wait()


async def check(case: Case) -> AsyncIterator[Finding]:
    if case.settings is None:
        yield left_out("the settings are wrong")
        return
    if case.status is not None:
        yield left_out(
            "the running box holds the cards", "sudo systemctl stop voicebox; sudo voicebox doctor offers that"
        )
        return
    yield await asyncio.to_thread(own_recording, case.settings)
    backend, ear, lost = parts.backend(case.settings), _Ear(), list[str]()
    opened = {name: asyncio.Event() for name in ("microphone", "speaker")}
    handlers = Handlers(
        ear.block, lambda _: None, lambda *what: lost.append(": ".join(what)), lambda what: opened[what].set()
    )
    await backend.start(handlers)
    try:
        try:
            async with asyncio.timeout(OPENING):
                for event in opened.values():
                    await event.wait()
        except TimeoutError:
            missing = " and ".join(name for name, event in opened.items() if not event.is_set())
            why = "; ".join(reason for reason in lost if "waiting for it" not in reason)  # that has been said above
            yield wrong(f"the {missing} did not open{why and ': '}{why}", "see the sound cards above")
            return
        async for finding in _listen(case, backend, ear):
            yield finding
    finally:
        await backend.stop()


def own_recording(settings: Settings) -> Finding:
    """Whether the engine works at all: it is given our own recording of "hey jarvis"."""
    engine = parts.detector(settings)
    if engine is None:
        return left_out("the wake word is off")
    phrase = settings.wake.phrases[0].model
    if phrase != "hey_jarvis":
        return well(f"the wake word engine is loaded ({phrase})")
    said = speech("wake")
    score = engine.hears(np.pad(said, (2 * CAPTURE_RATE, HOP - said.size % HOP + HOP)))[phrase]
    if score < settings.wake.phrases[0].threshold:
        fix = "lower the threshold again: [wake] phrases"
        return wrong(f'its own recording of "hey jarvis" scores {score:.2f}: the wake word cannot work', fix)
    return well(f'the wake word engine works: its own recording of "hey jarvis" scores {score:.2f}')


async def _listen(case: Case, backend: Backend, ear: _Ear) -> AsyncIterator[Finding]:
    case.owner.told("Please be quiet for two seconds; then you will hear a rising tone.")
    await ear.until(round(QUIET * CAPTURE_RATE))
    quiet = ear.since(0)[CAPTURE_RATE // 2 :]  # without the card's own awakening
    begin, underruns, gaps = ear.samples, backend.speaker.underruns, ear.gaps
    backend.speaker.play(1, to_bytes(acoustics.sweep()))
    backend.speaker.finish(1)
    await ear.until(begin + round((acoustics.SECONDS + TAIL) * CAPTURE_RATE))
    heard = await case.owner.asked("Did you hear the rising tone?")
    came = await asyncio.to_thread(acoustics.returned, quiet, ear.since(begin))
    yield judge_quiet(quiet, works=came.delay is not None)
    for finding in judge_echo(came, heard=heard, cancels=bool(case.settings and case.settings.audio.echo_cancellation)):
        yield finding
    yield judge_flow(backend.speaker.underruns - underruns, ear.gaps - gaps)
    if not case.owner.present:
        yield left_out("your voice and the wake word need somebody who speaks: run it without --yes")
        return
    yield await _voice(case, ear)
    async for finding in _wake_word(case, ear):
        yield finding


def judge_quiet(quiet: Samples, *, works: bool) -> Finding:
    """``works``: the tone came back, so the microphone hears."""
    if acoustics.is_constant(quiet):
        if works:
            return well("the quiet room is digital silence: something removes its noise, or it is no real microphone")
        return wrong(
            "the microphone delivers only one value: it is muted in the mixer, or its cable is broken",
            "alsamixer (F4: capture, space switches it on), then: sudo alsactl store",
        )
    floor = level(quiet)
    if abs(acoustics.offset(quiet)) > 0.05:
        return note("the microphone's zero is off by more than 5 %: a broken or unsuitable microphone?")
    if floor > LOUD_ROOM:
        return note(
            f"the room is loud, or the microphone noisy: {floor:.0f} dBFS",
            "less capture gain (alsamixer, F4), or another place",
        )
    return well(f"the quiet room is at {floor:.0f} dBFS")


def judge_echo(came: Returned, *, heard: bool | None, cancels: bool) -> Iterator[Finding]:
    """``heard``: what the owner says of the tone, None: nobody was asked."""
    if came.delay is None:
        yield _nothing_back(came, heard=heard)
        return
    yield well(f"the tone came back after {came.delay * 1000:.0f} ms at {came.echo:.0f} dBFS")
    if heard is False:
        yield note(
            "the microphone heard a tone that you did not: another loudspeaker?", "voicebox devices; audio.output"
        )
    if came.clipped or came.echo > LOUD_ECHO:
        yield wrong(
            "the speaker drives the microphone to its limit: its echo cannot be taken out",
            "voicebox volume -15, or less capture gain (alsamixer, F4)",
        )
    if came.delay > LATE:
        yield note(
            f"the sound takes {came.delay * 1000:.0f} ms: a Bluetooth speaker, or a sound server between?",
            "audio.output can name the card itself",
        )
    if not cancels and came.echo - came.quiet > 20:
        yield note(
            "its own voice comes back loud, and echo cancellation is off",
            "switch it on",
            settings={"audio.echo_cancellation": True},
        )


def _nothing_back(came: Returned, *, heard: bool | None) -> Finding:
    if heard:
        return well("the microphone hears nothing of the speaker (headphones?): there is no echo to take out")
    if heard is None:
        return note(
            f"nothing of the tone came back to the microphone (it heard {came.echo:.0f} dBFS)",
            "is the speaker on? voicebox volume; aplay /usr/share/sounds/alsa/Front_Center.wav",
        )
    return wrong(
        "the speaker was not heard",
        "is it on and plugged in? voicebox volume 60; alsamixer; voicebox devices names others for audio.output",
    )


def judge_flow(underruns: int, gaps: int) -> Finding:
    if underruns or gaps:
        return wrong(
            f"sound was interrupted: {underruns} times while playing, {gaps} times while listening",
            "what else uses the processor (top)? is the power sufficient (above)?",
        )
    return well("no sample was lost while playing and listening")


async def _voice(case: Case, ear: _Ear) -> Finding:
    case.owner.told(f"Please speak to the box for {SPEECH:.0f} seconds, from where you usually will.")
    begin = ear.samples
    await _metered(
        case, ear, begin + round(SPEECH * CAPTURE_RATE), lambda said: f"{bar(level(said))} {level(said):4.0f} dBFS"
    )
    return judge_voice(ear.since(begin))


def judge_voice(said: Samples) -> Finding:
    blocks = said[: said.size // HOP * HOP].reshape(-1, HOP)
    loudest = max((level(block) for block in blocks), default=-120.0)
    if acoustics.is_clipped(said):
        return wrong(
            "your voice is cut off: the microphone is too sensitive",
            "less capture gain (alsamixer, F4), then: sudo alsactl store",
        )
    if loudest < SOFT_VOICE:
        return wrong(
            f"your voice reaches only {loudest:.0f} dBFS",
            "more capture gain (alsamixer, F4), or another microphone: voicebox devices",
        )
    return well(f"your voice reaches {loudest:.0f} dBFS")


async def _wake_word(case: Case, ear: _Ear) -> AsyncIterator[Finding]:
    assert case.settings is not None  # noqa: S101  # checked by who calls
    engine = await asyncio.to_thread(parts.detector, case.settings)
    if engine is None:
        return
    phrase = case.settings.wake.phrases[0]
    case.owner.told(f'Please say "{phrase.model.replace("_", " ")}" a few times, within {MEETING:.0f} seconds.')
    best = await _meet(case, ear, engine)
    if best >= phrase.threshold:
        yield well(f"the wake word was heard, best score {best:.2f} (threshold {phrase.threshold:g})")
    else:
        yield wrong(
            f"the wake word was not heard, best score {best:.2f} (threshold {phrase.threshold:g})",
            "nearer, or more capture gain; voicebox wake report knows how your room scores",
        )


async def _meet(case: Case, ear: _Ear, engine: Detector) -> float:
    """The best score within the time; a live meter meanwhile."""
    end, best = ear.samples + round(MEETING * CAPTURE_RATE), 0.0
    at = max(0, ear.samples - round(WARMING * CAPTURE_RATE))  # what it hears first it cannot score yet
    while at + HOP <= end:
        await ear.until(at + HOP)
        await asyncio.to_thread(engine.process, ear.since(at)[:HOP])
        at += HOP
        score = max(engine.scores.values())
        best = max(best, score)
        case.owner.meter(f"{'#' * round(30 * score):30} {score:.2f}  best {best:.2f}")
    case.owner.meter("")
    return best


async def _metered(case: Case, ear: _Ear, until: int, show: Callable[[Samples], str]) -> None:
    while ear.samples < until:
        await ear.until(ear.samples + HOP)
        case.owner.meter(show(ear.since(ear.samples - HOP)))
    case.owner.meter("")


def bar(decibels: float) -> str:
    """-60 dBFS to 0 in 30 characters."""
    filled = round(max(0.0, min(1.0, (decibels + 60) / 60)) * 30)
    return "#" * filled + " " * (30 - filled)
