"""What is said of what was measured: each finding names the cure, and what is well is not complained of."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.house import NO_FILE
from voicebox import settings
from voicebox.audio.pcm import resample
from voicebox.audio.probe import Found, Missing
from voicebox.commands.doctor import STOPPED, Terminal, copied
from voicebox.doctor import acoustics, cards, machine, sound
from voicebox.doctor.acoustics import Returned, Samples
from voicebox.doctor.base import Case, Finding, Mark, note, well, wrong
from voicebox.doctor.examination import fragment
from voicebox.doctor.service import judge_status, judge_unit
from voicebox.support.machine import Machine

MARKS = (Mark.WELL, Mark.NOTE, Mark.WRONG, Mark.LEFT_OUT)


def marks(findings: list[Finding]) -> list[str]:
    for finding in findings:
        assert finding.fix or finding.mark is not Mark.WRONG, finding
    return [finding.mark.value for finding in findings]


# --- the machine -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0, ["ok"]),
        (0x50005, ["WRONG", "WRONG"]),  # too little voltage, and throttled, now and before
        (0x50000, ["note", "note"]),
        (0x80008, ["WRONG"]),  # too hot
        (None, ["left out"]),
    ],
)
def test_power_by_the_firmwares_bits(bits: int | None, expected: list[str]) -> None:
    assert marks(list(machine.judge_power(bits))) == expected


@pytest.mark.parametrize(("degrees", "expected"), [(48.312, ["ok"]), (80.0, ["WRONG"]), (None, [])])
def test_heat(degrees: float | None, expected: list[str]) -> None:
    assert marks(list(machine.judge_heat(degrees))) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("NTP=yes\nNTPSynchronized=yes", "ok"),
        ("NTP=yes\nNTPSynchronized=no", "note"),
        ("NTP=no\nNTPSynchronized=no", "WRONG"),
        ("", "left out"),
    ],
)
def test_clock(told: str, expected: str) -> None:
    assert machine.judge_clock(told).mark == expected


@pytest.mark.parametrize(("sleeps", "expected"), [(True, "note"), (False, "ok"), (None, "left out")])
def test_wifi_that_sleeps(sleeps: bool | None, expected: str) -> None:
    finding = machine.judge_wifi("wlan0", sleeps)
    assert finding.mark == expected
    assert ("wlan0" in finding.fix) is (expected == "note")


# --- the service -----------------------------------------------------------------------------------------------------

RUNS = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"}


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (RUNS, []),
        ({}, ["left out"]),
        (RUNS | {"LoadState": "not-found"}, ["left out"]),
        (RUNS | {"ActiveState": "failed", "ExecMainStatus": "77"}, ["WRONG"]),
        (RUNS | {"UnitFileState": "disabled"}, ["note"]),
        (RUNS | {"NRestarts": "9"}, ["note"]),
    ],
)
def test_what_systemd_shows_of_the_unit(unit: dict[str, str], expected: list[str]) -> None:
    assert marks(list(judge_unit(unit))) == expected


# --- the cards -------------------------------------------------------------------------------------------------------

ON_TIME = {0.005: (0, 100), 0.01: (0, 50)}


def judged(found: Found | Missing, *, name: str = "default", running: bool = False) -> list[Finding]:
    return list(cards.judge("microphone", "audio.input", name, found, running=running))


def test_a_card_is_proposed_by_its_stable_name() -> None:
    found = judged(Found("usb:1-1.2", "USB Audio", 1, (16_000, 48_000), ON_TIME))
    assert marks(found) == ["ok", "ok"]
    assert fragment(found) == '[audio]\ninput = "usb:1-1.2"'
    assert fragment(judged(Found("usb:1-1.2", "USB Audio", 1, (16_000,), ON_TIME), name="usb:1-1.2")) == ""


def test_a_card_without_our_rate_is_no_fault() -> None:
    found = judged(Found("Mic", "Mic", 2, (44_100,), {}))
    assert marks(found) == ["ok", "ok"]
    assert "44.1 kHz" in found[0].text


def test_a_card_that_takes_nothing_is_held_by_somebody() -> None:
    assert marks(judged(Found("Mic", "Mic", 1, (), {}))) == ["WRONG"]
    assert marks(judged(Found("Mic", "Mic", 1, (), {}), running=True)) == ["left out"]


@pytest.mark.parametrize("late", [{0.005: (30, 100), 0.01: (0, 50)}, {0.005: (0, 0), 0.01: (0, 50)}])
def test_short_periods_that_fail_are_told(late: dict[float, tuple[int, int]]) -> None:
    found = judged(Found("Mic", "Mic", 1, (16_000,), late))
    assert marks(found) == ["ok", "note"]
    assert "10 ms (0 of 50 late)" in found[1].text


def test_a_missing_card_names_those_there_are() -> None:
    there, none = judged(Missing("no such microphone", ("usb:1-1.2", "Codec"))), judged(Missing("none", ()))
    assert marks(there) == marks(none) == ["WRONG"]
    assert '"usb:1-1.2", "Codec"' in there[0].fix
    assert there[0].settings == {"audio.input": "usb:1-1.2"}


# --- sound -----------------------------------------------------------------------------------------------------------


def noise(seconds: float, amplitude: float) -> Samples:
    drawn = np.random.default_rng(3).normal(0, amplitude, round(seconds * 16_000))
    return np.asarray(np.clip(np.rint(drawn), -32_768, 32_767), np.int16)


def echoed(delay: float, gain: float) -> Samples:
    """What a microphone records of the sweep: so late, so much louder, with a little noise."""
    recorded = noise(3.0, 8).astype(np.float64)
    played = resample(acoustics.sweep(), 24_000, 16_000)
    at = round(delay * 16_000)
    recorded[at : at + played.size] += played * 10 ** (gain / 20)
    return np.asarray(np.clip(np.rint(recorded), -32_768, 32_767), np.int16)


@pytest.mark.parametrize(("delay", "gain"), [(0.0, 0.0), (0.043, -12.0), (0.31, -35.0), (1.4, 6.0)])
def test_a_sweep_that_comes_back_is_found_where_and_as_loud_as_it_is(delay: float, gain: float) -> None:
    came = acoustics.returned(noise(1.0, 8), echoed(delay, gain))
    assert came.delay == pytest.approx(delay, abs=0.0005)
    assert came.echo == pytest.approx(-23.1 + gain, abs=0.5)
    assert not came.clipped


def test_noise_is_no_sweep() -> None:
    assert acoustics.returned(noise(1.0, 300), noise(3.0, 300)).delay is None
    assert acoustics.returned(noise(1.0, 8), np.zeros(48_000, np.int16)).delay is None
    assert acoustics.returned(noise(1.0, 8), noise(0.1, 8)).delay is None


def test_clipping_is_seen() -> None:
    assert acoustics.returned(noise(1.0, 8), echoed(0.05, 26.0)).clipped
    assert not acoustics.is_clipped(np.array([32_767, 0, 32_767, 0], np.int16))
    assert acoustics.is_clipped(np.array([-32_768] * 3, np.int16))


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        (noise(1.5, 20), "ok"),
        (np.zeros(24_000, np.int16), "WRONG"),
        (np.full(24_000, 900, np.int16), "WRONG"),
        (noise(1.5, 600), "note"),
        (np.asarray(noise(1.5, 20) + 2_000, np.int16), "note"),
    ],
)
def test_the_quiet_room(quiet: Samples, expected: str) -> None:
    assert sound.judge_quiet(quiet, works=False).mark == expected


def test_silence_of_a_microphone_that_hears_is_no_fault() -> None:
    assert sound.judge_quiet(np.zeros(24_000, np.int16), works=True).mark == "ok"


LOW = Returned(0.04, -40.0, -70.0, clipped=False)


@pytest.mark.parametrize(
    ("came", "heard", "cancels", "expected"),
    [
        (LOW, True, True, ["ok"]),
        (LOW, None, True, ["ok"]),
        (LOW, False, True, ["ok", "note"]),
        (LOW, True, False, ["ok", "note"]),  # loud, and not cancelled
        (Returned(0.04, -5.0, -70.0, clipped=False), True, True, ["ok", "WRONG"]),
        (Returned(0.04, -20.0, -70.0, clipped=True), True, True, ["ok", "WRONG"]),
        (Returned(0.4, -40.0, -70.0, clipped=False), True, True, ["ok", "note"]),
        (Returned(None, -70.0, -70.0, clipped=False), True, True, ["ok"]),  # headphones
        (Returned(None, -70.0, -70.0, clipped=False), None, True, ["note"]),
        (Returned(None, -70.0, -70.0, clipped=False), False, True, ["WRONG"]),
    ],
)
def test_the_echo(came: Returned, heard: bool | None, cancels: bool, expected: list[str]) -> None:
    assert marks(list(sound.judge_echo(came, heard=heard, cancels=cancels))) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [(noise(2.0, 3_000), "ok"), (noise(2.0, 20), "WRONG"), (np.full(32_000, 32_767, np.int16), "WRONG")],
)
def test_a_voice(said: Samples, expected: str) -> None:
    assert sound.judge_voice(said).mark == expected


def test_a_bar() -> None:
    assert [sound.bar(level).count("#") for level in (-90.0, -60.0, -30.0, 0.0, 6.0)] == [0, 0, 15, 30, 30]


def test_lost_sound() -> None:
    assert [sound.judge_flow(*lost).mark for lost in ((0, 0), (1, 0), (0, 2))] == ["ok", "WRONG", "WRONG"]


# --- what is to be pasted --------------------------------------------------------------------------------------------


def test_the_fragment_groups_by_section_and_keeps_the_first() -> None:
    findings = [
        well("a"),
        wrong("b", "fix", settings={"audio.input": "Mic", "lights.backend": "none"}),
        note("c", settings={"audio.input": "other", "audio.echo_cancellation": True, "button.pin": False}),
    ]
    assert fragment(findings) == (
        '[audio]\ninput = "Mic"\necho_cancellation = true\n\n[button]\npin = false\n\n[lights]\nbackend = "none"'
    )


# --- as the service --------------------------------------------------------------------------------------------------


def test_the_examination_has_the_services_user_secrets_and_devices_but_no_variables() -> None:
    unit = (
        "[Service]\nUser=voicebox\nDeviceAllow=char-alsa rw\nLoadCredential=a:/b\nEnvironment=VOICEBOX_LIRA_TOKEN=x\n"
    )
    unit += "# /etc/systemd/system/voicebox.service.d/more.conf\n[Service]\nLoadCredential=\n"
    assert copied(unit) == ["User=voicebox", "DeviceAllow=char-alsa rw", "LoadCredential=a:/b", "LoadCredential="]


def test_little_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for free, mark in ((10 << 20, Mark.WRONG), (500 << 20, Mark.NOTE), (1 << 30, Mark.WELL)):
        usage = shutil.disk_usage(tmp_path)._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        assert machine.judge_space(Machine(tmp_path)).mark is mark
        monkeypatch.undo()


def test_what_the_examination_is_told_is_no_setting() -> None:
    """Else it would find the settings wrong, and look at nothing more."""
    assert settings.problems(NO_FILE, {STOPPED: "1"}) == []


def test_a_box_that_was_stopped_for_it_is_not_missed() -> None:
    case = Case(None, Terminal(present=False), stopped=True)
    assert marks(list(judge_status(case))) == ["ok"]
