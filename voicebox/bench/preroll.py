"""Whether a service hears all that was said, from before the wake word or the press on, over a cold connection."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import numpy as np
from numpy.typing import NDArray

from voicebox.assets import speech
from voicebox.audio.base import BLOCK, CAPTURE_RATE
from voicebox.bench._codes import account
from voicebox.bench._cold import ColdBox, cold_box, now
from voicebox.bench._figures import Figure, Options, at_most, stated
from voicebox.core.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    SessionReady,
    StopRequested,
    WakeDetected,
)
from voicebox.services.base import discover
from voicebox.virtualtime import run_virtual

Samples = NDArray[np.int16]

SPOKEN = "ask_time"
PER_BOX = 25  # wakes before a new box takes over: its microphone keeps all it ever heard
APART = 1.6  # seconds between conversations: the pre-roll is not sent again to the next
HOLD = 0.4  # seconds after which a press is a hold
_RINGING = 4  # how far what a resampler makes of silence may be from it
_ALIKE = 0.8  # correlation of 20 ms that went up and down between two rates with what they were


@dataclass(slots=True)
class Tally:
    """What became of the microphone's samples, over many wakes."""

    lost: int = 0
    doubled: int = 0
    wakes: int = 0
    waited: list[float] = field(default_factory=list)  # seconds from wake or press to SessionReady
    behind: list[float] = field(default_factory=list)  # seconds from SessionReady until the service heard live

    def note(self, meant: Samples, received: Samples, *, verbatim: bool) -> None:
        lost, doubled = account(meant, received) if verbatim else likeness(meant, received)
        self.lost, self.doubled, self.wakes = self.lost + lost, self.doubled + doubled, self.wakes + 1


def run(options: Options) -> list[Figure]:
    return [figure for service in discover() for figure in service_figures(service, options)]


def service_figures(service: str, options: Options) -> list[Figure]:
    woken = repeat(service, one_wake, options.times(500), Random(service))  # noqa: S311  # delays, not secrets
    held = repeat(service, one_hold, options.times(100), Random(service))  # noqa: S311
    waited = max(woken.waited + held.waited)
    figures = [
        at_most(f"{service}: samples lost, {woken.wakes} wakes over cold connections", woken.lost, "samples", 0),
        at_most(f"{service}: samples doubled or foreign, in the same", woken.doubled, "samples", 0),
        at_most(f"{service}: samples lost, {held.wakes} holds, 300 ms before to 200 ms after", held.lost, "samples", 0),
        at_most(f"{service}: samples doubled or foreign, in the same", held.doubled, "samples", 0),
        stated(f"{service}: longest wait for the service", waited, "s"),
    ]
    if woken.behind:
        figures.append(stated(f"{service}: live after the service was ready, worst", max(woken.behind), "s"))
    return figures


def repeat(
    service: str, scene: Callable[[ColdBox, Random, Tally], Awaitable[None]], times: int, chance: Random
) -> Tally:
    tally = Tally()

    async def box(scenes: int) -> None:
        async with cold_box(service, chance) as box:
            for _ in range(scenes):
                await asyncio.sleep(chance.uniform(APART, APART + 0.1))  # any phase of blocks and hops
                box.forget()
                await scene(box, chance, tally)
                box.app.box.dispatch(StopRequested())
                await asyncio.wait_for(box.app.session.closed(), 5.0)

    while tally.wakes < times:
        run_virtual(box(min(PER_BOX, times - tally.wakes)))
    return tally


async def one_wake(box: ColdBox, chance: Random, tally: Tally) -> None:
    """Somebody says the wake word and, without a pause, a question."""
    steps = len(box.steps)
    box.wake()
    woken, event = await box.happened(WakeDetected, steps)
    assert isinstance(event, WakeDetected)  # noqa: S101  # for the type checker
    said = box.backend.say(speech(SPOKEN), delay=chance.uniform(0.0, 0.3))
    ready, _ = await box.happened(SessionReady, steps)
    tally.waited.append(ready - woken)
    end = said + speech(SPOKEN).size
    since = event.at - box.app.box.state.policy.preroll
    await _quiet(box, end)
    capabilities = box.app.adapter.capabilities
    if not capabilities.streams:
        tally.note(*_utterance(box, said, end), verbatim=True)
        return
    chunk = capabilities.uplink_chunk * CAPTURE_RATE // capabilities.uplink_rate
    verbatim = capabilities.uplink_rate == CAPTURE_RATE
    due = (box.backend.position - BLOCK - since) // chunk * chunk - (0 if verbatim else chunk + BLOCK)  # resamplers lag
    received = box.received
    tally.note(box.backend.mic[since : since + max(due, received.size)], received, verbatim=verbatim)
    tally.behind.append(_live(box, since, chunk) - ready)


async def _quiet(box: ColdBox, end: int) -> None:
    """Until the service must have heard all up to position ``end``: the question, and the second that ends it."""
    while box.backend.position < end + CAPTURE_RATE:  # noqa: ASYNC110  # the microphone does not tell
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)


def _utterance(box: ColdBox, said: int, end: int) -> tuple[Samples, Samples]:
    """What was said, and what a service that takes whole utterances got of that."""
    received, mic = box.received, box.backend.mic
    at = mic.tobytes().find(received[:64].tobytes()) // 2 if received.size else -1
    if at < 0 or at > said:
        return mic[said:end], received
    return mic[at : max(end, at + received.size)], received


def _live(box: ColdBox, since: int, chunk: int) -> float:
    """When the service had first heard all but the chunk that is being filled (loop time)."""
    heard = 0.0
    for at, size in _arrivals(box):
        heard += size
        if since + heard >= (at - box.backend.started) * CAPTURE_RATE - chunk - 2 * BLOCK:
            return at
    return float("inf")


def _arrivals(box: ColdBox) -> list[tuple[float, float]]:
    """When each message with sound came (loop time), and how many samples at 16 kHz it was worth."""
    worth = CAPTURE_RATE / box.app.adapter.capabilities.uplink_rate / 2
    return [(m.at, m.size * worth) for m in box.wire.messages if m.direction == "received" and m.text is None]


async def one_hold(box: ColdBox, chance: Random, tally: Tally) -> None:
    """Somebody holds the button while speaking."""
    steps, policy = len(box.steps), box.app.box.state.policy
    dispatch, pressed = box.app.box.dispatch, box.backend.position
    began = now()
    dispatch(ButtonPressed(pressed))
    capabilities = box.app.adapter.capabilities
    if not capabilities.streams:
        box.backend.say(speech(SPOKEN))  # the others answer too soon: more would be heard than the hold
    await asyncio.sleep(HOLD)
    dispatch(ButtonHeld(pressed))
    await asyncio.sleep(chance.uniform(0.1, 3.6))
    released = box.backend.position
    dispatch(ButtonReleased(released))
    ready, _ = await box.happened(SessionReady, steps)
    tally.waited.append(ready - began)
    await asyncio.sleep(1.5)
    meant = box.backend.mic[pressed - policy.press_preroll : released + policy.release_tail]
    received = box.received
    if not np.any(received[meant.size :]):
        received = received[: meant.size]  # some services are sent silence, so that they find the end
    tally.note(meant, received, verbatim=capabilities.uplink_rate == CAPTURE_RATE)
    if capabilities.uplink_rate != CAPTURE_RATE:
        tally.lost += max(0, meant.size - round(sum(size for _, size in _arrivals(box))))


# --- what was meant to be heard, and what was ----------------------------------------------------------------------


def likeness(meant: Samples, received: Samples) -> tuple[int, int]:
    """The same where the sound went to another rate and back, in blocks of 20 ms: one that is not like what was meant
    at its place counts as lost; a single sample too few or too many makes all that follow unlike. The resamplers may
    keep back the last of them."""
    lost = 0
    for start in range(0, meant.size - 3 * BLOCK + 1, BLOCK):
        one, other = meant[start : start + BLOCK], received[start : start + BLOCK]
        alike = other.size == BLOCK and np.corrcoef(one, other)[0, 1] > _ALIKE
        lost += 0 if alike else BLOCK
    return lost, int(np.count_nonzero(np.abs(received[meant.size + BLOCK :]) > _RINGING))
