"""The bench's rooms are what they say, and the owner's own room is measured."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import speech
from tests.support.room import Room
from voicebox.audio.wavfile import WavBackend
from voicebox.bench import Figure, Options, _rooms, echo
from voicebox.bench._echo_card import echo_figures, measure
from voicebox.bench._rooms import Path as EchoPath
from voicebox.control import Control
from voicebox.errors import DeviceError
from voicebox.virtualtime import run_virtual


@pytest.fixture(autouse=True)
def _no_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEBOX_CONTROL", str(tmp_path / "control.sock"))


def by_name(figures: list[Figure]) -> dict[str, float]:
    return {figure.name.removeprefix("card: "): figure.value for figure in figures}


def test_com_07_a_box_measures_its_own_echo() -> None:
    figures = run_virtual(measure(Room(delay=0.09, gain=0.5), Options(scale=0.3, card=True)))
    found = by_name(figures)
    assert found["the echo's delay beyond what the cards tell"] == pytest.approx(90, abs=2)
    assert abs(found["the speaker's crystal is faster by"]) < 5
    assert found["the quiet room at the microphone"] == pytest.approx(-80, abs=1)
    assert -45 < found["the echo at the microphone"] < -15
    assert 100 < found["loudest sample of it, of 32768"] < 32_767
    assert figures[-1].name == "card: attenuation in the second half"
    assert figures[-1].ok
    assert figures[-1].value > 20


def test_a_room_without_an_echo_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run_virtual(measure(WavBackend(noise=-70.0), Options(scale=0.1, card=True)))
    assert len(figures) == 3
    assert "nothing of what was played came back" in capsys.readouterr().err


def test_com_07_while_the_box_is_at_work_its_card_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        server = Control(tmp_path / "control.sock", {"status": lambda _: {}})
        await server.start()
        backend = Room()
        try:
            with pytest.raises(DeviceError, match="systemctl stop voicebox"):
                await measure(backend, Options(card=True))
        finally:
            await server.stop()
        assert backend.position == 0

    asyncio.run(main())


def test_a_card_that_is_not_there_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Missing(WavBackend):
        async def start(self, handlers: object) -> None:
            handlers.lost("microphone", "nothing is plugged in")  # type: ignore[attr-defined]  # they are Handlers

    monkeypatch.setattr("voicebox.parts.backend", lambda _: Missing())
    monkeypatch.setattr("voicebox.bench._echo_card._OPENING", 0.01)
    config = tmp_path / "voicebox.toml"
    config.write_text("")
    assert echo_figures(Options(card=True, config=config)) == []
    assert capsys.readouterr().err == "left out: your sound card: microphone: nothing is plugged in\n"


def test_a_path_delays_softens_and_reverberates() -> None:
    response = EchoPath(gain=-20, delay=0.1, reverberation=0.2).response
    assert int(np.argmax(np.abs(response))) == 1_600
    assert 10 * np.log10(np.sum(response**2)) == pytest.approx(-20, abs=0.01)
    assert 10 * np.log10(np.sum(response[1_601:] ** 2) / response[1_600] ** 2) == pytest.approx(-6, abs=0.1)


def sampled(period: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """A sound of which one period of 80 samples is known as finely as may be, at 16 kHz: what is above 8 kHz is left
    out, as a microphone does."""
    harmonics = np.fft.rfft(period)[:40] / period.size
    return np.tile(np.fft.irfft(harmonics, 80) * 80, count // 80)


def test_a_path_clips_as_an_amplifier_does() -> None:
    """Which knows nothing of samples: clipping those would fold the overtones back into what is heard."""
    period = 10_000 * np.sin(2 * np.pi * np.arange(80_000) / 80_000)
    tone, limit = sampled(period, 160_000), 10_000 / 10**0.3
    path = EchoPath(clip=6)
    truly = sampled(np.clip(period, -limit, limit), 160_000)
    assert _rooms.clipped(tone, limit) == pytest.approx(truly, abs=1)
    assert np.abs(np.clip(tone, -limit, limit) - truly).max() > 10
    assert np.allclose(path.echo(tone), _rooms.convolve(truly, path.response), atol=1)


def test_a_path_drifts() -> None:
    tone = 10_000 * np.sin(2 * np.pi * 200 * np.arange(160_000) / 16_000)
    late = _rooms.stretched(tone, -50)
    assert late[159_000] == pytest.approx(10_000 * np.sin(2 * np.pi * 200 * 159_000 * (1 - 50e-6) / 16_000), abs=50)


def test_callers_are_as_loud_as_they_should_be() -> None:
    voices = echo.Voices(speech)
    scene = echo.Scene("here", EchoPath(gain=-6))
    played, heard, where = echo.called(scene, -10, voices)
    start, end = where[3]
    call = heard[start:end] - scene.echo(played)[start:end]
    said = echo.loudness(call) / echo.loudness(scene.echo(played))
    assert 20 * np.log10(said) == pytest.approx(-10, abs=0.5)
    assert len(where) == 10
    assert start > echo.SETTLED * 16_000


def test_only_callers_heard_in_time_and_not_taken_for_the_box_count() -> None:
    where = [(0, 16_000), (64_000, 80_000), (128_000, 144_000)]
    assert echo.count([(15_000, False), (79_000, True), (170_000, False)], where) == 1
