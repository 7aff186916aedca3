"""The server around the services: starting, stopping, recording, being found."""

import asyncio
import json
import logging
import socket
import wave
from pathlib import Path

import pytest

from tests.simulator.client import QUESTION, SILENCE, client_of
from voicebox.errors import DeviceError
from voicebox.redact import redact
from voicebox.services import base as services
from voicebox.services import lira
from voicebox.simulator import Simulator
from voicebox.simulator.base import discover
from voicebox.simulator.command import Options, serve
from voicebox.virtualtime import run_virtual


def test_services_are_found_by_scanning() -> None:
    """A new service is one new file; each is a service the box itself knows."""
    assert "lira" in discover()
    assert discover().keys() <= services.discover().keys()


def test_it_listens_on_loopback_with_its_own_token_and_meeting() -> None:
    async def main() -> None:
        async with Simulator() as one, Simulator() as two:
            assert one.url.startswith("ws://127.0.0.1:")
            assert one.url != two.url
            assert one.token != two.token
            assert one.meeting_id != two.meeting_id
            assert one.token not in redact(f"a log line with {one.token}")

    run_virtual(main())


def test_the_boxes_own_adapter_takes_the_address_as_it_is() -> None:
    """The daemon without a service dials exactly this."""

    async def main() -> None:
        awkward = "a&b=ü %"
        async with Simulator(token=awkward) as simulator:
            own = lira.Settings(url=simulator.url, meeting_id=simulator.meeting_id, allow_plain=True)
            dial, _ = lira.Service(own).dial({"lira_token": simulator.token}, now=0.0)
            assert dial.url.startswith(simulator.url)
            async with client_of(simulator, dial.url.partition("?token=")[2]) as client:
                await client.join(simulator)

    run_virtual(main())


def test_a_port_in_use_is_said_with_what_to_do() -> None:
    async def main() -> None:
        async with Simulator() as first:
            port = int(first.url.split(":")[2].split("/")[0])
            second = Simulator(port=port)
            with pytest.raises(DeviceError, match=rf"port {port}.*ss -ltnp.*another port"):
                await second.start()
            await second.stop()

    run_virtual(main())


def test_a_port_is_free_again_after_stop() -> None:
    async def main() -> None:
        first = Simulator()
        port = int((await first.start()).split(":")[2].split("/")[0])
        async with client_of(first) as client:
            await client.join(first)
            await first.stop()
        async with Simulator(port=port):
            pass

    run_virtual(main())


@pytest.mark.parametrize("faults", [(), ("stall_mid_reply",)], ids=["sending", "stalled"])
def test_stop_closes_with_1001_and_leaves_no_task(faults: tuple[str, ...]) -> None:
    """Also in the middle of a reply; twice and before start is fine."""

    async def main() -> None:
        simulator = Simulator(brain="talker", faults=faults)
        await simulator.stop()
        await simulator.start()
        async with client_of(simulator) as client:
            await client.listen(simulator)
            await client.speak(QUESTION + SILENCE)
            await client.until("audio")
            await client.silence(2)
            before = asyncio.get_running_loop().time()
            stopping = asyncio.create_task(simulator.stop())
            closed = await client.until_closed()
            await stopping
            assert asyncio.get_running_loop().time() - before <= 1.0
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1001
        await simulator.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_stop_does_not_wait_for_clients_that_never_speak_or_answer() -> None:
    """A TCP connection without a request, and a client that never answers our close."""

    async def main() -> None:
        simulator = Simulator(brain="talker")
        await simulator.start()
        port = int(simulator.url.split(":")[2].split("/")[0])
        mute = socket.create_connection(("127.0.0.1", port))
        deaf = socket.create_connection(("127.0.0.1", port))
        path = f"/lira/v1/ws?token={simulator.token}"
        deaf.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await asyncio.sleep(1)
        assert deaf.recv(12) == b"HTTP/1.1 101"
        before = asyncio.get_running_loop().time()
        await simulator.stop()
        assert asyncio.get_running_loop().time() - before <= 1.0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        mute.close()
        deaf.close()

    run_virtual(main())


def test_it_works_by_the_real_clock_too() -> None:
    """Nothing in it depends on virtual time."""

    async def main() -> None:
        async with Simulator() as simulator, client_of(simulator) as client:
            await client.listen(simulator)
            await client.speak(QUESTION + SILENCE)
            await client.until("ai_response_end", 20)
            assert len(client.audio()) > 48_000

    asyncio.run(main())


def test_it_records_audio_and_messages_but_never_the_token(tmp_path: Path) -> None:
    async def main() -> Simulator:
        simulator = Simulator(record=tmp_path / "new" / "recording")
        async with simulator:
            for _ in range(2):
                async with client_of(simulator) as client:
                    await client.listen(simulator)
                    await client.speak(QUESTION + SILENCE)
                    await client.until("ai_response_end")
        return simulator

    simulator = run_virtual(main())
    files = sorted((tmp_path / "new" / "recording").iterdir())
    assert [f.name for f in files] == [f"connection-00{n}.{kind}" for n in (1, 2) for kind in ("jsonl", "wav")]
    with wave.open(str(files[1])) as recording:
        assert recording.getparams()[:3] == (1, 2, 16_000)
        assert recording.readframes(recording.getnframes()) == QUESTION + SILENCE
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert json.loads(lines[0]["text"]) == {"type": "join", "meetingId": simulator.meeting_id}
    assert {line["direction"] for line in lines} == {"received", "sent"}
    assert sum(line.get("bytes", 0) for line in lines if line["direction"] == "received") == len(QUESTION + SILENCE)
    assert all(simulator.token.encode() not in f.read_bytes() for f in files)
    assert simulator.connections == []  # nothing is kept unless asked for


def test_a_directory_that_cannot_be_written_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def main() -> None:
        with pytest.raises(DeviceError, match="cannot record to"):
            await Simulator(record=tmp_path / "file" / "below").start()

    run_virtual(main())


def test_the_token_is_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """LIRA-03 from the other side: websockets would write every header at DEBUG."""
    caplog.set_level(logging.INFO, "websockets.client")  # that one is the test's
    caplog.set_level(logging.DEBUG)

    async def main() -> str:
        async with Simulator() as simulator:
            async with client_of(simulator) as client:
                await client.join(simulator)
            return simulator.token

    token = run_virtual(main())
    assert "DEBUG" in caplog.text
    assert token not in caplog.text


def test_simulate_says_where_it_is_and_what_to_configure() -> None:
    said: list[str] = []

    async def main() -> None:
        heard = asyncio.Event()

        def say(text: str) -> None:
            said.append(text)
            heard.set()

        running = asyncio.create_task(serve(Options(brain="talker", faults=("no_reply",), bursty=True), say))
        await heard.wait()
        running.cancel()
        await asyncio.wait({running})
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())
    (text,) = said
    assert "lira (talker) listens at ws://127.0.0.1:" in text
    for line in ('service = "lira"', "[lira]", "allow_plain = true", 'meeting_id = "mtg_', "VOICEBOX_LIRA_TOKEN="):
        assert line in text
