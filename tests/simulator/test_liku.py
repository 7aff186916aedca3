"""LIKU-54: the server's side of the protocol, against a raw client; and plain HTTP beside the WebSocket."""

import asyncio
import base64
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.simulator.client import QUESTION, SILENCE
from tests.simulator.liku_client import (
    CHUNK,
    JSON,
    connection_data,
    init,
    liku_client_of,
    login,
    post,
    save,
    token,
)
from voicebox import web
from voicebox.assets import speech
from voicebox.redact import redact
from voicebox.services.base import HttpRequest
from voicebox.simulator import Simulator
from voicebox.simulator.http import MAX_BODY, TIMEOUT
from voicebox.simulator.liku import PATIENCE
from voicebox.virtualtime import run_virtual
from voicebox.wire.liku import INIT_PATH, LOGIN_PATH, SAVE_PATH


def liku(**options: Any) -> Simulator:
    return Simulator("liku", **options)


def test_liku_54_login_gives_a_token_of_40_digits_for_the_right_account_only() -> None:
    async def main() -> None:
        async with liku() as simulator:
            key = await token(simulator)
            assert len(key) == 40
            assert int(key, 16)
            assert await token(simulator) == key
            assert redact(key) == "***"
            for wrong in ({"password": "wrong"}, {"email": "else@liku.example"}):
                answer = await login(simulator, **wrong)
                assert (answer.status, "detail" in json.loads(answer.text)) == (401, True)

    run_virtual(main())


def test_liku_54_liku_01_a_login_that_is_not_as_documented_is_refused() -> None:
    async def main() -> None:
        async with liku() as simulator:
            base = simulator.access[0]["api_url"]
            assert (await login(simulator, more="x")).status == 400
            assert (await login(simulator, email="")).status == 400
            assert (await post(simulator, LOGIN_PATH.rstrip("/"), {})).status == 404
            assert (await post(simulator, LOGIN_PATH, {}, Accept="text/html")).status == 415
            assert (await web.exchange(HttpRequest("get", "GET", base + LOGIN_PATH))).status == 404

    run_virtual(main())


def test_liku_54_init_wants_token_and_topic_and_gives_new_data_each_time() -> None:
    async def main() -> None:
        async with liku() as simulator:
            key = await token(simulator)
            assert (await init(simulator, token=key[:-1], topic_id="55")).status == 401
            assert (await init(simulator, topic_id="55")).status == 401
            answer = await init(simulator, token=key)
            assert (answer.status, json.loads(answer.text)) == (400, {"detail": "No such topic."})
            one = (await init(simulator, token=key, topic_id="55", language="ko")).text
            other = (await init(simulator, token=key, topic_id="55", language="ko")).text
            assert one != other
            held = json.loads(base64.b64decode(one))
            assert (held["topic_id"], held["language"], "token" in held) == ("55", "ko", False)

    run_virtual(main())


def test_liku_54_save_wants_the_token_in_its_header_and_all_three_fields() -> None:
    async def main() -> None:
        async with liku() as simulator:
            key = await token(simulator)
            assert (await save(simulator, "wrong")).status == 401
            assert (await save(simulator, key, topic_id="")).status == 400
            assert (await save(simulator, key, more=1)).status == 400
            assert (await save(simulator, key)).status == 200
            kept = simulator._setup.shared["saved"]
            assert kept == [{"connection_data": "x", "topic_id": "55", "conversation_id": "c1"}]

    run_virtual(main())


@pytest.mark.parametrize(
    "first",
    [b"\0\0", "hello", "{}", '{"connection_data":"wrong"}', '{"connection_data":7}', '{"connection_data":null}'],
)
def test_liku_54_liku_16_a_wrong_first_message_is_closed_with_4000(first: str | bytes) -> None:
    async def main() -> None:
        async with liku() as simulator, liku_client_of(simulator) as client:
            await client.send(first)
            assert await client.close_code(1) == 4000

    run_virtual(main())


def test_liku_54_so_is_none_at_all_and_data_that_was_used_before() -> None:
    async def main() -> None:
        async with liku() as simulator:
            async with liku_client_of(simulator) as client:
                began = asyncio.get_running_loop().time()
                assert await client.close_code(60) == 4000
                assert asyncio.get_running_loop().time() - began == pytest.approx(PATIENCE, abs=0.2)
            data = await connection_data(simulator)
            for closed in (False, True):
                async with liku_client_of(simulator) as client:
                    await client.send({"connection_data": data})
                    if closed:
                        assert await client.close_code(1) == 4000
                    else:
                        assert await client.silence(PATIENCE + 1) == []

    run_virtual(main())


def test_liku_54_liku_15_nothing_belongs_into_the_sockets_address() -> None:
    async def main() -> None:
        async with liku() as simulator:
            with pytest.raises(InvalidStatus) as refused:
                async with liku_client_of(simulator, "?token=x"):
                    pass
            assert refused.value.response.status_code == 400

    run_virtual(main())


@pytest.mark.parametrize("later", ["hello", b"\0", '{"type":"stop"}'])
def test_liku_54_after_it_only_whole_samples_are_expected(later: str | bytes) -> None:
    async def main() -> None:
        async with liku() as simulator, liku_client_of(simulator) as client:
            await client.enter(simulator)
            await client.send(later)
            assert await client.close_code(1) == 1003

    run_virtual(main())


def test_liku_54_a_turn_ends_after_700_ms_of_quiet_and_is_answered_in_the_order_documented() -> None:
    async def main() -> None:
        async with liku(keep=True) as simulator, liku_client_of(simulator) as client:
            await client.enter(simulator)
            await client.speak(QUESTION + SILENCE[: int(0.5 * 32_000)], chunk=CHUNK)
            assert await client.silence(5) == []
            await client.speak(SILENCE[: int(0.3 * 32_000)], chunk=CHUNK)
            await client.until("assistant_transcript", 5)
            assert client.kinds == ["user_transcript", "assistant_message", "audio", "assistant_transcript"]
            user, written, spoken = [got.message for got in client.got if got.kind != "audio"]
            assert user.keys() == {"type", "text", "message_id", "status"}
            assert user["status"] == "completed"
            assert written.keys() == {"type", "text", "message_id"}
            assert spoken.keys() == {"type", "text", "message_id", "response_id"}
            assert client.audio() == bytes(simulator.connections[0].sent_pcm[1])
            assert len(client.audio()) > 48_000  # at 24 kHz

    run_virtual(main())


def test_liku_54_it_is_interrupted_without_a_word() -> None:
    async def main() -> None:
        async with liku(brain="talker") as simulator, liku_client_of(simulator) as client:
            await client.ask(simulator)
            await client.until("audio", 5)
            await client.speak(speech("cut_in").tobytes(), live=True, chunk=CHUNK)
            await client.speak(SILENCE, live=True, chunk=CHUNK)
            await client.until("user_transcript", 5)
            before = len([kind for kind in client.kinds if kind == "assistant_transcript"])
            assert before <= 1
            assert {"interruption", "error"}.isdisjoint(client.kinds)
            await client.until("assistant_message", 1)

    run_virtual(main())


@pytest.mark.parametrize(
    ("fault", "code"), [("meeting_ends", 1000), ("drop_mid_reply", 1006), ("close_1011", 1011), ("token_expires", 1008)]
)
def test_liku_54_it_ends_in_many_ways(fault: str, code: int) -> None:
    async def main() -> None:
        async with liku(faults=[fault]) as simulator, liku_client_of(simulator) as client:
            await client.ask(simulator)
            assert await client.close_code(10) == code

    run_virtual(main())


@pytest.mark.parametrize("fault", ["malformed_json", "unknown_type", "empty_audio", "odd_bytes", "duplicate_text"])
def test_liku_54_what_no_client_should_stumble_over(fault: str) -> None:
    """LIKU-26: among it text that is no JSON"""

    async def main() -> None:
        async with liku(faults=[fault]) as simulator, liku_client_of(simulator) as client:
            await client.ask(simulator)
            await client.until("assistant_transcript", 5)
            await client.silence(1)
            audio = [got.message for got in client.got if got.kind == "audio"]
            strange = {
                "malformed_json": "connection established" in [got.message for got in client.got],
                "unknown_type": "weather_report" in client.kinds,
                "empty_audio": audio[0] == b"",
                "odd_bytes": all(len(pcm) % 2 for pcm in audio),
                "duplicate_text": client.kinds.count("assistant_transcript") == 3,
            }
            assert [name for name, there in strange.items() if there] == [fault]

    run_virtual(main())


def test_liku_54_the_login_can_be_refused() -> None:
    async def main() -> None:
        async with liku(faults=["unauthorized"]) as simulator:
            assert (await login(simulator)).status == 401

    run_virtual(main())


# --- HTTP ----------------------------------------------------------------------------------------------------------


async def say(simulator: Simulator, *pieces: bytes, pause: float = 0.0) -> bytes:
    """These bytes on a connection of their own: all that comes back until it is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(simulator.url.split(":")[2].split("/")[0]))
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(60):
            return await reader.read(-1)
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


def served(work: Coroutine[Any, Any, None]) -> None:
    run_virtual(work)


def test_a_request_may_come_byte_by_byte() -> None:
    async def main() -> None:
        async with liku() as simulator:
            body = json.dumps({"email": "x", "password": "y"}).encode()
            head = f"POST {LOGIN_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in JSON.items())
            whole = head.encode() + b"\r\n" + body
            answer = await say(simulator, *[whole[at : at + 1] for at in range(len(whole))], pause=0.001)
            assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
            assert b"connection: close" in answer.lower()

    served(main())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"\0" * 100, b"400"),
        (b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"400"),  # without Host
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"404"),
        (b"DELETE /chat-stream HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000, b"431"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + b"z" * (MAX_BODY + 1), b"413"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", b"400"),
        (f"GET {SAVE_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), b"404"),
        (f"GET {INIT_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), b"401"),
    ],
)
def test_what_is_no_request_of_its_is_refused(request_: bytes, status: bytes) -> None:
    async def main() -> None:
        async with liku() as simulator:
            assert (await say(simulator, request_)).split(b" ")[1] == status

    served(main())


def test_other_services_have_no_http_beside_their_websocket() -> None:
    async def main() -> None:
        async with Simulator("lira") as simulator:
            path = simulator.url.split("/", 3)[3]
            request = f"POST /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            assert (await say(simulator, request.encode())).split(b" ")[1] in (b"401", b"405")

    served(main())


@pytest.mark.parametrize("half", [b"", b"G", b"P", b"POST /x HTTP/1.1\r\nHost: x\r\n", b"POST /x HTTP/1.1\r\n"])
def test_nobody_is_waited_for_longer_than_5_seconds(half: bytes) -> None:
    async def main() -> None:
        async with liku() as simulator:
            began = asyncio.get_running_loop().time()
            await say(simulator, half)
            assert asyncio.get_running_loop().time() - began == pytest.approx(TIMEOUT, abs=0.1)

    served(main())


def test_it_stops_at_once_whoever_still_stands_at_the_door() -> None:
    async def main() -> None:
        async with liku() as simulator:
            port = int(simulator.url.split(":")[2].split("/")[0])
            guests = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            guests[1][1].write(b"GE")
            guests[2][1].write(b"POST /x HTTP/1.1\r\n")
            await asyncio.sleep(0.1)
            began = asyncio.get_running_loop().time()
            await simulator.stop()
            assert asyncio.get_running_loop().time() - began < 1.0
            for reader, writer in guests:
                async with asyncio.timeout(0.1):
                    assert await reader.read() == b""
                writer.close()

    served(main())
