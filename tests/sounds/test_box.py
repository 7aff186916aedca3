"""The whole box, listened to: which sounds are in what its speaker played, when, how often, what they leave alone."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.house import EARCONS, House, living, now
from tests.support.sounds import encoded, tone
from voicebox.assets import SOUNDS
from voicebox.audio.base import PLAYBACK_RATE
from voicebox.audio.decode import whole_file
from voicebox.audio.pcm import from_bytes
from voicebox.core import cues
from voicebox.core.cues import MESSAGES, Cue
from voicebox.core.events import (
    Category,
    MuteChanged,
    SessionEnded,
    SessionLost,
    SessionReady,
    SpeakerDrained,
    WakeDetected,
)
from voicebox.core.state import Fault, Phase
from voicebox.sounds.player import SETTLED
from voicebox.virtualtime import run_virtual

BRIEF = {"VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "3"}
ALL = {**BRIEF, "VOICEBOX_SOUNDS__EARCONS": "true", "VOICEBOX_SOUNDS__LISTEN_EARCON": "true"}
SPOKEN = {**BRIEF, "VOICEBOX_SOUNDS__SPOKEN": "true"}
SOON = 0.03
"""Seconds within which an earcon is heard: the card's buffer and a block."""

Heard = list[tuple[float, str]]
Sound = NDArray[np.int16]


def sounds(language: str = "en") -> dict[str, Sound]:
    def read(cue: Cue) -> Sound:
        path = SOUNDS / language / f"{cue}.ogg" if cue in MESSAGES else SOUNDS / f"{cue}.wav"
        return np.trim_zeros(from_bytes(whole_file(path.read_bytes(), 15.0)))

    return {str(cue): read(cue) for cue in Cue}


def heard(house: House, language: str = "en") -> Heard:
    """Every whole sound of the box's own in what the speaker played, with its loop time; and that there is nothing
    else. For stretches without replies."""
    played = house.backend.spk
    rest = played.copy()
    found: Heard = []
    for name, sound in sounds(language).items():
        for at in places(played, sound):
            found.append((house.backend.started + at / PLAYBACK_RATE, name))
            rest[at : at + sound.size] = 0
    for _, first, end in house.backend.speaker.spoken:
        rest[first:end] = 0
    assert not rest.any(), "something else was heard"
    return sorted(found)


def places(played: Sound, sound: Sound) -> list[int]:
    """Where ``sound`` begins in ``played``, sample for sample."""
    data, pattern = played.tobytes(), sound.tobytes()
    at, found = data.find(pattern), []
    while at >= 0:
        found.append(at // 2)
        at = data.find(pattern, at + 2)
    return found


def names(house: House, language: str = "en") -> list[str]:
    return [name for _, name in heard(house, language)]


def when(house: House, kind: type) -> float:
    return next(at for at, step in house.steps if isinstance(step.event, kind))


def ended(house: House) -> float:
    return next(at for at, step in house.steps if step.before.phase is not Phase.IDLE is step.after.phase)


async def to_the_end(house: House, seconds: float = 0.0) -> None:
    await house.until_phase(Phase.IDLE, within=900)
    await asyncio.sleep(seconds or 0.5)


async def refused(house: House) -> None:
    """Somebody tries, and the service wants another token."""
    house.app.box.dispatch(WakeDetected("hey_jarvis", 0.9, house.backend.position))
    house.app.box.dispatch(SessionEnded("refused", Category.AUTH))
    await asyncio.sleep(10)


def test_the_beginning_and_the_end_of_listening_are_heard_when_they_happen() -> None:
    async def main() -> House:
        async with living(options=ALL) as house:
            await house.wake()
            await to_the_end(house)
            return house

    house = run_virtual(main())
    (woken, wake), (over, end) = heard(house)
    assert (wake, end) == ("wake", "end")
    assert woken == pytest.approx(when(house, WakeDetected) + SOON / 2, abs=SOON / 2)
    assert over == pytest.approx(ended(house) + SOON / 2, abs=SOON / 2)


@pytest.mark.parametrize(("duplex", "listening"), [("half", []), ("full", ["wake"])])
def test_without_echo_cancellation_nothing_sounds_while_the_box_listens(duplex: str, listening: list[str]) -> None:
    async def main() -> House:
        options = {**ALL, "VOICEBOX_SOUNDS__LISTEN_EARCON": "auto"}
        async with living(options=options, duplex=duplex) as house:
            await house.wake()
            await to_the_end(house)
            return house

    assert names(run_virtual(main())) == [*listening, "end"]


def asked(options: Mapping[str, str]) -> House:
    async def main() -> House:
        async with living(options=options, duplex="half") as house:
            await house.ask()
            await asyncio.sleep(0.5)
            house.app.box.dispatch(MuteChanged(muted=True))
            await asyncio.sleep(0.5)
            house.app.box.dispatch(MuteChanged(muted=False))
            await to_the_end(house, 60)
            return house

    return run_virtual(main())


def test_no_earcon_delays_listening_or_changes_a_reply_or_its_end() -> None:
    """The same conversation with and without: what was sent, every sample of the reply, and each moment of it."""
    silent, sounding = asked(BRIEF), asked(ALL)
    assert bytes(silent.wire.received_pcm) == bytes(sounding.wire.received_pcm) != b""
    for kind in (WakeDetected, SessionReady, SpeakerDrained):
        assert when(silent, kind) == when(sounding, kind)
    plain, mixed = silent.heard(1).astype(int), sounding.heard(1).astype(int)
    assert plain.size == mixed.size > 10 * PLAYBACK_RATE
    added = (mixed - plain).astype(np.int16)
    muted, unmuted = (places(added, sounds()[name]) for name in ("mute", "unmute"))
    assert len(muted) == len(unmuted) == 1
    assert np.flatnonzero(added)[0] == muted[0]
    assert np.flatnonzero(added)[-1] == unmuted[0] + sounds()["unmute"].size - 1
    assert unmuted[0] - muted[0] == pytest.approx(PLAYBACK_RATE / 2, abs=PLAYBACK_RATE * SOON)


@pytest.mark.parametrize("language", ["en", "de", "es", "ko"])
def test_a_refused_token_is_said_once_and_then_beeps(language: str) -> None:
    async def main() -> House:
        options = {**SPOKEN, "VOICEBOX_SOUNDS__EARCONS": "true", "VOICEBOX_SOUNDS__LANGUAGE": language}
        async with living(duplex="half", faults=["unauthorized"], options=options) as house:
            for _ in range(3):
                await house.wake()
                await to_the_end(house, 10)
            assert house.faults == {Fault.REFUSED}
            return house

    house = run_virtual(main())
    assert names(house, language) == ["wrong_token", "error", "error"]
    assert heard(house, language)[0][0] == pytest.approx(ended(house) + 2 * SOON, abs=2 * SOON)


def test_it_is_said_again_when_it_was_cured_in_between_or_long_ago_and_only_to_who_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cues, "AGAIN_AFTER", 30.0)

    async def main() -> House:
        async with living(options=SPOKEN) as house:
            await refused(house)
            await refused(house)
            await house.ask()
            await house.until_phase(Phase.IDLE, within=900)
            await refused(house)
            await asyncio.sleep(30)
            assert len(heard(house)) == 2
            await refused(house)
            await refused(house)
            return house

    assert names(run_virtual(main())) == ["wrong_token"] * 3


def test_no_network_is_said_when_the_box_gives_up_and_never_by_itself() -> None:
    async def main() -> tuple[House, float]:
        async with living(faults=["never_joined"], options=SPOKEN) as house:
            house.app.box.dispatch(SessionLost("no network", 1.0))
            house.app.box.dispatch(SessionEnded("no network", Category.NETWORK))
            await asyncio.sleep(20)
            assert heard(house) == []
            woken = now()
            await house.wake()
            await to_the_end(house, 10)
            return house, woken

    house, woken = run_virtual(main())
    ((at, name),) = heard(house)
    assert name == "no_network"
    assert at == pytest.approx(woken + house.app.settings.conversation.connect_timeout_s, abs=0.5)


def test_a_service_that_stays_busy_is_told_from_no_network() -> None:
    async def main() -> House:
        async with living(faults=["http_503=300"], options=SPOKEN) as house:
            await house.wake()
            await to_the_end(house, 10)
            assert house.faults == {Fault.BUSY}
            return house

    assert names(run_virtual(main())) == ["server_busy"]


def test_the_minutes_of_the_day_are_said_to_be_used_up() -> None:
    async def main() -> House:
        async with living(options={**SPOKEN, "VOICEBOX_SESSION__DAILY_MINUTES": "1"}) as house:
            house.app.usage._seconds = 60.0
            for _ in range(2):
                await house.wake()
                await to_the_end(house, 10)
            return house

    assert names(run_virtual(main())) == ["used_up"]


def test_who_wakes_the_box_in_mid_message_is_listened_to_and_the_message_fades() -> None:
    async def main() -> tuple[House, float]:
        async with living(options=SPOKEN) as house:
            await house.wake()
            house.app.box.dispatch(SessionEnded("refused", Category.AUTH))
            await asyncio.sleep(1.5)
            await house.wake()
            woken = [at for at, step in house.steps if isinstance(step.event, WakeDetected)][-1]
            await house.until_phase(Phase.LISTENING)
            await asyncio.sleep(2)
            return house, woken

    house, woken = run_virtual(main())
    played = house.backend.spk
    said = sounds()["wrong_token"]
    assert places(played, said) == []
    (first,) = places(played, said[: PLAYBACK_RATE // 2])
    last = int(np.flatnonzero(played)[-1])
    index = (woken - house.backend.started) * PLAYBACK_RATE
    assert first < index < last < index + SOON * PLAYBACK_RATE
    assert np.abs(np.diff(played[last - 200 :].astype(int))).max() <= np.abs(np.diff(said.astype(int))).max()


@pytest.mark.parametrize("late", [0, 15])
def test_a_missing_microphone_is_said_after_the_start_and_not_later(late: int) -> None:
    async def main() -> House:
        async with living(options=SPOKEN) as house:
            await asyncio.sleep(late)
            house.app._device_lost("microphone", "unplugged")
            house.app._device_lost("microphone", "still unplugged")
            await asyncio.sleep(20)
            return house

    house = run_virtual(main())
    assert names(house) == ([] if late else ["no_microphone"])
    assert late or heard(house)[0][0] == pytest.approx(SETTLED, abs=1.0)


def test_a_microphone_lost_in_mid_conversation_is_said() -> None:
    async def main() -> House:
        async with living(options={**SPOKEN, "VOICEBOX_CONVERSATION__LISTEN_TIMEOUT_S": "60"}) as house:
            await asyncio.sleep(SETTLED)
            await house.wake()
            await house.until_phase(Phase.LISTENING)
            house.app._device_lost("microphone", "unplugged")
            await asyncio.sleep(10)
            return house

    assert names(run_virtual(main())) == ["no_microphone"]


def test_the_owners_own_sounds_are_heard_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    own = tone(0.3)
    (tmp_path / "wake.wav").write_bytes(encoded(own, form="WAV", subtype="PCM_16"))
    (tmp_path / "end.wav").write_bytes(b"RIFF, but broken")

    async def main() -> House:
        async with living(options={**ALL, "VOICEBOX_SOUNDS__DIRECTORY": str(tmp_path)}) as house:
            await house.wake()
            await to_the_end(house)
            return house

    house = run_virtual(main())
    played = house.backend.spk
    assert len(places(played, np.trim_zeros(from_bytes(whole_file((tmp_path / "wake.wav").read_bytes(), 2.0))))) == 1
    assert len(places(played, sounds()["end"])) == 1
    assert f"{tmp_path / 'end.wav'} is not used" in caplog.text


def test_softer_sounds_leave_the_replies_as_loud_as_they_are() -> None:
    async def main(volume: str) -> House:
        async with living(options={**EARCONS, **BRIEF, "VOICEBOX_SOUNDS__VOLUME": volume}) as house:
            await house.ask()
            await to_the_end(house, 1)
            return house

    loud, soft = (run_virtual(main(volume)) for volume in ("1.0", "0.5"))
    assert np.array_equal(loud.heard(1), soft.heard(1))
    ends = [house.backend.spk[house.backend.speaker.spoken[-1][2] :].astype(int) for house in (loud, soft)]
    assert np.abs(ends[1]).max() == pytest.approx(np.abs(ends[0]).max() / 4, abs=1)
