"""How long sound is under way within the box, counted in samples: nothing on the way keeps it longer than it must."""

import asyncio
import base64
import json

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.house import House, audio_times, living, now
from voicebox.audio.base import BLOCK, CAPTURE_RATE, PLAYBACK_RATE
from voicebox.audio.pcm import Resampler
from voicebox.core.commands import Play
from voicebox.core.events import ButtonPressed
from voicebox.core.state import Phase
from voicebox.virtualtime import run_virtual

CLICK = np.full(160, 20_000, np.int16)
LOUD = 5_000


def lag(rate: int) -> int:
    """Samples that the resampler to this rate holds back, at most; in whole blocks, as they come."""
    resampler, out, most = Resampler(CAPTURE_RATE, rate), 0, 0
    for blocks in range(1, 100):
        out += resampler.process(np.zeros(BLOCK, np.int16)).size
        most = max(most, blocks * BLOCK - out * CAPTURE_RATE // rate)
    return -(-most // BLOCK) * BLOCK


async def under_way(house: House) -> int:
    """Samples from when a click is heard until it was received."""
    before = len(audio_times(house)), len(house.wire.received_pcm)
    heard_at = house.backend.started + house.backend.say(CLICK) / CAPTURE_RATE
    async with asyncio.timeout(2):
        while not np.any(received(house, *before) > LOUD):  # noqa: ASYNC110  # a simulator tells nobody
            await asyncio.sleep(0.001)
    return round((audio_times(house)[-1] - heard_at) * CAPTURE_RATE)


def received(house: House, messages: int, size: int) -> NDArray[np.int16]:
    """What came after so many messages with sound, and bytes of it. NextEVI's as they were sent: its simulator
    resamples them, and lags."""
    texts = [json.loads(m.text) for m in house.received() if m.text]
    sent = [base64.b64decode(text["audio"]) for text in texts if text.get("type") == "audio_input"]
    pcm = b"".join(sent[messages:]) if sent else bytes(house.wire.received_pcm[size:])
    return np.frombuffer(pcm, np.int16)


@pytest.mark.parametrize("service", ["lira", "liku", "nextevi"])  # zeebee takes whole utterances
def test_what_the_microphone_hears_waits_for_no_more_than_a_message_and_a_block(service: str) -> None:
    async def main() -> tuple[list[int], int]:
        async with living(service=service) as house:
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            await asyncio.sleep(1)  # what was said before the service was there has been sent
            waits = []
            began = now()
            for index in range(20):
                waits.append(await under_way(house))
                await asyncio.sleep(began + (index + 1) * 0.38 - now())  # the next one elsewhere in a message
            able = house.app.adapter.capabilities
            message = able.uplink_chunk * CAPTURE_RATE // able.uplink_rate
            return waits, message + BLOCK + lag(able.uplink_rate)

    waits, most = run_virtual(main())
    assert len(set(waits)) > 4
    assert 0 < min(waits) < max(waits) <= most


SHORT = b"\x01\x10" * (PLAYBACK_RATE // 100)
"""10 ms of sound: less than any lead."""


def test_an_answer_waits_for_no_more_than_its_lead_and_a_block() -> None:
    async def main() -> tuple[float, float, float]:
        async with living() as house:
            await house.ask()
            came = next(at for at, step in house.steps if any(isinstance(c, Play) for c in step.commands))
            await asyncio.sleep(1)
            return came, first_heard(house), house.app.playback._lead.seconds

    came, heard, lead = run_virtual(main())
    assert 0 < (heard - came) * PLAYBACK_RATE <= lead * PLAYBACK_RATE + BLOCK * PLAYBACK_RATE // CAPTURE_RATE


def test_nor_does_one_that_comes_to_a_halt_after_its_first_words() -> None:
    async def main() -> tuple[float, float, float]:
        async with living() as house:
            came, lead = now(), house.app.playback._lead.seconds
            house.app.playback.play(1, SHORT)
            await asyncio.sleep(2)
            return came, first_heard(house), lead

    came, heard, lead = run_virtual(main())
    assert 0 < (heard - came) * PLAYBACK_RATE <= lead * PLAYBACK_RATE + BLOCK * PLAYBACK_RATE // CAPTURE_RATE


def first_heard(house: House) -> float:
    """When the first sample of a reply was heard (loop time)."""
    first = next(first for reply, first, _ in house.backend.speaker.spoken if reply)
    return house.backend.started + first / PLAYBACK_RATE


def test_a_press_silences_an_answer_within_a_block() -> None:
    async def main() -> tuple[float, int]:
        async with living() as house:
            await house.ask()
            await asyncio.sleep(0.5)
            pressed = now()
            house.app.box.dispatch(ButtonPressed(house.backend.position))
            await asyncio.sleep(0.5)
            [cut] = house.cuts
            return cut.index - (pressed - house.backend.started) * PLAYBACK_RATE, house.backend.heard_after(cut)

    flushed_after, heard_after = run_virtual(main())
    assert 0 < flushed_after + heard_after <= BLOCK * PLAYBACK_RATE // CAPTURE_RATE
