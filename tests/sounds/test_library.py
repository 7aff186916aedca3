"""Which file is heard: the owner's own, else ours; in their language, else in English. Bad ones are named."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.sounds import TONE, amplitude, encoded, tone
from voicebox import cli
from voicebox.assets import SOUNDS
from voicebox.audio.decode import whole_file
from voicebox.audio.pcm import from_bytes
from voicebox.core.cues import MESSAGES, Cue
from voicebox.sounds import library
from voicebox.sounds.library import LONGEST_EARCON, LONGEST_MESSAGE, Library


def books(own: Path, *, language: str = "en", volume: float = 1.0) -> Library:
    return Library(own, SOUNDS, whole_file, language=language, volume=volume)


def shipped(name: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.asarray(from_bytes(whole_file((SOUNDS / name).read_bytes(), 15.0)))


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def is_own(pcm: bytes) -> bool:
    return amplitude(pcm) == pytest.approx(0.3, rel=0.05)


OWN = encoded(tone(1), form="WAV")
WARNINGS = ("voicebox.sounds.library", logging.WARNING)


@pytest.mark.parametrize("cue", Cue)
@pytest.mark.parametrize("language", ["en", "de", "es", "ko"])
def test_all_are_there_without_any_file_of_the_owners(
    cue: Cue, language: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours = books(tmp_path / "nothing", language=language)
    ours.look()
    name = f"{language}/{cue}.ogg" if cue in MESSAGES else f"{cue}.wav"
    assert np.array_equal(from_bytes(ours.load(cue)), shipped(name))
    assert caplog.messages == []


@pytest.mark.parametrize(("form", "ending"), [("WAV", "wav"), ("OGG", "ogg"), ("FLAC", "flac"), ("MP3", "mp3")])
def test_the_owners_file_is_heard_in_each_format_at_any_rate(form: str, ending: str, tmp_path: Path) -> None:
    put(tmp_path / f"wake.{ending}", encoded(tone(1, 44_100, 2), 44_100, form))
    pcm = books(tmp_path).load(Cue.WAKE)
    assert is_own(pcm)
    assert len(pcm) == pytest.approx(2 * 24_000, rel=0.1)


@pytest.mark.parametrize(
    ("language", "at", "heard"),
    [
        ("de", "de/no_network.wav", True),
        ("de", "no_network.wav", True),  # whatever the language
        ("de", "en/no_network.wav", False),  # ours speaks German
        ("fr", "fr/no_network.wav", True),
        ("fr", "en/no_network.wav", True),  # better than ours in English
        ("en", "de/no_network.wav", False),
    ],
)
def test_where_a_message_may_lie(language: str, at: str, heard: bool, tmp_path: Path) -> None:
    put(tmp_path / at, OWN)
    assert is_own(books(tmp_path, language=language).load(Cue.NO_NETWORK)) is heard


def test_the_owners_own_language_goes_before_what_is_for_all(tmp_path: Path) -> None:
    put(tmp_path / "no_network.wav", encoded(tone(1, pitch=880), form="WAV"))
    put(tmp_path / "de/no_network.wav", OWN)
    assert amplitude(books(tmp_path, language="de").load(Cue.NO_NETWORK), TONE) > 0.2


def test_a_language_nobody_speaks_falls_back_to_english_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strange = books(tmp_path, language="fr")
    strange.look()
    strange.look()
    assert np.array_equal(from_bytes(strange.load(Cue.USED_UP)), shipped("en/used_up.ogg"))
    assert caplog.record_tuples == [
        (*WARNINGS, "there are no messages in the language 'fr': they are in 'en'"),
    ]


def flac_of_hours() -> bytes:
    """A small file that unpacks to an hour of silence."""
    return encoded(np.zeros(24_000 * 3_600, np.float32), form="FLAC", subtype="PCM_16")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "can be decoded"),
        (b"RIFF", "can be decoded"),
        (b"no sound at all" * 100, "can be decoded"),
        (encoded(tone(1), form="WAV")[:40], "can be decoded"),
        (b"OggS" + bytes(1000), "cannot be decoded"),
        (encoded(tone(LONGEST_EARCON + 0.5), form="WAV"), "lasts more than 2 s"),
        (flac_of_hours(), "lasts more than 2 s"),
        (bytes(library.LARGEST + 1), "larger than 4 MB"),
    ],
    ids=["empty", "short", "text", "cut off", "broken ogg", "long", "bomb", "huge"],
)
def test_a_file_that_cannot_be_used_is_named_and_ours_is_heard(
    data: bytes, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(tmp_path / "wake.wav", data)
    mixed = books(tmp_path)
    for _ in range(2):
        assert np.array_equal(from_bytes(mixed.load(Cue.WAKE)), shipped("wake.wav"))
    (warning,) = [message for name, _, message in caplog.record_tuples if name == WARNINGS[0]]  # once
    assert str(path) in warning
    assert why in warning


def test_a_message_may_be_longer_than_an_earcon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "used_up.wav", encoded(tone(LONGEST_MESSAGE - 0.1), form="WAV"))
    assert is_own(books(tmp_path).load(Cue.USED_UP))
    put(tmp_path / "used_up.wav", encoded(tone(LONGEST_MESSAGE + 0.1), form="WAV"))
    assert not is_own(books(tmp_path).load(Cue.USED_UP))
    assert "lasts more than 15 s" in caplog.text


def test_what_is_no_file_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "wake.wav")
    (tmp_path / "end.wav").mkdir()
    for cue in (Cue.WAKE, Cue.END):
        assert np.array_equal(from_bytes(books(tmp_path).load(cue)), shipped(f"{cue}.wav"))
        assert f"{cue}.wav is not used: is no file" in caplog.text


def test_a_link_that_leads_nowhere_is_no_file_of_the_owners(tmp_path: Path) -> None:
    (tmp_path / "wake.wav").symlink_to(tmp_path / "gone")
    assert np.array_equal(from_bytes(books(tmp_path).load(Cue.WAKE)), shipped("wake.wav"))


def test_names_nothing_is_called_by_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("wakeup.wav", "wake.m4a", "de/no_netwrk.ogg", "wake.wav", "README.txt", "de/used_up.ogg"):
        put(tmp_path / name, OWN)
    books(tmp_path).look()
    assert len(caplog.messages) == 3
    for wrong in ("wakeup.wav", "wake.m4a", "no_netwrk.ogg"):
        assert any(f"{wrong} is never heard" in message and "last_minute" in message for message in caplog.messages)


@pytest.mark.parametrize(("volume", "gain"), [(1.0, 1.0), (0.5, 0.25), (0.0, 0.0)])
def test_volume(volume: float, gain: float, tmp_path: Path) -> None:
    loud, soft = (from_bytes(books(tmp_path, volume=v).load(Cue.END)).astype(float) for v in (1.0, volume))
    assert np.abs(soft - gain * loud).max() <= 1


def test_an_unreadable_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A test that runs as root reads everything."""
    path = put(tmp_path / "wake.wav", OWN)

    def denied(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(library, "_read", denied)
        assert books(tmp_path).load(Cue.WAKE) == b""  # none can be read
    assert f"{path} is not used: Permission denied" in caplog.text


def test_the_shipped_files_need_no_decoder_but_our_own_for_earcons() -> None:
    for earcon in set(Cue) - MESSAGES:
        with soundfile.SoundFile(SOUNDS / f"{earcon}.wav") as file:
            assert (file.samplerate, file.channels, file.subtype) == (24_000, 1, "PCM_16")


def test_voicebox_check_names_what_will_not_be_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As warnings: the box works on with ours."""
    broken = put(tmp_path / "sounds/en/used_up.ogg", b"OggS and nothing more")
    strange = put(tmp_path / "sounds/wakeup.wav", OWN)
    config = tmp_path / "voicebox.toml"
    config.write_text(f'[sounds]\ndirectory = "{tmp_path / "sounds"}"\n[wake]\nenabled = false\n')
    assert cli.main(["check", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"warning: {broken} is not used") for line in lines)
    assert any(line.startswith(f"warning: {strange} is never heard") for line in lines)
