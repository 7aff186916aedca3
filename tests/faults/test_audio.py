"""A30 to A43: cards that go, come back, run over and lie. What happens below PyAudio's interface: tests/audio/."""

import asyncio
import random
import time

import numpy as np
import pyaudio
import pytest

from tests.faults.oracle import Oracle, overheard
from tests.faults.town import BRIEF
from tests.support.house import EARCONS, House, living
from tests.support.long import LONG
from voicebox.assets import speech
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.playback import Playback
from voicebox.audio.streams import Microphone, Speaker
from voicebox.core.cues import Cue, cue
from voicebox.core.events import Device
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.virtualtime import run_virtual
from voicebox.wake.base import Phrase
from voicebox.wake.openwakeword import OpenWakeWord

NO_STATUS = {"input_buffer_adc_time": 0.0, "current_time": 0.0, "output_buffer_dac_time": 0.0}
LOUD_MINUTES = 10.0 if LONG else 0.2


def unplug(house: House, device: Device) -> None:
    if device is Device.MICROPHONE:
        house.backend._captures = False
    else:
        house.backend.speaker.close()
    house.app._device_lost(device, "it has been unplugged")


def plug_in(house: House, device: Device) -> None:
    if device is Device.MICROPHONE:
        house.backend._captures = True  # it is ready when its first block comes
        house.backend._announced = False
    else:
        house.backend.speaker._loop = asyncio.get_running_loop()
        house.app._device_ready(device)


@pytest.mark.parametrize("number", ["a30_idle", "a31_in_mid_utterance"])
def test_a30_a31_the_microphone_is_unplugged(number: str) -> None:
    """The light says so, the watchdog is fed, a conversation ends with a sound and a goodbye to the service; and when
    it is plugged in again all is as before."""

    async def main() -> None:
        async with overheard(), living(options=BRIEF | EARCONS, watchdog=1.0) as house:
            oracle = Oracle(house)
            if "utterance" in number:
                await house.wake()
                house.say()
                await asyncio.sleep(1)
            unplug(house, Device.MICROPHONE)
            assert house.app.box.state.fault is Fault.NO_MICROPHONE
            assert house.phase is Phase.IDLE
            assert house.lamp.scenes[-1] is Scene.NO_MICROPHONE
            if "utterance" in number:
                _, last = house.steps[-1]
                assert cue(last.before, last.event, last.after) is Cue.NO_MICROPHONE
                await house.app.session.closed()
                assert '"leave"' in (house.received()[-1].text or "")
            pings = house.systemd.count("WATCHDOG=1")
            await asyncio.sleep(10)
            assert house.systemd.count("WATCHDOG=1") >= pings + 9
            plug_in(house, Device.MICROPHONE)
            await asyncio.sleep(1)  # the engine begins anew
            await oracle.survived()

    run_virtual(main())


def test_a36_the_speaker_is_unplugged_in_mid_reply() -> None:
    """The reply is over, as nobody can hear it, and counted as far as it was heard."""

    async def main() -> None:
        async with overheard(), living(options=BRIEF) as house:
            oracle = Oracle(house)
            await house.ask()
            await asyncio.sleep(2)
            unplug(house, Device.SPEAKER)
            assert house.phase is not Phase.SPEAKING
            assert house.lamp.scenes[-1] is Scene.NO_SPEAKER
            flushed = house.app.box.last_flush
            assert flushed is not None
            assert 1.5 * 24_000 < flushed.played < 2.5 * 24_000
            plug_in(house, Device.SPEAKER)
            await oracle.survived()

    run_virtual(main())


def microphone(blocks: list[Block]) -> Microphone:
    mic = Microphone("default", 0, blocks.extend, lambda _: None)
    mic.prepare()
    return mic


def test_a33_a_capture_overrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gap is known to the sample, as far as the clock tells; what was missed stands between two blocks."""
    blocks: list[Block] = []
    mic, clock = microphone(blocks), 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    for status in (0, 0, 0, pyaudio.paInputOverflow, 0):
        clock += 0.5 if status else 0.02
        mic.called(bytes(2 * BLOCK), BLOCK, NO_STATUS, status)
    steps = np.diff([block.position for block in blocks])
    assert steps.tolist() == [BLOCK, BLOCK, BLOCK + round(0.48 * 16_000), BLOCK]


def test_a35_short_reads() -> None:
    """However many frames come at a time: blocks are whole, and not a sample is lost."""
    dice = random.Random(35)  # noqa: S311  # a card's
    heard = np.arange(16_000, dtype=np.int16)
    blocks: list[Block] = []
    mic, at = microphone(blocks), 0
    while at < heard.size:
        count = min(dice.randint(1, 700), heard.size - at)
        mic.called(heard[at : at + count].tobytes(), count, NO_STATUS, 0)
        at += count
    assert b"".join(block.pcm for block in blocks) == heard[: len(blocks) * BLOCK].tobytes()
    assert len(blocks) == heard.size // BLOCK
    assert [block.position for block in blocks] == list(range(0, len(blocks) * BLOCK, BLOCK))


def test_a37_a_playback_underrun() -> None:
    """It is counted; the reply goes on with exactly the next sample."""
    playback = Playback(lambda *_: None)
    speaker = Speaker("default", playback, lambda _: None)
    speaker.prepare()
    sound = (np.arange(2400, dtype=np.int16) + 1).tobytes()
    playback.play(1, sound)
    heard = b""
    for number in range(20):
        status = pyaudio.paOutputUnderflow if number == 7 else 0
        out, _ = speaker.called(None, 120, NO_STATUS, status)
        heard += out or b""
    assert heard == sound
    assert playback.underruns == 1
    assert playback.floor == 0


@pytest.mark.parametrize("kind", ["full scale", "1 kHz square"])
def test_a42_a_microphone_that_only_screams(kind: str) -> None:
    """Ten minutes of it with LONG_TESTS=1; nobody is woken. What it costs is the same as any other sound."""
    phase = np.arange(1280) * 1000 / 16_000
    square = np.where(phase % 1.0 < 0.5, 32767, -32768).astype(np.int16)
    hop = square if "square" in kind else np.full(1280, 32767, np.int16)
    engine = OpenWakeWord([Phrase("hey_jarvis", 0.5, 1, 0.6, 2)])
    hops = round(LOUD_MINUTES * 60 / 0.08)
    assert not [found for _ in range(hops) for found in engine.process(hop)]
    said = speech("wake").astype(np.int16)
    quiet = np.concatenate([np.zeros(32_000, np.int16), said, np.zeros(16_000, np.int16)])
    assert any(engine.process(quiet[at : at + 1280]) for at in range(0, len(quiet) - 1279, 1280))  # nor is it deaf now
