"""T21 to T29: the time is wrong, or whoever answers is not who he says."""

import asyncio
import ssl
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.town import Town, authority, town
from tests.support.certificates import Authority, served
from tests.support.house import EARCONS
from voicebox import clock
from voicebox.core.cues import Cue, cue
from voicebox.core.scenes import Scene
from voicebox.core.state import Fault, Phase
from voicebox.virtualtime import run_virtual

FUTURE = ("20900101", "20910101")
"""To a box whose clock is behind, today's certificates are of the future."""
PAST = ("20000101", "20010101")


def heard(there: Town) -> list[Cue]:
    found = [cue(step.before, step.event, step.after) for _, step in there.house.steps]
    return [sound for sound in found if sound is not None]


@pytest.mark.parametrize("number", ["t21_for_a_moment", "t23_for_ever"])
def test_t21_t23_a_clock_that_nobody_has_set(number: str) -> None:
    """Not taken for a wrong token; the wake word is answered, the light and a message say what is wrong, and whoever
    asks again makes it try again."""
    hours = 3 if "for_ever" in number else 1

    async def main() -> None:
        async with town(options=EARCONS) as there:
            good = there.proxy.tls
            first, last = FUTURE
            await there.proxy.present(served(authority().certificate(first=first, last=last)))
            for attempt in range(hours):
                before = len(there.losses)
                await there.talk_in_vain()
                assert len(there.losses) > before
                assert there.fault() is Fault.CLOCK_WRONG
                assert there.house.lamp.scenes[-1] is Scene.CLOCK_NOT_SET
                await there.oracle.answers_status()
                await asyncio.sleep(100 if attempt < hours - 1 else 0)
            assert set(heard(there)) == {Cue.WAKE, Cue.CLOCK_WRONG}
            assert Fault.REFUSED not in there.house.faults
            assert all(lost.retry_in <= 30 for lost in there.losses)
            await there.proxy.present(good)

    run_virtual(main())


@pytest.mark.parametrize("years", [10.0, -1 / 365])
def test_t22_the_clock_jumps(years: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of a reply. Nothing that waits goes by that clock, and the session is kept."""
    real = time.time

    async def main() -> None:
        async with town() as there:
            await there.house.ask()
            monkeypatch.setattr(time, "time", lambda: real() + years * 365 * 86_400)
            there.house.app.session._wall_clock = time.time
            await there.house.until(lambda: there.house.phase is not Phase.SPEAKING)
            assert there.sessions == 1
            assert there.losses == []
            assert len(there.house.heard(1)) == len(there.simulator.connections[0].sent_pcm[1]) // 2

    run_virtual(main())


def old_tls() -> ssl.SSLContext:
    """A server that speaks nothing newer than TLS 1.1."""
    context = served(authority().certificate())
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is what is to be shown
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def impostor(tmp_path: Path) -> ssl.SSLContext:
    """With a chain that looks like ours, of an authority that nobody trusts."""
    return served(Authority(tmp_path / "other").certificate())


@pytest.mark.parametrize(
    "number",
    [
        "t24_expired",
        "t25_another_name",
        "t26_vouches_for_itself",
        "t27_old_tls",
        "t28_another_key",
        "t29_an_authority_nobody_trusts",
    ],
)
def test_t24_t25_t26_t27_t28_t29_who_answers_is_not_the_service(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a byte of ours is shown to them. (The box pins no keys: another key is accepted from whom the system trusts,
    and from nobody else.)"""
    monkeypatch.setattr(clock, "_TIMESYNC", tmp_path / "nothing")
    first, last = PAST
    contexts: dict[str, Callable[[], ssl.SSLContext]] = {
        "t24": lambda: served(authority().certificate(first=first, last=last)),
        "t25": lambda: served(authority().certificate("elsewhere.example")),
        "t26": lambda: served(authority().certificate(signed=False)),
        "t27": old_tls,
        "t28": lambda: impostor(tmp_path),
        "t29": lambda: impostor(tmp_path),
    }

    async def main() -> None:
        async with town() as there:
            good = there.proxy.tls
            await there.proxy.present(contexts[number[:3]]())
            await there.talk_in_vain()
            assert there.proxy.dials == 0  # of those that got through the handshake
            assert there.fault() is Fault.OFFLINE
            assert there.losses
            assert ("certificate" in there.losses[0].message) is not number.startswith("t27")
            await there.proxy.present(good)

    run_virtual(main())
