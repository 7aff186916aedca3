"""The demo: it shows what it says, and it can fail."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.house import SILENT_AFTER
from voicebox.demo import command
from voicebox.demo.figures import PIECE, altered, compare_uplink, first_sound, stale
from voicebox.demo.report import Report
from voicebox.simulator.recording import Memory
from voicebox.virtualtime import run_virtual

Samples = NDArray[np.int16]


def test_the_demo_as_its_owner_runs_it(tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("VOICEBOX_")}
    run = subprocess.run(
        [sys.executable, "-m", "voicebox", "demo", "--fast", "--json", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environ,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    shown = json.loads(run.stdout)  # nothing else is on standard output
    assert shown["ok"] is True
    (wake,) = shown["wake"]
    assert wake["model"] == "hey_jarvis"
    assert wake["score"] > 0.5
    (session,) = shown["sessions"]
    assert session["service"] == "lira"
    assert session["connect_ms"] >= 0
    assert shown["uplink"]["samples"] > 16_000
    assert shown["uplink"]["lost"] == shown["uplink"]["duplicated"] == 0
    assert shown["uplink"]["preroll_ms"] == 1500
    assert len(shown["replies"]) == 2
    assert all(reply["first_audio_ms"] > 0 and reply["played_ms"] > 1000 for reply in shown["replies"])
    assert [cut["source"] for cut in shown["interruptions"]] == ["server", "button"]
    assert all(cut["heard_after_ms"] <= 20 and cut["stale_samples"] == 0 for cut in shown["interruptions"])
    assert (tmp_path / "microphone.wav").stat().st_size > 100_000
    assert (tmp_path / "speaker.wav").stat().st_size > 100_000
    assert "all of it happened" in run.stderr


@pytest.mark.parametrize(
    ("fault", "failure"),
    [("no_reply", "the phase speaking did not happen"), ("unauthorized", "no session was opened")],
)
def test_a_demo_of_a_broken_service_fails(
    fault: str, failure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = command.main(
        output=tmp_path, as_json=True, is_live=False, fast=True, config=None, faults=["late_audio", fault]
    )
    said = capsys.readouterr()
    assert code == 1
    assert f"FAILED: {failure}" in said.err
    assert "all of it happened" not in said.err
    assert json.loads(said.out)["ok"] is False


# --- what would be wrong is found ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def performance(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One demo that went well."""
    return run_virtual(command.play(tmp_path_factory.mktemp("demo"), lambda _: None, fast=True))


@pytest.fixture
def played(performance: Report) -> Iterator[Report]:
    """The same, to be tampered with."""
    speaker = performance.backend.speaker
    recorded, spoken = bytes(speaker.recorded), list(speaker.spoken)
    memories = [dataclasses.replace(memory, received_pcm=memory.received_pcm[:]) for memory in performance.connections]
    copy = Report(performance.stage, performance.backend, memories, performance.said)
    assert copy.ok
    yield copy
    speaker.recorded[:] = recorded
    speaker.spoken[:] = spoken


def again(report: Report) -> Report:
    return Report(report.stage, report.backend, report.connections, report.said)


def lose(memory: Memory) -> None:
    del memory.received_pcm[32_000 : 32_000 + 2 * PIECE]


def double(memory: Memory) -> None:
    memory.received_pcm[32_000:32_000] = memory.received_pcm[32_000 - 2 * PIECE : 32_000]


def begin_late(memory: Memory) -> None:
    del memory.received_pcm[: 2 * PIECE]


def end_early(memory: Memory) -> None:
    del memory.received_pcm[len(memory.received_pcm) // 2 :]


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lose, f"{PIECE} samples were lost"),
        (double, f"{PIECE} samples were sent twice"),
        (begin_late, f"{PIECE} samples were lost"),
        (end_early, "the end of what was said"),
    ],
)
def test_speech_that_went_wrong_on_its_way_is_found(
    played: Report, tamper: Callable[[Memory], None], words: str
) -> None:
    tamper(played.connections[0])
    report = again(played)
    assert not report.ok
    assert any(words in problem for problem in report.problems())
    assert any(line.startswith("FAILED") and words in line for line in report.lines())


def test_one_stale_sample_after_an_interruption_is_found(played: Report) -> None:
    cut = next(mark for mark in played.backend.flushes if mark.reply_id)
    at = 2 * (cut.index + SILENT_AFTER + 100)
    played.backend.speaker.recorded[at : at + 2] = b"\x07\x00"
    report = again(played)
    assert [found.stale_samples for found in report.interruptions] == [1, 0]
    assert "a dead reply was heard after its interruption" in report.problems()


def test_one_altered_sample_of_a_reply_is_found(played: Report) -> None:
    first = 2 * (played.backend.speaker.spoken[0][1] + 24_000)
    before = played.backend.speaker.recorded[first]
    played.backend.speaker.recorded[first] = before ^ 1
    report = again(played)
    assert [reply.altered for reply in report.replies] == [1, 0]
    assert "a reply was not heard as it was sent" in report.problems()


def test_a_slow_silence_is_found(played: Report) -> None:
    cut = next(mark for mark in played.backend.flushes if mark.reply_id)
    played.backend.speaker.spoken.append((cut.reply_id, cut.index, cut.index + 1_000))
    played.backend.speaker.recorded[2 * cut.index : 2 * cut.index + 2_000] = b"\x07\x00" * 1_000
    report = again(played)
    assert report.interruptions[0].heard_after_ms > 20
    assert "an interruption took longer than 20 ms" in report.problems()


# --- the figures by themselves -------------------------------------------------------------------------------------

MIC = np.random.default_rng(1).integers(-300, 300, 40_000).astype(np.int16)
START, END = 3_200, 32_000


def received(*pieces: Samples) -> tuple[int, int, int]:
    """(lost, duplicated, start) of what was received, of which everything from START on was expected."""
    found = compare_uplink(MIC, np.concatenate(pieces), START)
    return found.lost, found.duplicated, found.start


def test_compare_uplink_counts_exactly() -> None:
    cut = START + 50 * PIECE
    assert received(MIC[START:END]) == (0, 0, START)
    assert received(MIC[START:cut], MIC[cut + 800 : END]) == (800, 0, START)
    assert received(MIC[START:cut], MIC[cut - 1600 : END]) == (0, 1600, START)
    assert received(MIC[START + 480 : END]) == (480, 0, START + 480)
    assert received(MIC[START - 320 : END]) == (0, 320, START - 320)
    foreign = np.zeros(PIECE, np.int16)
    assert received(MIC[START:cut], foreign, MIC[cut + PIECE : END]) == (PIECE, 0, START)
    assert received(MIC[START:cut], foreign, MIC[cut:END]) == (PIECE, 0, START)
    assert received(MIC[START:cut], foreign) == (PIECE, 0, START)


def test_the_speaker_figures_count_exactly() -> None:
    speaker = np.zeros(1_000, np.int16)
    assert stale(speaker, 0, 1_000) == 0
    assert first_sound(speaker, 0, 1_000) is None
    speaker[500:503] = 1
    assert stale(speaker, 0, 1_000) == 3
    assert stale(speaker, 501, 502) == 1
    assert first_sound(speaker, 100, 1_000) == 500
    sent = np.arange(1, 101, dtype=np.int16)
    heard = np.concatenate([np.zeros(10, np.int16), sent])
    assert altered(heard, 10, sent, 100) == 0
    assert altered(heard, 11, sent, 99) == 99
    assert altered(heard, 10, sent[:60], 100) == 40  # heard more than was sent
    heard[50] = 0
    assert altered(heard, 10, sent, 100) == 1
