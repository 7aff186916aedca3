"""M50 to M60, M62 to M64: messages that are wrong, late, or none of the service's business."""

import asyncio
import base64
import json
import logging
import re
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.faults.hostile import instead, sends, texts
from tests.faults.oracle import Oracle, overheard, thrifty
from tests.faults.town import BRIEF, town
from tests.services import nextevi_kit, zeebee_kit
from tests.support.house import living, now
from tests.support.session import frame
from voicebox.audio.decode import MAX_SECONDS, Decoder
from voicebox.core.events import HangUp, ReplyAudio, SessionReady
from voicebox.core.state import Phase
from voicebox.services.base import Sound
from voicebox.virtualtime import run_virtual
from voicebox.wire import lira

MEANT = ("joined", "error", "interruption")
HARMLESS = {kind: fields for kind, fields in lira.SERVER_MESSAGES.items() if kind not in MEANT}
"""The others mean something by themselves, whatever is in their fields."""
LINES = 5
"""That an owner may read of it all, at the usual level of the log."""


def says(kind: str, **data: Any) -> str:
    return json.dumps({"type": kind, "data": data})


def numbers() -> Iterable[str]:
    """Every field of every message holds what is no number."""
    for value in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400"):
        for kind, message in HARMLESS.items():
            fields = ",".join(f'"{name}":{value}' for name in message.model_fields)
            yield f'{{"type":"{kind}","data":{{{fields}}}}}'


def wrong_types() -> Iterable[str]:
    values: tuple[object, ...] = (None, True, 7, -1.5, "x", [], {}, [[]], {"a": {}})
    for value in values:
        for kind, message in HARMLESS.items():
            yield says(kind, **dict.fromkeys(message.model_fields, value))
            yield json.dumps({"type": kind, "data": value})


ODD: dict[str, Callable[[], Iterable[str]]] = {
    "m50_a_hundred_thousand_deep": lambda: [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"type":"transcript","data":' + "[" * 10**5,
    ],
    "m51_a_string_of_nearly_the_limit": lambda: [says("ai_response", text="a b " * 250_000)],
    "m52_a_number_of_5000_digits": lambda: [f'{{"type":"audio_ready","data":{{"duration":{"9" * 5000}}}}}', "9" * 5000],
    "m53_what_is_no_number": numbers,
    "m54_keys_twice": lambda: ['{"type":"x","type":"transcript","data":{"text":"a","text":"b","data":1},"data":{}}'],
    "m55_lone_surrogates": lambda: ['{"type":"ai_response","data":{"text":"\\ud800\\udfff\\udc00"}}'],
    "m56_wrong_types": wrong_types,
    "m57_ten_thousand_unknown_types": lambda: [says(f"kind_{number}", number=number) for number in range(10_000)],
}


@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
def test_m50_m51_m52_m53_m54_m55_m56_m57_odd_messages(
    messages: Callable[[], Iterable[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """They are left out, the session is kept, and little is said about it."""
    attack = sends(texts(messages()) + frame(2, b"\1\0" * 4800))

    async def main() -> None:
        async with town(all_arrives=False, memory=40_000_000) as there, instead(there, attack):  # what is noted here
            await there.house.wake()
            await there.house.until(lambda: bool(there.events(ReplyAudio)), within=10)
            await asyncio.sleep(1)
            assert not there.losses
            assert not there.ends
            assert len(there.events(SessionReady)) == 1
            there.house.app.box.dispatch(HangUp())
            await there.house.until_phase(Phase.IDLE)

    run_virtual(main())
    said = [record for record in caplog.records if record.levelno > logging.INFO and record.name != "asyncio"]
    assert len(said) <= LINES, said


@pytest.mark.parametrize(
    "data",
    [texts([b'{"type":"\xff\xfe"}']), texts(["x" * 10_000_000])],
    ids=["m55_text_that_is_not_utf_8", "m51_a_string_of_ten_megabytes"],
)
def test_m51_m55_what_no_websocket_may_carry(data: bytes) -> None:
    async def main() -> None:
        async with town(all_arrives=False) as there, instead(there, sends(data)):
            await there.house.wake()
            await there.house.until(lambda: bool(there.losses))
            assert re.search("protocol|1007", there.losses[0].message)
            there.house.app.box.dispatch(HangUp())

    run_virtual(main())


BLOCKS = {
    "bad alphabet": "!!!!****%%%%",
    "bad padding": base64.b64encode(b"\1\0" * 100).decode() + "=====",
    "half a sample": base64.b64encode(b"\1\0" * 100 + b"\1").decode(),
    "empty": "",
    "not even text": "\ud83d\ude00",
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_m58_broken_base64(block: str) -> None:
    """At the two services that write sound so: the block is dropped or cut to whole samples, and what follows it is
    heard as it was meant."""
    good = b"\1\2" * 240
    evi = nextevi_kit.talking()
    for pcm in (block, base64.b64encode(good).decode()):
        effects = nextevi_kit.feed(evi, nextevi_kit.says("tts_chunk", content=pcm, is_final=False))
    assert [pcm for _, pcm in nextevi_kit.heard(effects)][-1:] == [good]
    zeebee = zeebee_kit.asked()
    zeebee.received(zeebee_kit.says("audio_stream_start", total_chunks=2))
    for index in range(2):
        zeebee.received(zeebee_kit.says("audio_chunk", data=block, index=index))
    zeebee.received(zeebee_kit.END)


def test_m58_fifty_megabytes_of_it() -> None:
    """No message of that length gets as far as to be decoded."""
    for kit in (nextevi_kit, zeebee_kit):
        assert kit.service().capabilities.max_message <= 2**22


def wav(*, rate: int = 24_000, channels: int = 1, size: int = 2**31) -> bytes:
    width = 2 * channels
    head = struct.pack("<4sI4s4sIHHII", b"RIFF", size, b"WAVE", b"fmt ", 16, 1, channels, rate, rate * width)
    return head + struct.pack("<HH4sI", width, 16, b"data", size)


@pytest.mark.parametrize("header", [{}, {"rate": 384_000}, {"channels": 255}, {"rate": 2**30}])
def test_m59_a_file_that_claims_hours(header: dict[str, int]) -> None:
    """It is decoded as far as it goes, in pieces, and no further than a reply may last."""
    decoder, most = Decoder(), 0
    decoder(Sound(1, wav(**header)))
    with thrifty():
        for _ in range(200):
            most = max(most, len(decoder(Sound(1, bytes(96_000)))))
        decoder(Sound(1, b"", last=True))
    assert most <= 2 * 96_000
    assert MAX_SECONDS <= 3600


def test_m60_sound_of_a_reply_that_was_cut() -> None:
    """It comes for 400 ms after the cut; not a sample of it is heard."""

    async def main() -> None:
        async with overheard(), living(faults=["late_audio=400"], options=BRIEF) as house:
            oracle = Oracle(house)
            await house.ask()
            await asyncio.sleep(1)
            house.say("cut_in")
            await house.until(lambda: bool(house.cuts))
            await asyncio.sleep(2)
            assert house.simulator.connections[0].late_pcm
            assert [house.stale(mark) for mark in house.cuts] == [0]
            house.app.box.dispatch(HangUp())
            await oracle.survived()

    run_virtual(main())


@pytest.mark.parametrize("seconds", [5, 60, 3600])
def test_m62_a_reply_that_stops_in_the_middle(seconds: int) -> None:
    """What came is heard; after a while nobody waits for the rest."""

    async def main() -> None:
        async with overheard(), living(faults=[f"stall_mid_reply={seconds}"], options=BRIEF) as house:
            oracle = Oracle(house)
            await house.ask()
            began = now()
            await house.until(lambda: house.phase is not Phase.SPEAKING)
            assert len(house.heard(1)) > 24_000
            await house.until_phase(Phase.IDLE)
            assert now() - began <= 40
            house.simulator._setup.faults._waiting.clear()
            await oracle.survived()

    run_virtual(main())


INTERRUPTION = says("interruption")


def test_m63_interruptions_at_every_wrong_moment() -> None:
    """Before the first sound, twice, after the end, of nothing, and a thousand at once."""
    pcm = frame(2, b"\1\0" * 4800)
    story = [
        texts([INTERRUPTION, INTERRUPTION]),
        texts([says("ai_response", text="one"), INTERRUPTION]),
        texts([says("ai_response", text="two")]) + pcm + texts([INTERRUPTION, INTERRUPTION]),
        texts([says("ai_response", text="three")]) + pcm + texts([says("ai_response_end"), INTERRUPTION]),
        texts([INTERRUPTION] * 1000),
        texts([says("ai_response", text="four")]) + pcm * 20 + texts([says("ai_response_end")]),
    ]

    async def main() -> None:
        async with town(all_arrives=False) as there, instead(there, sends(b"".join(story))):
            await there.house.wake()
            await there.house.until(lambda: there.house.phase is Phase.SPEAKING, within=10)
            await asyncio.sleep(6)
            assert there.losses == []
            newest = there.house.app.box.state.newest
            assert len(there.house.heard(newest)) >= 20 * 4800 - 4800
            there.house.app.box.dispatch(HangUp())

    run_virtual(main())


def test_m64_a_service_that_wants_to_set_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """No message changes a setting, turns the volume, reads a file or opens an address: there is none that could."""
    wanted = {"url": "file:///etc/shadow", "volume": 5000, "gain": "1e9", "audio_url": "http://169.254.169.254/latest"}
    kinds = [*HARMLESS, "config", "set_volume", "play_url", "reconnect", "update"]
    messages = [says(kind, **wanted) for kind in kinds]

    async def main() -> None:
        async with town(all_arrives=False) as there, instead(there, sends(texts(messages))):
            reached: list[Any] = []
            connect = asyncio.get_running_loop().sock_connect

            async def reach(sock: socket.socket, address: Any) -> None:  # noqa: ANN401  # as the loop's own
                reached.append(address[0])
                await connect(sock, address)

            monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", reach)
            settings, volume = there.house.app.settings, there.house.app.volume.level
            await there.house.wake()
            await asyncio.sleep(3)
            assert there.house.app.settings == settings
            assert there.house.app.volume.level == volume
            assert set(reached) <= {"127.0.0.1", "::1"}
            assert not re.search(r"root:[^\n]*:0:", there.log.getvalue())
            there.house.app.box.dispatch(HangUp())

    run_virtual(main())
