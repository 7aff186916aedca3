"""The demo: it shows what it says, and it can fail."""

import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.house import SILENT_AFTER
from voicebox.assets import speech
from voicebox.audio.pcm import Resampler, resample
from voicebox.demo import command
from voicebox.demo.figures import (
    PIECE,
    altered,
    altered_beyond_compression,
    compare_uplink,
    expected_spans,
    first_sound,
    stale,
)
from voicebox.demo.report import Report
from voicebox.services.base import discover
from voicebox.simulator.recording import Memory
from voicebox.virtualtime import run_virtual

Samples = NDArray[np.int16]
SERVICES = sorted(discover())


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("VOICEBOX_")}
    command_line = [sys.executable, "-m", "voicebox", "demo", *arguments]
    return subprocess.run(command_line, capture_output=True, text=True, env=environ, timeout=300, check=False)


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """``demo --all`` as its owner runs it, and where it saved."""
    output = tmp_path_factory.mktemp("tour")
    return run_demo("--all", "--fast", "--json", "--output", str(output)), output


def test_a_tour_of_all_services_is_one_json_line_for_each(
    tour: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    run, _ = tour
    assert run.returncode == 0, run.stderr
    shown = [json.loads(line) for line in run.stdout.splitlines()]  # nothing else is on standard output
    assert {one["service"] for one in shown} == set(SERVICES)
    assert len(shown) == len(SERVICES)
    assert run.stderr.count("\nall of it happened") == len(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_demo_shows_of_each_service(tour: tuple[subprocess.CompletedProcess[str], Path], service: str) -> None:
    run, output = tour
    shown = next(one for one in map(json.loads, run.stdout.splitlines()) if one["service"] == service)
    capabilities = discover()[service].Service.capabilities
    by_voice = "server" if capabilities.server_interrupts else "wake_word"
    assert shown["ok"] is True
    assert shown["problems"] == []
    assert len(shown["wake"]) == (1 if capabilities.server_interrupts else 2)
    assert all(wake["model"] == "hey_jarvis" and wake["score"] > 0.5 for wake in shown["wake"])
    (session,) = shown["sessions"]
    assert session["service"] == service
    assert session["connect_ms"] >= 0
    up = shown["uplink"]
    assert up["samples"] > 16_000
    assert up["lost"] == up["duplicated"] == up["unasked"] == up["foreign"] == 0
    assert 800 < up["preroll_ms"] <= 1500  # all of it where the service wants it all, else from where speech begins
    assert len(shown["replies"]) == 2
    assert all(reply["first_audio_ms"] > 0 and reply["played_ms"] > 1000 for reply in shown["replies"])
    assert [cut["source"] for cut in shown["interruptions"]] == [by_voice, "button"]
    assert all(cut["heard_after_ms"] <= 20 and cut["stale_samples"] == 0 for cut in shown["interruptions"])
    assert all((output / service / f"{name}.wav").stat().st_size > 100_000 for name in ("microphone", "speaker"))


def test_zbe_an_answer_in_pieces_sounds_before_its_last_piece_is_there(
    tour: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    run, _ = tour
    found = {one["service"]: one.get("early_start") for one in map(json.loads, run.stdout.splitlines())}
    early = found.pop("zeebee")
    assert 0 < early["first_sound_ms"] < early["last_chunk_ms"] / 4
    assert set(found.values()) == {None}  # the others send sound that needs no decoding
    assert "waiting for the last piece" in run.stderr


def test_one_service_is_shown_by_its_name(tmp_path: Path) -> None:
    run = run_demo("--service", "nextevi", "--fast", "--json", "--output", str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["service"] == "nextevi"
    assert (tmp_path / "speaker.wav").exists()


def test_a_service_that_there_is_not_is_named_with_those_there_are(tmp_path: Path) -> None:
    run = run_demo("--service", "siri", "--output", str(tmp_path))
    assert run.returncode == 78
    assert "'siri'" in run.stderr
    assert all(service in run.stderr for service in SERVICES)


@pytest.mark.parametrize(
    ("fault", "failure"),
    [("no_reply", "the phase speaking did not happen"), ("unauthorized", "no session was opened")],
)
def test_a_demo_of_a_broken_service_fails(
    fault: str, failure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = command.Options(("lira",), tmp_path, as_json=True, fast=True, faults=["late_audio", fault])
    code = command.main(wanted)
    said = capsys.readouterr()
    assert code == 1
    assert f"FAILED: {failure}" in said.err
    assert "all of it happened" not in said.err
    assert json.loads(said.out)["ok"] is False


def test_a_tour_fails_if_one_service_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = command.Options(("zeebee", "lira"), tmp_path, as_json=True, fast=True, faults=["tts_fails"])
    assert command.main(wanted) == 1
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["ok"] for one in shown] == [False, True]


# --- what would be wrong is found ----------------------------------------------------------------------------------


def perform(output: Path, service: str = "lira") -> Report:
    return run_virtual(command.play(output, lambda _: None, service=service, fast=True))


@pytest.fixture(scope="module")
def performance(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """One demo that went well."""
    return perform(tmp_path_factory.mktemp("demo"))


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


def make_up(memory: Memory) -> None:
    memory.received_pcm[32_000:32_000] = NOISE[:PIECE].tobytes()


def end_early(memory: Memory) -> None:
    del memory.received_pcm[len(memory.received_pcm) // 2 :]


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lose, f"{PIECE} samples were lost"),
        (double, f"{PIECE} samples were sent twice"),
        (begin_late, f"{PIECE} samples were lost"),
        (make_up, f"{PIECE} samples reached the service that nobody had said"),
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


def test_sound_that_leaves_while_the_core_lets_nothing_out_is_found(played: Report) -> None:
    after = played.backend.mic[-4_000:].tobytes()  # after the conversation
    played.connections[0].received_pcm += after
    assert "4000 samples reached the service that it was not to hear" in again(played).problems()


# --- the figures by themselves -------------------------------------------------------------------------------------

NOISE = np.random.default_rng(2).integers(-300, 300, 4_800).astype(np.int16)
MIC = np.random.default_rng(1).integers(-300, 300, 40_000).astype(np.int16)
START, END = 3_200, 32_000
WHOLE = [(START, END)]


def received(*pieces: Samples) -> tuple[int, int, int, int]:
    """(lost, duplicated, foreign, start) of what was received, of which all from START to END was expected."""
    found = compare_uplink(MIC, np.concatenate(pieces), WHOLE, WHOLE)
    assert found.unasked == 0
    return found.lost, found.duplicated, found.foreign, found.start


def test_compare_uplink_counts_exactly() -> None:
    cut = START + 50 * PIECE
    foreign = NOISE[:PIECE]
    assert received(MIC[START:END]) == (0, 0, 0, START)
    assert received(MIC[START:cut], MIC[cut + 800 : END]) == (800, 0, 0, START)
    assert received(MIC[START : cut + 7], MIC[cut + 77 : END]) == (70, 0, 0, START)  # wherever it is
    assert received(MIC[START:cut], MIC[cut - 1600 : END]) == (0, 1600, 0, START)
    assert received(MIC[START:END], MIC[cut : cut + 400]) == (0, 400, 0, START)
    assert received(MIC[START + 480 : END]) == (480, 0, 0, START + 480)
    assert received(MIC[START:cut], foreign, MIC[cut + PIECE : END]) == (PIECE, 0, PIECE, START)
    assert received(MIC[START:cut], foreign, MIC[cut:END]) == (0, 0, PIECE, START)
    assert received(MIC[START:cut], MIC[cut + 800 : END - 800]) == (1600, 0, 0, START)
    assert received(MIC[START:END], np.zeros(800, np.int16)) == (0, 0, 0, START)  # given at the end of a turn


def test_compare_uplink_knows_what_was_not_to_leave() -> None:
    stretches = [(START, 10_000), (20_000, END)]
    both = np.concatenate([MIC[START:10_000], MIC[20_000:END]])
    found = compare_uplink(MIC, both, stretches, stretches)
    assert (found.lost, found.duplicated, found.unasked, found.end) == (0, 0, 0, END)  # the jump is no loss
    found = compare_uplink(MIC, MIC[START:END], stretches, stretches)
    assert (found.lost, found.duplicated, found.unasked) == (0, 0, 10_000)
    found = compare_uplink(MIC, MIC[START - 320 : END], WHOLE, WHOLE)
    assert (found.unasked, found.start) == (320, START - 320)
    assert compare_uplink(MIC, MIC[:0], WHOLE, WHOLE).lost == END - START


def test_all_up_to_the_last_word_of_a_stretch_is_expected() -> None:
    said = [(1_000, 2_000), (3_000, 4_000), (9_000, 9_500)]
    assert expected_spans([(500, 5_000)], said) == [(500, 4_000)]
    assert expected_spans([(500, 3_500)], said) == [(500, 3_500)]  # cut in mid-word: no more was to be received
    assert expected_spans([(500, 2_500), (2_900, 8_000)], said) == [(500, 2_000), (2_900, 4_000)]
    assert expected_spans([(5_000, 8_000)], said) == []


QUIET = np.random.default_rng(3).normal(0.0, 6.0, 90_000)
"""A microphone's own noise at -75 dBFS; somebody speaks into it."""
SPOKEN = (
    QUIET + np.pad(np.concatenate([speech("ask_time"), speech("cut_in")]).astype(np.float64), (8_000, 30_000))[:90_000]
)
ROOM = np.rint(SPOKEN).astype(np.int16)


def resampled(*pieces: Samples) -> tuple[int, int, int]:
    """(lost, duplicated, foreign) of what went to a service at 24 kHz and is compared at 16 kHz."""
    up, back = Resampler(16_000, 24_000), Resampler(24_000, 16_000)
    there = np.concatenate([up.process(np.concatenate(pieces)), up.flush()])
    arrived = np.concatenate([back.process(there), back.flush()])
    found = compare_uplink(ROOM, arrived, [(1_600, len(ROOM))], [(1_600, 70_000)], 24_000)
    return found.lost, found.duplicated, found.foreign


@pytest.mark.parametrize("cut", [5_000, 20_001, 33_333, 60_000])  # in noise and in words
def test_compare_uplink_finds_losses_and_duplicates_through_resampling(cut: int) -> None:
    assert resampled(ROOM[1_600:80_000]) == (0, 0, 0)
    for missing in (320, 1_600, 8_000):
        lost, duplicated, foreign = resampled(ROOM[1_600:cut], ROOM[cut + missing : 80_000])
        assert abs(lost - missing) <= 2
        assert duplicated == foreign == 0
        lost, duplicated, foreign = resampled(ROOM[1_600:cut], ROOM[max(1_600, cut - missing) : 80_000])
        assert abs(duplicated - min(missing, cut - 1_600)) <= 2
        assert lost == foreign == 0
    lost, duplicated, foreign = resampled(ROOM[1_600:cut], NOISE, ROOM[cut + len(NOISE) : 80_000])
    assert abs(lost - len(NOISE)) <= 2 * PIECE
    assert abs(foreign - len(NOISE)) <= 2 * PIECE
    assert resampled(ROOM[3_200:80_000])[0] == pytest.approx(1_600, abs=2)


def test_compressed_sound_is_compared_by_what_can_be_heard() -> None:
    sent = resample(speech("ask_time"), 16_000, 24_000)
    file = io.BytesIO()
    soundfile.write(file, sent, 24_000, format="MP3")
    heard = soundfile.read(io.BytesIO(file.getvalue()), dtype="int16")[0]
    count = len(sent) - 4_800
    for delay in (0, 1_105):  # decoders may leave the encoder's own delay in
        speaker = np.concatenate([np.zeros(delay, np.int16), heard])
        assert altered_beyond_compression(speaker, 0, sent, count) == 0
        silenced = speaker.copy()
        silenced[14_400:14_880] = 0
        assert 480 <= altered_beyond_compression(silenced, 0, sent, count) <= 960
        skipped = np.delete(speaker, np.s_[14_400:14_880])
        assert altered_beyond_compression(skipped, 0, sent, count) > 4_800
    assert altered_beyond_compression(heard, 0, sent[:9_600], 14_400) == 4_800  # heard more than was sent
    assert altered_beyond_compression(heard[::-1].copy(), 0, sent, count) > count // 2


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
