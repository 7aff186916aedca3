"""Messages no service should send: the connection is given up at once and with a reason, and redialled."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.support.session import JOINED, Line, Tcp, frame, listening, running, upgrade
from voicebox.core.events import ReplyAudio, SessionLost, SessionReady, SessionWarning, VendorRaw
from voicebox.pumps import GOODBYE
from voicebox.virtualtime import run_virtual

LIMIT = 2**20
"""The largest message we take."""


def after_upgrade(data: bytes) -> Callable[[bytes], bytes]:
    return lambda request: upgrade(request) + JOINED + data


def suffer(data: bytes, seconds: float = 5.0) -> tuple[Line, float]:
    """What a session makes of a server that says this after ``joined``; and when it was lost."""

    async def main() -> tuple[Line, float]:
        async with listening(Tcp(after_upgrade(data))) as port:
            line = Line(f"ws://127.0.0.1:{port}/ws", dice=lambda: 0.99)
            line.session._redial.attempt = 10  # one connection is enough
            async with running(line):
                await line.joined()
                await asyncio.sleep(seconds)
                return line, line.events[-1][0]

    return run_virtual(main())


ABUSES = {
    "a message larger than the limit": frame(2, bytes(LIMIT + 1)),
    "a header that claims an exabyte": b"\x82\x7f\x0f" + b"\xff" * 7,
    "a compressed frame, which was not negotiated": frame(2, b"abc", rsv1=True),
    "text that is not UTF-8": frame(1, b'{"type":"\xff\xfe"}'),
    "a masked frame": b"\x82\x84\x01\x02\x03\x04abcd",
    "an unknown opcode": frame(3, b"abc"),
    "a fragmented ping": frame(9, b"abc", fin=False),
    "a continuation of nothing": frame(0, b"abc"),
    "fragments without end": frame(2, bytes(1000), fin=False) + frame(0, bytes(1000), fin=False) * 1100,
    "a close frame of one byte": frame(8, b"\x03"),
}


@pytest.mark.parametrize("data", ABUSES.values(), ids=ABUSES)
def test_abuse_ends_the_connection_with_a_reason_and_a_redial(data: bytes) -> None:
    line, lost_at = suffer(data)
    (lost,) = line.of(SessionLost)
    assert lost.message
    assert lost_at <= GOODBYE
    assert line.of(ReplyAudio) == []


def test_compression_is_not_even_offered() -> None:
    async def main() -> bytes:
        server = Tcp(after_upgrade(b""))
        async with listening(server) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            await line.joined()
            return server.requests[0]

    request = run_virtual(main()).lower()
    assert b"sec-websocket-version" in request
    assert b"permessage-deflate" not in request
    assert b"sec-websocket-extensions" not in request


def test_a_server_that_insists_on_compression_is_refused() -> None:
    def answer(request: bytes) -> bytes:
        return upgrade(request).replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")

    async def main() -> SessionLost:
        async with listening(Tcp(answer)) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            return await line.until(SessionLost)

    assert run_virtual(main()).message


def test_com_10_odd_messages_are_survived() -> None:
    """The session lives on, and what comes after them is heard."""
    nested = '{"a":' * 100_000
    odd: list[str | bytes] = [
        *(b"", b"\x01"),
        *("", "[]", "null", "{", nested, '{"type":NaN}', '{"type":1e999}', '{"type":"error"}', '{"type":"weather"}'),
        json.dumps({"type": "transcript", "data": {"text": 7, "timestamp": [], "speaker": {}}}),
        '{"type":"joined","data":null}',
        '{"type":"ai_response","data":{"text":"\\ud800"}}',
    ]
    data = b"".join(frame(2, m) if isinstance(m, bytes) else frame(1, m.encode()) for m in odd)
    line, _ = suffer(data + frame(2, b"\x01\x02" * 100))
    assert line.of(SessionLost) == []
    assert line.of(ReplyAudio)[-1].pcm == b"\x01\x02" * 100
    assert line.of(SessionWarning)
    assert line.of(VendorRaw)


@pytest.mark.parametrize("nothing", [frame(2, b""), frame(9, b""), frame(1, b"")], ids=["binary", "ping", "text"])
def test_a_flood_of_messages_that_hold_nothing_is_cut_off(nothing: bytes) -> None:
    line, lost_at = suffer(nothing * 20_000)
    (lost,) = line.of(SessionLost)
    assert "hold nothing" in lost.message
    assert lost_at <= GOODBYE


def test_a_few_of_them_are_not() -> None:
    line, _ = suffer((frame(2, b"") + frame(9, b"")) * 40 + frame(2, bytes(2)))
    assert line.of(SessionLost) == []
    assert len(line.of(ReplyAudio)) == 1


def test_a_second_joined_is_no_second_session() -> None:
    line, _ = suffer(JOINED + frame(2, bytes(2)))
    assert line.of(SessionLost) == []
    assert len(line.of(ReplyAudio)) == 1  # it was still listened to after that


def test_garbage_before_joined_is_not_mistaken_for_it() -> None:
    async def main() -> Line:
        server = Tcp(lambda request: upgrade(request) + frame(1, b'{"type":"joinde"}') + frame(2, bytes(100)))
        async with listening(server) as port, running(Line(f"ws://127.0.0.1:{port}/ws")) as line:
            line.session.open()
            await line.until(SessionLost)
            return line

    line = run_virtual(main())
    assert line.of(SessionReady) == []
