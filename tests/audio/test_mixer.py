"""The card's own volume: which control it is, and what amixer is asked; by what real cards print."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pulse import PulseServer, serving
from voicebox.audio import devices, mixer
from voicebox.audio.devices import Card, Port
from voicebox.audio.mixer import AUTO, Control, Mixer, choose, controls
from voicebox.errors import DeviceError

HEADPHONES = """Simple mixer control 'PCM',0
  Capabilities: pvolume pvolume-joined pswitch pswitch-joined
  Playback channels: Mono
  Limits: Playback -10239 - 400
  Mono: Playback -2000 [60%] [-20.00dB] [on]
"""
USB = """Simple mixer control 'Speaker',0
  Capabilities: pvolume pswitch pswitch-joined
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 37
  Mono:
  Front Left: Playback 37 [100%] [0.00dB] [on]
  Front Right: Playback 37 [100%] [0.00dB] [on]
Simple mixer control 'Mic',0
  Capabilities: pvolume pvolume-joined cvolume cvolume-joined pswitch pswitch-joined cswitch cswitch-joined
  Playback channels: Mono
  Capture channels: Mono
  Limits: Playback 0 - 31 Capture 0 - 35
  Mono: Playback 23 [74%] [8.00dB] [off] Capture 0 [0%] [0.00dB] [on]
Simple mixer control 'Auto Gain Control',0
  Capabilities: pswitch pswitch-joined
  Playback channels: Mono
  Mono: Playback [on]
"""
HAT = """Simple mixer control 'Headphone',0
  Capabilities: pvolume
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 127
  Mono:
  Front Left: Playback 109 [86%] [-12.00dB]
  Front Right: Playback 109 [86%] [-12.00dB]
Simple mixer control 'Speaker',0
  Capabilities: pvolume
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 127
  Mono:
  Front Left: Playback 111 [87%] [-10.00dB]
  Front Right: Playback 111 [87%] [-10.00dB]
Simple mixer control 'Playback',0
  Capabilities: pvolume
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 255
  Mono:
  Front Left: Playback 255 [100%] [0.00dB]
  Front Right: Playback 255 [100%] [0.00dB]
Simple mixer control 'Capture',0
  Capabilities: cvolume cswitch
  Capture channels: Front Left - Front Right
  Limits: Capture 0 - 63
  Front Left: Capture 39 [62%] [12.00dB] [on]
"""
DAC = """Simple mixer control 'DSP Program',0
  Capabilities: enum
  Items: 'FIR interpolation with de-emphasis' 'Low latency IIR with de-emphasis'
  Item0: 'FIR interpolation with de-emphasis'
Simple mixer control 'Analogue',0
  Capabilities: pvolume
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 1
  Front Left: Playback 1 [100%] [0.00dB]
Simple mixer control 'Digital',0
  Capabilities: pvolume pswitch
  Playback channels: Front Left - Front Right
  Limits: Playback 0 - 207
  Front Left: Playback 207 [100%] [0.00dB] [on]
"""
HDMI = """Simple mixer control 'IEC958',0
  Capabilities: pswitch pswitch-joined
  Playback channels: Mono
  Mono: Playback [on]
"""
SHARED = """Simple mixer control 'PCM',1
  Capabilities: volume volume-joined switch
  Playback channels: Mono
  Capture channels: Mono
  Limits: 0 - 31
  Mono: Playback 12 [39%] [on]
"""


@pytest.mark.parametrize(
    ("listing", "wanted", "chosen"),
    [
        (HEADPHONES, AUTO, Control("PCM", 0, 60, switch=True)),
        (USB, AUTO, Control("Speaker", 0, 100, switch=True)),
        (USB, "mic", Control("Mic", 0, 74, switch=True)),
        (HAT, AUTO, Control("Playback", 0, 100, switch=False)),
        (HAT, "speaker", Control("Speaker", 0, 87, switch=False)),
        (HAT, "Capture", None),
        (DAC, AUTO, Control("Digital", 0, 100, switch=True)),
        (HDMI, AUTO, None),
        (SHARED, AUTO, Control("PCM", 1, 39, switch=True)),
        ("", AUTO, None),
    ],
)
def test_the_right_control_is_found(listing: str, wanted: str, chosen: Control | None) -> None:
    assert choose(wanted, controls(listing)) == chosen


def test_it_is_turned_and_its_switch_is_opened_if_it_has_one() -> None:
    asked: list[tuple[str, ...]] = []

    async def amixer(*arguments: str) -> str:
        asked.append(arguments)
        return USB

    async def main() -> None:
        card = Mixer(run=amixer)
        await card.set("hw:USB", await card.find("hw:USB"), 40)
        await card.set("hw:USB", Control("Line Out", 1, 0, switch=False), 0)

    asyncio.run(main())
    assert asked == [
        ("-D", "hw:USB", "scontents"),
        ("-q", "-D", "hw:USB", "sset", "'Speaker',0", "40%", "unmute"),
        ("-q", "-D", "hw:USB", "sset", "'Line Out',1", "0%"),
    ]


def test_a_control_that_is_not_there_is_said_with_those_that_are() -> None:
    async def amixer(*_: str) -> str:
        return HAT

    with pytest.raises(DeviceError, match=r'"Lautsprecher": hw:HAT .* "Headphone", "Speaker", "Playback"'):
        asyncio.run(Mixer("Lautsprecher", amixer).find("hw:HAT"))


CARDS = {"1": Card("Headphones"), "3": Card("Device")}


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("bcm2835 Headphones: - (hw:1,0)", "hw:Headphones"),
        ("USB Audio Device: - (hw:3,0)", "hw:Device"),
        ("USB Audio Device: - (hw:4,0)", "default"),
        ("default", "default"),
        ("pulse", "default"),
    ],
)
def test_a_devices_mixer_is_its_cards(name: str, device: str) -> None:
    assert devices.mixer(Port(0, name, 0, 2, 48_000), CARDS) == device


# --- amixer itself --------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an amixer of ours is to be put; no other is found."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "amixer"


def put(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_it_speaks_english_by_mapped_volume_and_knows_no_secret(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEBOX_LIRA_TOKEN", "some-token")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    put(program, 'echo "$@" "$LC_ALL" "[$VOICEBOX_LIRA_TOKEN]"')
    assert asyncio.run(mixer.amixer("-D", "hw:X", "scontents")) == "-M -D hw:X scontents C []\n"


def test_what_it_complains_of_is_told(program: Path) -> None:
    put(program, "echo noise >&2; echo 'Invalid card number' >&2; exit 1")
    with pytest.raises(DeviceError, match="amixer failed: Invalid card number"):
        asyncio.run(mixer.amixer("scontents"))


def test_a_box_without_it_says_what_to_install(program: Path) -> None:
    assert not program.exists()
    with pytest.raises(DeviceError, match="sudo apt install alsa-utils"):
        asyncio.run(mixer.amixer("scontents"))


def test_one_that_hangs_is_ended(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixer, "PATIENCE", 0.2)
    put(program, f"echo $$ > {program}.pid; read forever < {program}.pipe")
    os.mkfifo(f"{program}.pipe")
    with pytest.raises(DeviceError, match="no answer"):
        asyncio.run(mixer.amixer("scontents"))
    pid = Path(f"{program}.pid")
    if pid.exists():  # a busy machine may not even have begun it
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


@pytest.fixture(scope="module")
def pulse() -> Iterator[PulseServer]:
    with serving(here=True) as server:
        yield server


def test_the_real_one_turns_a_real_mixer(pulse: PulseServer) -> None:
    async def main() -> list[tuple[str, int]]:
        card = Mixer()
        found = []
        for percent in (30, 80, 100):
            await card.set("default", await card.find("default"), percent)
            control = await card.find("default")
            found.append((control.name, control.percent))
        return found

    assert asyncio.run(main()) == [("Master", 30), ("Master", 80), ("Master", 100)]
    assert b"100%" in pulse.control("get-sink-volume", "speaker").stdout
