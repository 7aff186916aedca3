"""M44 to M49, M61: more than any box can take."""

import asyncio
import zlib
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.faults.hostile import Attack, Hostile, instead, sends
from tests.faults.oracle import MOST_MORE_MEMORY, thrifty
from tests.faults.town import Town, town
from tests.support.house import now
from tests.support.session import frame
from voicebox.audio.base import MAX_BUFFERED, PLAYBACK_RATE
from voicebox.core.events import HangUp, ReplyAudio, SessionReady
from voicebox.core.state import Phase
from voicebox.services.base import Effect
from voicebox.services.lira import Service
from voicebox.virtualtime import run_virtual

HUGE = 2**28
PIECE = bytes(2**16)
QUEUE = int(MAX_BUFFERED) * 2 * PLAYBACK_RATE
"""Bytes."""


async def huge_frame(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x82\x7f" + HUGE.to_bytes(8, "big"))
    for _ in range(HUGE // len(PIECE)):
        writer.write(PIECE)
        await writer.drain()


def bomb() -> bytes:
    """256 MiB of zeros in a quarter of a megabyte: a frame of permessage-deflate."""
    squeeze = zlib.compressobj(9, wbits=-15)
    body = b"".join(squeeze.compress(PIECE) for _ in range(HUGE // len(PIECE))) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    return frame(2, body[:-4], rsv1=True)


async def deflated(writer: asyncio.StreamWriter) -> None:
    writer.write(bomb())


FLOODS: dict[str, Attack] = {
    "m44_a_frame_of_256_mib": huge_frame,
    "m45_256_mib_of_zeros_deflated": deflated,
    "m46_fragments_without_end": sends(frame(2, b"?", fin=False), then=frame(0, bytes(1000), fin=False), times=10**6),
    "m47_a_million_empty_frames": sends(frame(2, b""), times=1_000_000),
    "m48_a_hundred_thousand_pings": sends(frame(9, b"?"), times=100_000),
}


async def overrun(there: Town, hostile: Hostile) -> None:
    """It is cut off at once, and without a word."""
    heard = there.house.backend.position
    with thrifty():
        await there.house.wake()
        await hostile.attacked.wait()
        began = now()
        await there.house.until(lambda: bool(there.losses))
    assert now() - began <= 1.0
    assert there.house.backend.position - heard == pytest.approx((now() - began) * 16_000, abs=3_200)
    assert "protocol" in there.losses[0].message or "hold nothing" in there.losses[0].message
    assert there.proxy.passages[-1].ended


@pytest.mark.parametrize("attack", FLOODS.values(), ids=FLOODS)
def test_m44_m45_m46_m47_m48_a_flood(attack: Attack) -> None:
    async def main() -> None:
        async with town(all_arrives=False) as there, instead(there, attack) as hostile:
            await overrun(there, hostile)

    run_virtual(main())


def test_m49_a_flood_of_messages_while_the_speaker_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing more is read, and TCP holds it back: nobody is cut off, and no memory is needed. Before that, each
    message leaves the others a turn."""
    taken: Counter[int] = Counter()
    turns = 0

    async def main() -> None:
        message = frame(1, b'{"type":"transcript","data":{"text":"","speaker":"you"}}')
        loop, go = asyncio.get_running_loop(), asyncio.Event()

        async def flood(writer: asyncio.StreamWriter) -> None:
            await go.wait()
            await sends(message, times=200_000)(writer)

        async with town(all_arrives=False) as there, instead(there, flood):
            take = Service.received

            def counted(self: Service, message: str | bytes) -> Sequence[Effect]:
                taken[turns] += 1
                assert taken[turns] < 100, "nobody else has a turn"
                return take(self, message)

            def turn() -> None:
                nonlocal turns
                turns += 1
                if len(taken) < 500:
                    loop.call_soon(turn)

            await there.house.wake()
            await there.house.until_phase(Phase.LISTENING)
            with thrifty():
                go.set()
                monkeypatch.setattr(Service, "received", counted)
                turn()
                async with asyncio.timeout(10):
                    while len(taken) < 500 and not there.house.running.done():  # noqa: ASYNC110  # turns of the loop are what is counted
                        await asyncio.sleep(0)
                assert there.house.app.session._pumps is not None
                object.__setattr__(there.house.app.session._pumps.around, "has_room", lambda: False)
                await asyncio.sleep(1)
                assert max(taken.values()) == 1
                before_stall = taken.total()
                await asyncio.sleep(5)
                assert taken.total() == before_stall
            assert there.losses == []
            object.__setattr__(there.house.app.session._around, "has_room", lambda: True)
            there.house.app.box.dispatch(HangUp())

    run_virtual(main())


def test_m61_ten_minutes_of_sound_in_a_second() -> None:
    """Two minutes are queued; the rest waits at the other end, and is not lost."""
    second = frame(2, b"\1\0" * PLAYBACK_RATE)

    async def main() -> None:
        async with town(all_arrives=False, memory=12_000_000) as there, instead(there, sends(second, times=600)):
            with thrifty(2 * QUEUE + MOST_MORE_MEMORY):
                await there.house.wake()
                await there.house.until_phase(Phase.SPEAKING)
                await asyncio.sleep(5)
            assert MAX_BUFFERED - 1 <= there.house.app.playback.buffered <= MAX_BUFFERED + 2
            taken = len(there.events(ReplyAudio))
            await asyncio.sleep(10)
            assert len(there.events(ReplyAudio)) - taken == pytest.approx(10, abs=1)
            assert there.losses == []
            assert len(there.events(SessionReady)) == 1
            there.house.app.box.dispatch(HangUp())

    run_virtual(main())
