"""PyAudio on PulseAudio: cards that are not there, go and come back; cards that want their own format."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.boxes import PulseBox
from tests.support.long import LONG
from tests.support.pulse import PulseServer, serving
from voicebox.audio import alsa, pcm
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.playback import Playback
from voicebox.audio.portaudio import PortAudioBackend, list_devices
from voicebox.audio.streams import Microphone, Speaker, connect
from voicebox.errors import ConfigError

CALLED_IN = {"current_time": 5.0, "input_buffer_adc_time": 4.98}
"""What PortAudio says with 20 ms of sound."""


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseServer]:
    with serving(here=True) as server:
        yield server


def start_and_stop(box: PulseBox, backend: PortAudioBackend) -> None:
    async def main() -> None:
        await backend.start(box.handlers)
        try:
            await box.until(lambda: bool(box.lost))
        finally:
            await backend.stop()

    asyncio.run(main())


@pytest.mark.usefixtures("pulse")
def test_devices_are_listed_by_name() -> None:
    assert {"box_mic", "box_speaker", "default"} <= {device.name for device in list_devices()}


@pytest.mark.usefixtures("pulse")
def test_listing_prints_nothing_of_alsa_or_jack() -> None:
    program = "from voicebox.audio.portaudio import list_devices; print(len(list_devices()))"
    done = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, check=True, timeout=30)
    assert int(done.stdout) >= 3
    assert done.stderr == b""


def test_missing_device_is_told_with_those_there_are_and_the_rest_works(pulse: PulseServer) -> None:
    box = PulseBox(pulse)
    start_and_stop(box, PortAudioBackend("Jabra", "box_speaker"))
    assert box.lost[0][0] == "microphone"
    assert 'audio.input = "Jabra"' in box.lost[0][1]
    assert '"box_mic"' in box.lost[0][1]
    assert [kind for kind, _ in box.lost] == ["microphone"]


def test_ambiguous_device_is_a_config_error(pulse: PulseServer) -> None:
    async def main() -> None:
        backend = PortAudioBackend("box_mic", "box_")
        with pytest.raises(ConfigError, match=r"audio\.output"):
            await backend.start(PulseBox(pulse).handlers)
        await backend.stop()

    asyncio.run(main())


def test_replies_pass_though_the_speaker_is_missing(pulse: PulseServer) -> None:
    async def main() -> None:
        box = PulseBox(pulse)
        backend = PortAudioBackend("box_mic", "Jabra")
        await backend.start(box.handlers)
        try:
            backend.speaker.play(1, bytes(24_000))
            backend.speaker.finish(1)
            await box.until(lambda: box.drained == [1])
        finally:
            await backend.stop()

    asyncio.run(main())


@pytest.mark.usefixtures("pulse")
def test_new_beginnings_of_portaudio_leak_no_thread_and_no_file() -> None:
    """Each time a card is looked for that is not there all of PortAudio is closed and made anew."""
    alsa.hush()
    microphone = Microphone("box_mic", 0, lambda _: None, lambda _: None)
    speaker = Speaker("box_speaker", Playback(lambda *_: None), lambda _: None)
    seen = []
    for cycle in range(100 if LONG else 25):
        audio = connect()
        for stream in (microphone, speaker) if cycle % 10 == 0 else ():
            stream.open(audio)
            stream.close()
        audio.terminate()
        seen.append(tuple(len([*Path("/proc/self", what).iterdir()]) for what in ("fd", "task")))
    assert set(seen[1:]) == {seen[0]}


def test_cards_that_go_are_noticed_within_two_seconds_and_taken_back(pulse: PulseServer) -> None:
    async def main() -> None:
        box = PulseBox(pulse)
        loop = asyncio.get_running_loop()
        await box.backend.start(box.handlers)
        try:
            await box.until(lambda: len(box.blocks) >= 5)
            position, heard_last = box.blocks[-1].position, loop.time()
            await asyncio.to_thread(pulse.stop)
            await box.until(lambda: any(kind == "microphone" for kind, _ in box.lost), 5)
            assert loop.time() - heard_last < 3
            box.ready.clear()
            pulse.start()  # here and not in a thread, with which it would end
            await box.until(lambda: {"microphone", "speaker"} <= set(box.ready), 20)
            await box.until(lambda: box.blocks[-1].position > position + 10 * BLOCK)
            gone = round((loop.time() - heard_last) * 16_000)
            assert abs(box.blocks[-1].position - position - gone) < 8_000  # the gap is counted, to half a second
            box.backend.speaker.play(1, bytes(9_600))
            box.backend.speaker.finish(1)
            await box.until(lambda: 1 in box.drained)
        finally:
            await box.backend.stop()

    asyncio.run(main())


def test_microphone_takes_a_card_with_another_rate_and_two_channels() -> None:
    """LIRA-18, COM-12: a 48 kHz card is converted."""
    blocks: list[Block] = []
    mic = Microphone("default", 1, blocks.extend, lambda _: None)
    mic.card_rate, mic.channels = 48_000, 2
    mic.prepare()
    assert mic.frames() == 960
    mono = np.rint(8_000 * np.sin(np.arange(48_000) / 48_000 * 2 * np.pi * 440)).astype(np.int16)
    stereo = np.stack([np.zeros_like(mono), mono], axis=1).reshape(-1)
    for start in range(0, stereo.size, 1_920):
        mic.called(stereo[start : start + 1_920].tobytes(), 960, CALLED_IN, 0)
    heard = np.frombuffer(b"".join(block.pcm for block in blocks), np.int16)
    assert [block.position for block in blocks] == list(range(0, heard.size, BLOCK))
    expected = np.rint(8_000 * np.sin(np.arange(heard.size) / 16_000 * 2 * np.pi * 440))
    assert heard.size >= 15_000
    assert np.abs(heard[1_600:] - expected[1_600:]).max() <= 3


def test_speaker_gives_a_card_its_own_rate_on_both_channels() -> None:
    playback = Playback(lambda *_: None)
    speaker = Speaker("default", playback, lambda _: None)
    speaker.card_rate, speaker.channels = 48_000, 2
    speaker.prepare()
    reply = np.rint(8_000 * np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 440)).astype(np.int16)
    playback.play(1, reply[:12_000].tobytes())
    playback.play(1, reply[12_000:].tobytes())
    playback.finish(1)
    info = {"output_buffer_dac_time": 0.01, "current_time": 0.0}
    out = b"".join(speaker.called(None, speaker.frames(), info, 0)[0] or b"" for _ in range(201))
    frames = pcm.from_bytes(out).reshape(-1, 2)
    assert np.array_equal(frames[:, 0], frames[:, 1])
    expected = np.rint(8_000 * np.sin(np.arange(48_000) / 48_000 * 2 * np.pi * 440))
    assert np.abs(frames[4_800:43_200, 0] - expected[4_800:43_200]).max() <= 3
    assert not frames[48_100:].any()
