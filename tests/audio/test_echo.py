"""What the speaker plays is taken out of what the microphone hears, and nothing else is (COM-07)."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebox.assets import speech
from voicebox.audio import speexdsp
from voicebox.audio.base import BLOCK, Block
from voicebox.audio.echo import EchoCanceller
from voicebox.bench._rooms import Path, SimulatedBox, Sound
from voicebox.errors import DeviceError

RATE = 16_000
FAINT = 3.0


def talk(seconds: float, seed: int = 1) -> Sound:
    """Noise as rhythmic as speech and of its band, from which a filter learns faster than from speech."""
    chance = np.random.default_rng(seed)
    count = round(seconds * RATE)
    rhythm = np.repeat(chance.uniform(0.2, 1.0, count // 1_600 + 1), 1_600)[:count]
    spectrum = np.fft.rfft(chance.normal(0, 3_500, count) * rhythm)
    spectrum[np.fft.rfftfreq(count, 1 / RATE) > 5_000] = 0
    return np.asarray(np.fft.irfft(spectrum, count))


def silence(seconds: float) -> Sound:
    return np.zeros(round(seconds * RATE))


def hiss(sound: Sound) -> Sound:
    return np.random.default_rng(9).normal(0, FAINT, sound.size)


def level(sound: NDArray[np.float64] | NDArray[np.int16], start: float, end: float) -> float:
    """dB"""
    stretch = sound[round(start * RATE) : round(end * RATE)].astype(np.float64)
    return float(10 * np.log10(np.mean(stretch**2) + 1e-9))


def in_room(path: Path, played: Sound, also: Sound | None = None) -> tuple[SimulatedBox, Sound]:
    heard = path.echo(played) + hiss(played)
    if also is not None:
        heard[: also.size] += also
    return SimulatedBox(played, heard, drift=path.drift), heard


@pytest.mark.parametrize(
    "path", [Path(), Path(gain=6, delay=0.02), Path(gain=-10, delay=0.2), Path(delay=0.08, drift=60), Path(drift=-60)]
)
def test_com_07_the_echo_goes_wherever_it_comes_from(path: Path) -> None:
    box, heard = in_room(path, talk(9))
    cleaned = box.run()
    assert cleaned.size == heard.size // BLOCK * BLOCK
    assert level(heard, 6, 9) - level(cleaned, 6, 9) > 20
    assert box.canceller.converged


def test_com_07_who_speaks_over_a_reply_is_not_taken_out() -> None:
    played = talk(12)
    said = np.concatenate([silence(8), speech("answer")[: 3 * RATE].astype(np.float64)])
    box, _ = in_room(Path(gain=-3), played, said)
    words = band(said[8 * RATE : 11 * RATE])
    changed = band(box.run()[8 * RATE : 11 * RATE].astype(np.float64)) - words
    assert level(words, 0, 3) - level(changed, 0, 3) > 10


def band(sound: Sound) -> Sound:
    """Where the words are: the canceller also takes away what is below speech."""
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(sound.size, 1 / RATE)
    spectrum[(hertz < 300) | (hertz > 4_000)] = 0
    return np.asarray(np.fft.irfft(spectrum, sound.size))


@pytest.mark.parametrize("drift", [-80.0, 0.0, 80.0])
def test_the_crystals_difference_is_measured(drift: float) -> None:
    box, _ = in_room(Path(drift=drift), talk(12))
    box.run()
    assert box.canceller.drift == pytest.approx(-drift, abs=8)


def test_the_delay_is_measured() -> None:
    box, _ = in_room(Path(delay=0.12), talk(2))
    assert box.canceller.delay is None
    box.run()
    assert box.canceller.delay == pytest.approx(0.12, abs=0.004)


def test_asleep_it_does_nothing_and_what_it_learnt_is_right_when_the_card_wakes_with_another_clock() -> None:
    played = np.concatenate([talk(6), silence(12), talk(3, seed=2), silence(12), talk(3, seed=3)])
    box, heard = in_room(Path(), played)
    worked, outs = count_work(box), []
    for ready in box.blocks():
        outs += [block.pcm for block in ready]
    cleaned = np.frombuffer(b"".join(outs), np.int16)
    assert cleaned.size == heard.size // BLOCK * BLOCK
    assert np.array_equal(cleaned[8 * RATE : 17 * RATE], np.rint(heard[8 * RATE : 17 * RATE]).astype(np.int16))
    assert len(worked) * 160 < (6 + 3 + 3 + 3 * 1.0) * RATE
    for begin in (18, 33):
        assert level(heard, begin, begin + 1) - level(cleaned, begin, begin + 1) > 18


def count_work(box: SimulatedBox) -> list[int]:
    """Has every frame counted that is really worked on."""
    worked: list[int] = []
    process = box.canceller._filter.process

    def counted(microphone: NDArray[np.int16], reference: NDArray[np.float32]) -> NDArray[np.int16]:
        worked.append(1)
        return process(microphone, reference)

    box.canceller._filter.process = counted  # type: ignore[method-assign]  # a spy
    return worked


def test_blocks_held_back_come_soon_in_order_and_none_is_lost() -> None:
    box, _ = in_room(Path(), np.concatenate([silence(1), talk(3)]))
    positions, most = [], 0
    for number, ready in enumerate(box.blocks(), 1):
        positions += [block.position for block in ready]
        most = max(most, number - len(positions))
    assert positions == list(range(0, len(positions) * BLOCK, BLOCK))
    assert 0 < most <= 36  # 0.72 s


def test_after_a_long_silence_the_clocks_are_asked_again_though_the_card_never_rested() -> None:
    """The first sound was too short to tell by how much the crystals differ."""
    played = np.concatenate([talk(2), silence(30), talk(3, seed=2)])
    path = Path(drift=40)
    heard = path.echo(played) + hiss(played)
    cleaned = SimulatedBox(played, heard, drift=path.drift, rest=60).run()
    assert level(heard, 32, 33) - level(cleaned, 32, 33) > 8


def test_where_nothing_comes_back_it_says_so_and_holds_nothing_back_any_more() -> None:
    played = np.concatenate([talk(5), silence(12), talk(2, seed=2)])
    box = SimulatedBox(played, hiss(played))
    waits = [not ready for ready in box.blocks()]
    assert box.canceller.converged
    assert 0 < sum(waits[:250]) <= 36  # 0.72 s
    assert not any(waits[250:])


def test_it_says_when_it_has_converged_and_when_the_path_has_changed() -> None:
    played = talk(14)
    first, second = Path(delay=0.02), Path(delay=0.33, seed=5)  # further than the filter is long
    heard = np.concatenate([first.echo(played)[: 7 * RATE], second.echo(played)[7 * RATE :]]) + hiss(played)
    box = SimulatedBox(played, heard)
    told = told_by(box.canceller)
    cleaned = box.run()
    assert told == [True, False, True]
    assert level(heard, 12, 14) - level(cleaned, 12, 14) > 18


def told_by(canceller: EchoCanceller) -> list[bool]:
    told: list[bool] = []
    canceller.changed = lambda: told.append(canceller.converged)
    return told


def test_a_voice_over_the_reply_does_not_pass_for_a_changed_path() -> None:
    said = np.concatenate([silence(7), np.tile(speech("answer").astype(np.float64), 2)[: 5 * RATE]])
    box, _ = in_room(Path(gain=-15), talk(12), said)
    told = told_by(box.canceller)
    box.run()
    assert told == [True]


def test_when_the_speaker_stumbles_what_was_learnt_is_right_again_at_once() -> None:
    played, stumble = talk(12), 0.033
    stumbled = np.concatenate([played[: 7 * RATE], silence(stumble), played[7 * RATE : -round(stumble * RATE)]])
    heard = Path().echo(stumbled) + hiss(played)
    box = SimulatedBox(played, heard)
    told, cleaned = told_by(box.canceller), []
    for ready in box.blocks():
        if box._handed >= 7 * 24_000:
            box._bias = stumble
        cleaned += [block.pcm for block in ready]
    sound = np.frombuffer(b"".join(cleaned), np.int16)
    assert level(heard, 7.2, 8.2) - level(sound, 7.2, 8.2) > 20
    assert told == [True]
    assert box.canceller.attenuation > 20


def stumbling(slip: float, told: float) -> tuple[SimulatedBox, Sound]:
    """A reply in which the card runs dry after 8 s, for ``slip`` seconds; or loses so much, if negative. Its times tell
    of ``told`` seconds."""
    played, at = talk(11), 8 * RATE
    gap, cut = silence(max(0.0, slip)), round(max(0.0, -slip) * RATE)
    heard = Path().echo(np.concatenate([played[:at], gap, played[at + cut :], silence(1)])[: played.size])
    box = SimulatedBox(played, heard + hiss(played))
    hand_over = box._hand_over

    def stumble(until: float) -> None:
        box._bias = told if box._handed >= 8 * 24_000 else 0.0
        hand_over(until)

    box._hand_over = stumble  # type: ignore[method-assign]  # the card's fault
    return box, heard


@pytest.mark.parametrize(("slip", "told"), [(0.005, 0.005), (0.015, 0.015), (0.005, 0.0), (0.03, 0.0), (-0.006, 0.0)])
def test_com_07_nobody_hears_of_it_when_a_card_runs_dry_for_a_moment(slip: float, told: float) -> None:
    """Whether its times tell or not. The echo is as loud as a voice: a fraction of a second of it would interrupt."""
    box, heard = stumbling(slip, told)
    changes = told_by(box.canceller)
    cleaned = box.run()
    assert cleaned.size == heard.size // BLOCK * BLOCK
    assert changes == [True]
    loud = [level(cleaned, start, start + 0.02) > level(heard, 7, 8) - 20 for start in np.arange(8, 9.5, 0.02)]
    assert sum(loud) <= 2  # blocks of 20 ms
    assert level(heard, 8.3, 9) - level(cleaned, 8.3, 9) > 25


@pytest.mark.parametrize("moment", [7.0, 7.06, 7.12, 7.18])
def test_com_07_of_another_echo_nothing_is_passed_on_before_it_is_told_of(moment: float) -> None:
    """It comes from elsewhere, and sounds otherwise: half duplex before the service hears it."""
    played, change = talk(8), round(moment * RATE)
    first, second = Path(delay=0.02), Path(delay=0.25, seed=5)
    heard = np.concatenate([first.echo(played)[:change], second.echo(played)[change:]]) + hiss(played)
    box = SimulatedBox(played, heard)
    given, lost = 0, [0]
    box.canceller.changed = lambda: lost.append(given) if not box.canceller.converged else None
    for ready in box.blocks():
        given += len(ready)
    assert moment - 0.02 <= lost[1] * BLOCK / RATE < moment + 0.06


def test_a_loud_voice_over_the_reply_is_kept_back_for_a_moment_and_only_as_it_begins() -> None:
    said = np.concatenate([silence(7), np.tile(speech("answer").astype(np.float64), 2)[: 3 * RATE]])
    box, _ = in_room(Path(gain=-15), talk(10), said)
    delays, passed = [], 0
    for number, ready in enumerate(box.blocks(), 1):
        passed += len(ready)
        delays.append(number - passed)
    while_speaking = delays[7 * 50 :]
    assert 0 < max(while_speaking) <= 12  # 0.24 s
    assert sum(delay > 0 for delay in while_speaking) <= 15
    assert passed == len(delays)


def test_samples_the_microphone_lost_are_got_over() -> None:
    played = talk(14)
    box, heard = in_room(Path(), played)
    feed, cleaned = skipping(box, at=7.0, lost=2_000), []
    for ready in feed:
        cleaned += [(block.position, block.pcm) for block in ready]
    pcm = np.frombuffer(b"".join(pcm for position, pcm in cleaned if position >= 7.5 * RATE), np.int16)
    assert level(heard, 7.6, 8.6) - level(pcm, 0.1, 1.1) > 18


def skipping(box: SimulatedBox, *, at: float, lost: int) -> list[list[Block]]:
    """As if the sound card had dropped ``lost`` samples, and the position jumped by a little less than them."""
    process: Callable[[Block], list[Block]] = box.canceller.process
    out: list[list[Block]] = []

    def forward(block: Block) -> list[Block]:
        if at * RATE <= block.position < at * RATE + lost:
            return []
        late = block.position >= at * RATE
        out.append(process(Block(block.position - 30, block.pcm, block.captured_at) if late else block))
        return out[-1]

    box.canceller.process = forward  # type: ignore[method-assign]  # the microphone's fault, not the canceller's
    for _ in box.blocks():
        pass
    return out


def test_its_own_voice_can_be_asked_for() -> None:
    played = np.concatenate([silence(1), talk(3), silence(3)])
    box, _ = in_room(Path(delay=0.1), played)
    asked = []
    for number, _ready in enumerate(box.blocks()):
        if number * BLOCK == 3 * RATE:
            asked.append(box.canceller.played(3 * RATE, RATE))
    own = asked[0]
    assert own is not None
    lag = int(np.argmax(np.correlate(played[round(1.8 * RATE) : 3 * RATE], own[:8_000], "valid")))
    assert lag == pytest.approx(0.1 * RATE, abs=40)  # of 0.2 s: as it sounds at the microphone, 0.1 s later
    assert box.canceller.played(7 * RATE, RATE) is None


def test_a_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speexdsp, "LIBRARY", "libnowhere.so.1")
    with pytest.raises(DeviceError, match="libspeexdsp1"):
        EchoCanceller()


def test_it_gives_its_memory_back_once() -> None:
    canceller = EchoCanceller()
    canceller.close()
    canceller.close()
