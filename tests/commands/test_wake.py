"""``voicebox wake``: files of all kinds, the room, and what is no sound."""

import io
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.house import Ear
from tests.test_cli import Daemon
from voicebox import cli, parts
from voicebox.assets import speech
from voicebox.audio.base import Handlers
from voicebox.audio.pcm import Samples, resample
from voicebox.audio.wavfile import WavBackend
from voicebox.settings import Settings
from voicebox.wake.base import Detection, Detector


@pytest.fixture(scope="module")
def engine() -> Detector:
    made = parts.detector(Settings())
    assert made is not None
    return made


@pytest.fixture(autouse=True)
def quick(engine: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks are loaded once."""

    def load(_settings: Settings) -> Detector:
        engine.reset()
        return engine

    monkeypatch.setattr(parts, "detector", load)
    monkeypatch.setenv("COLUMNS", "80")


def wav(samples: Samples, rate: int, channels: int = 1, width: int = 2) -> bytes:
    sound = np.repeat(samples.astype(np.int32) << 8 * width - 16, channels) if width > 2 else None
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        frames = np.repeat(samples, channels).tobytes() if sound is None else _packed(sound, width)
        file.writeframes(frames)
    return data.getvalue()


def _packed(sound: np.ndarray, width: int) -> bytes:
    return b"".join(value.to_bytes(width, "little", signed=True) for value in sound.tolist())


@pytest.mark.parametrize(("rate", "channels", "width"), [(16_000, 1, 2), (44_100, 2, 2), (8_000, 1, 2), (48_000, 1, 3)])
def test_a_wake_word_is_found_in_any_kind_of_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rate: int, channels: int, width: int
) -> None:
    file = tmp_path / "call.wav"
    file.write_bytes(wav(resample(speech("wake"), 16_000, rate), rate, channels, width))
    assert cli.main(["wake", "test", str(file), "--config", "/dev/null"]) == 0
    said = capsys.readouterr().out
    assert 'call.wav, 0.8 s: "hey jarvis", threshold 0.50' in said
    assert "It would wake the box at 0." in said
    assert "█" in said
    assert max(map(len, said.splitlines())) < 80


def test_what_is_no_wake_word_would_not_wake_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(wav(speech("cut_in"), 16_000))
    assert cli.main(["wake", "test", str(file), "--config", "/dev/null"]) == 0
    assert '"hey jarvis" would not wake the box: highest score 0.0' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"some words", "is no WAV, Ogg, FLAC or MP3 file that can be decoded"),
        (b"", "is no WAV"),
        (wav(np.zeros(0, np.int16), 16_000), "is no WAV"),
        (b"RIFF" + bytes(100), "is no WAV"),
        (b"OggS" + bytes(100), "cannot be decoded"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_sound_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, words: str
) -> None:
    file = tmp_path / "call.wav"
    if content is not None:
        file.write_bytes(content)
    assert cli.main(["wake", "test", str(file), "--config", "/dev/null"]) == 78
    said = capsys.readouterr()
    assert said.out == ""
    assert str(file) in said.err
    assert words in said.err


# --- the running box -----------------------------------------------------------------------------------------------


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("VOICEBOX_CONTROL", str(tmp_path / "socket"))
    with Daemon(tmp_path / "socket") as running:
        yield running


def reading(level: float, score: float) -> dict[str, object]:
    loud = {"level": level, "peak": level}
    return {"event": "Meters", "before": loud, "after": loud, "scores": {"hey_jarvis": score}, "muted": False}


def test_the_room_is_scored_as_the_box_hears_it(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.soon(*[reading(-50.0, 0.01)] * 9, reading(-20.0, 0.93))
    assert cli.main(["wake", "test", "--seconds", "1"]) == 0
    first, _, quiet, loud, _, last = capsys.readouterr().out.splitlines()
    assert first.startswith('Say "hey jarvis" from where you usually are')
    assert quiet.split()[:5] == ["0.5", "s", "-50", "dBFS", "0.01"]
    assert loud.split()[:5] == ["1.0", "s", "-20", "dBFS", "0.93"]
    assert loud.endswith('"hey jarvis"')
    assert last == "highest score 0.93; it wakes the box from 0.50 on"


def test_a_box_that_ends_meanwhile_is_said(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.soon(reading(-50.0, 0.01))
    daemon.ends_soon()
    assert cli.main(["wake", "test"]) != 0
    assert "the box has stopped answering" in capsys.readouterr().err


def test_the_report(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.soon(*[reading(-52.0, 0.04)] * 20)
    assert cli.main(["wake", "report"]) == 0
    said = capsys.readouterr().out
    assert '"hey jarvis", threshold 0.50, in the last 7 days' in said
    assert "noise at the microphone  -52.0 dBFS" in said


def test_without_a_box_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICEBOX_CONTROL", str(tmp_path / "nothing"))
    assert cli.main(["wake", "report"]) == 69
    assert "systemctl status voicebox" in capsys.readouterr().err


def test_without_a_box_the_microphone_itself_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    room = tmp_path / "room.wav"
    room.write_bytes(wav(np.full(16_000, 30_000, np.int16), 16_000))
    monkeypatch.setenv("VOICEBOX_CONTROL", str(tmp_path / "nothing"))
    monkeypatch.setenv("VOICEBOX_AUDIO__BACKEND", "wav")
    monkeypatch.setenv("VOICEBOX_AUDIO__WAV_INPUT", str(room))
    monkeypatch.setattr(parts, "detector", lambda _: Loudness())
    assert cli.main(["wake", "test", "--seconds", "0.5", "--config", "/dev/null"]) == 0
    first, _, _, line, _, last = capsys.readouterr().out.splitlines()
    assert first.startswith("No box is running")
    assert line.split()[4] == "0.92"
    assert line.endswith('"hey jarvis"')
    assert last == "highest score 0.92; it wakes the box from 0.50 on"


class Loudness(Ear):
    """Scores whatever is loud."""

    def process(self, samples: NDArray[np.int16], *, playing: bool = False) -> list[Detection]:
        self.score = float(samples.max()) / 32768
        return super().process(samples, playing=playing)


def test_who_may_not_look_for_the_box_is_not_told_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(_path: Path) -> bool:
        raise PermissionError

    monkeypatch.setenv("VOICEBOX_CONTROL", str(tmp_path / "nothing"))
    monkeypatch.setattr(Path, "exists", forbidden)
    assert cli.main(["wake", "test", "--config", "/dev/null"]) == 69
    said = capsys.readouterr()
    assert said.out == ""
    assert str(tmp_path / "nothing") in said.err


def test_a_microphone_that_cannot_be_had_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Without(WavBackend):
        async def start(self, handlers: Handlers) -> None:
            handlers.lost("microphone", "no such card")

    monkeypatch.setenv("VOICEBOX_CONTROL", str(tmp_path / "nothing"))
    monkeypatch.setattr(parts, "backend", lambda _: Without())
    assert cli.main(["wake", "test", "--config", "/dev/null"]) == 69
    assert capsys.readouterr().err == "voicebox: no microphone: no such card\n"
