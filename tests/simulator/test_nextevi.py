"""EVI-79: the server's side of NextEVI's protocol, against a raw WebSocket client."""

import uuid

import numpy as np
import pytest

from tests.simulator.client import Got
from tests.simulator.nextevi_client import (
    CHUNK,
    QUESTION_24K,
    RATE,
    SETTINGS,
    SILENCE_24K,
    EviClient,
    address,
    evi_client_of,
    status_of,
)
from voicebox.simulator import Simulator
from voicebox.simulator.nextevi import api_key
from voicebox.virtualtime import run_virtual
from voicebox.wire import nextevi as wire
from voicebox.wire import wav

UNDOCUMENTED = {"user_interruption", "turn_complete", "system_message", "idle_warning", "websocket.disconnect"}


def test_evi_79_who_may_connect() -> None:
    async def main() -> None:
        async with Simulator("nextevi") as simulator:
            token = f"Bearer {simulator.token}"
            assert await status_of(simulator) == 101
            assert await status_of(simulator, {"Authorization": token}, api_key=None) == 101
            assert await status_of(simulator, api_key=None, authorization=token) == 101
            assert await status_of(simulator, project_id="p") == 101
            assert await status_of(simulator, api_key="oak_wrong") == 401
            assert await status_of(simulator, api_key=simulator.token) == 401
            assert await status_of(simulator, api_key=None) == 401
            assert (
                await status_of(simulator, {"Authorization": "Bearer ü".encode().decode("latin1")}, api_key=None) == 401
            )
            assert await status_of(simulator, {"Authorization": token}) == 400, "both kinds"
            assert await status_of(simulator, config_id=None) == 400
            assert await status_of(simulator, connection="conn-123") == 400
            assert await status_of(simulator, connection=str(uuid.uuid1())) == 400
            used = str(uuid.uuid4())
            assert [await status_of(simulator, connection=used) for _ in range(2)] == [101, 400]
            simulator.url = simulator.url.replace("/voice", "/text")
            assert await status_of(simulator) == 404

    run_virtual(main())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_evi_79_every_handshake_status_on_cue(status: int) -> None:
    async def main() -> None:
        async with Simulator("nextevi", faults=[f"http_status={status}"]) as simulator:
            assert await status_of(simulator) == status
            assert await status_of(simulator) == 101

    run_virtual(main())


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1011, 4001, 4002, 4003, 4004])
def test_evi_79_every_close_code_on_cue(code: int) -> None:
    async def main() -> None:
        async with Simulator("nextevi", faults=[f"close_code={code}", "undocumented"]) as simulator:
            async with evi_client_of(simulator) as client:
                await client.say(SETTINGS)
                closed = await client.until_closed(1)
                assert closed.rcvd is not None
                assert closed.rcvd.code == code
                assert client.of("websocket.disconnect")[0]["code"] == code
            async with evi_client_of(simulator) as client:
                await client.begin()

    run_virtual(main())


def test_evi_79_and_1006_by_breaking_off() -> None:
    async def main() -> None:
        async with Simulator("nextevi", faults=["drop_mid_reply"]) as simulator, evi_client_of(simulator) as client:
            await client.begin()
            await client.talk()
            closed = await client.until_closed(5)
            assert closed.rcvd is None

    run_virtual(main())


def test_evi_79_metadata_comes_first_and_unasked() -> None:
    async def main() -> None:
        async with Simulator("nextevi") as simulator:
            own = str(uuid.uuid4())
            async with evi_client_of(simulator, connection=own, project_id="p7") as client:
                metadata = await client.next()
                assert metadata.kind == "connection_metadata"
                assert metadata.fields["connection_id"] == own
                assert (metadata.fields["project_id"], metadata.fields["config_id"]) == ("p7", simulator.meeting_id)
                assert metadata.fields["config"]["sample_rate"] == RATE
                assert isinstance(metadata.message["timestamp"], float)

    run_virtual(main())


def test_evi_79_an_unknown_configuration_is_closed_with_4002() -> None:
    async def main() -> None:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator, config_id="other") as client:
            closed = await client.until_closed(1)
            assert closed.rcvd is not None
            assert closed.rcvd.code == 4002

    run_virtual(main())


@pytest.mark.parametrize("dialect", ["documented", "sdk", "both"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "base64"])
@pytest.mark.parametrize("envelope", ["data", "flat"])
def test_evi_79_a_turn_in_every_form(dialect: wire.Dialect, binary: bool, envelope: wire.Envelope) -> None:
    """Nested and flat settings, binary and base64 sound, nested and flat answers."""

    async def main() -> tuple[EviClient, bytes]:
        async with (
            Simulator("nextevi", envelope=envelope, keep=True) as simulator,
            evi_client_of(simulator) as client,
        ):
            await client.begin(dialect)
            await client.talk(binary=binary)
            await client.silence(5)
        return client, bytes(simulator.connections[0].sent_pcm[1])

    client, said = run_virtual(main())
    assert "error" not in client.kinds
    order = list(dict.fromkeys(kind for kind in client.kinds if kind != "connection_metadata"))
    assert order == [
        *("status", "turn_start", "transcription", "turn_end", "emotion_update", "llm_response_chunk", "tts_chunk"),
    ]
    assert client.reply() == said
    assert all(wav.read(sound).is_pcm(RATE) for sound in client.sounds())
    nested = [got for got in client.got if got.kind != "tts_chunk"]
    assert all(("data" in got.message) == (envelope == "data") for got in nested)
    assert len({got.message["message_id"] for got in client.got}) == len(client.got)


def test_evi_79_the_parrot_says_back_what_it_heard_at_24_khz() -> None:
    async def main() -> bytes:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator) as client:
            await client.begin()
            await client.talk()
            await client.silence(5)
            return client.reply()

    reply = np.frombuffer(run_virtual(main()), "<i2").astype(float)
    question = np.frombuffer(QUESTION_24K, "<i2").astype(float)
    match = np.correlate(reply, question[:RATE], "valid")
    at = int(match.argmax())
    likeness = match[at] / np.linalg.norm(reply[at : at + RATE]) / np.linalg.norm(question[:RATE])
    assert likeness > 0.99


async def _everything(client: EviClient) -> None:
    await client.begin()
    await client.talk()
    await client.until("tts_chunk", 5)
    await client.talk(QUESTION_24K)
    await client.silence(3)
    await client.send({"type": "nonsense"})
    await client.until("error", 1)


@pytest.mark.parametrize("undocumented", [False, True])
def test_evi_79_all_server_types(undocumented: bool) -> None:
    async def main() -> set[str]:
        faults = ["undocumented", "close_code=1001"] if undocumented else []
        async with Simulator("nextevi", faults=faults) as simulator:
            kinds: set[str] = set()
            if undocumented:
                async with evi_client_of(simulator) as client:
                    await client.say(SETTINGS)
                    await client.until_closed(1)
                    kinds = set(client.kinds)
            async with evi_client_of(simulator) as client:
                await _everything(client)
            return kinds | set(client.kinds)

    kinds = run_virtual(main())
    expected = set(wire.SERVER_MESSAGES)
    assert kinds == (expected - {"tts_interruption"} if undocumented else expected - UNDOCUMENTED)


def test_evi_79_the_client_may_write_and_interrupt_as_the_vendors_clients_do() -> None:
    async def main() -> list[str]:
        async with Simulator("nextevi", brain="talker") as simulator, evi_client_of(simulator) as client:
            await client.begin("sdk")
            await client.send({"type": "text_input", "text": "hello"})
            await client.until("tts_chunk", 5)
            await client.send({"type": "interrupt"})
            await client.until("tts_interruption", 1)
            await client.send({"type": "keep_alive"})
            await client.send({"type": "text_input", "text": " "})
            return [got.fields["error_code"] for got in [await client.until("error", 1)]]

    assert run_virtual(main()) == ["INVALID_MESSAGE"]


def test_the_boxes_own_adapter_takes_the_access_as_it_is() -> None:
    """EVI-79; the key begins with oak_ whatever the simulator's token is"""
    from voicebox.services import nextevi  # noqa: PLC0415

    async def main() -> None:
        for token in (None, "oak_given"):
            async with Simulator("nextevi", token=token) as simulator:
                section, secrets = simulator.access
                dial, _ = nextevi.Service(nextevi.Settings(**section)).dial(secrets, 0.0)
                assert dial.url.startswith(f"{simulator.url}/")
                assert secrets == {"nextevi_api_key": api_key(simulator._setup)}
                assert address(simulator).partition("?")[2] in dial.url

    run_virtual(main())


def test_silence_alone_is_no_turn() -> None:
    async def main() -> list[Got]:
        async with Simulator("nextevi") as simulator, evi_client_of(simulator) as client:
            await client.begin()
            await client.talk(SILENCE_24K * 2, chunk=CHUNK)
            return await client.silence(10)

    assert run_virtual(main()) == []
