"""LIRA-46: every fault in the table does what the table says. Here are the checks of those that Lira can have; those of
one other service are in ``faults_NAME.py`` beside this file."""

import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.simulator.client import QUESTION, SILENCE, Client, client_of
from voicebox.assets import speech
from voicebox.errors import ConfigError
from voicebox.simulator import Simulator
from voicebox.simulator.faults import FAULTS, Faults, describe_faults
from voicebox.simulator.recording import Memory
from voicebox.virtualtime import run_virtual

Check = Callable[[Simulator], Awaitable[None]]
CHECKS: dict[str, Check] = {
    name: check
    for file in sorted(Path(__file__).parent.glob("faults_*.py"))
    for name, check in importlib.import_module(f"tests.simulator.{file.stem}").CHECKS.items()
}


def proves(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


async def ask(client: Client, simulator: Simulator) -> None:
    await client.listen(simulator)
    await client.speak(QUESTION + SILENCE)


async def works(simulator: Simulator) -> None:
    """A whole turn goes well: the fault has struck once and is gone."""
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("ai_response_end", 5)
        await client.silence(3)  # nothing follows it
        assert client.kinds.count("error") == 0
        assert len(client.audio()) > 48_000


async def refused_with(simulator: Simulator, status: int) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as refused:
        async with client_of(simulator):
            pass
    assert refused.value.response.status_code == status
    return refused.value


async def joining_fails(simulator: Simulator, code: str) -> None:
    async with client_of(simulator) as client:
        await client.send({"type": "join", "meetingId": simulator.meeting_id})
        assert (await client.until("error", 1)).fields["code"] == code
        assert "joined" not in client.kinds


async def breaks_off(simulator: Simulator) -> ConnectionClosed:
    """A turn during which the connection ends; how it ended."""
    async with client_of(simulator) as client:
        await ask(client, simulator)
        closed = await client.until_closed(5)
        assert "ai_response_end" not in client.kinds
        assert 0 < len(client.audio()) < 60_000
    return closed


def was_reset(closed: ConnectionClosed) -> bool:
    return closed.rcvd is None and isinstance(closed.__cause__, ConnectionResetError)


def kept(simulator: Simulator) -> Memory:
    return simulator.connections[-1]


@proves
async def unauthorized(simulator: Simulator) -> None:
    for _ in range(2):
        await refused_with(simulator, 401)


@proves
async def http_503(simulator: Simulator) -> None:
    refused = await refused_with(simulator, 503)
    assert refused.response.headers["Retry-After"] == "3"
    await works(simulator)


@proves
async def unauthorized_message(simulator: Simulator) -> None:
    for _ in range(2):
        await joining_fails(simulator, "UNAUTHORIZED")


@proves
async def session_not_found(simulator: Simulator) -> None:
    for _ in range(2):
        await joining_fails(simulator, "SESSION_NOT_FOUND")


@proves
async def already_joined(simulator: Simulator) -> None:
    await joining_fails(simulator, "ALREADY_JOINED")
    await works(simulator)


@proves
async def already_joined_always(simulator: Simulator) -> None:
    for _ in range(2):
        await joining_fails(simulator, "ALREADY_JOINED")


@proves
async def never_joined(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await client.send({"type": "join", "meetingId": simulator.meeting_id})
        assert await client.silence(60) == []


@proves
async def rate_limited(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        assert (await client.until("error", 1)).fields["code"] == "RATE_LIMITED"
        await client.until("ai_response_end", 5)  # and goes on
    await works(simulator)


@proves
async def drop_mid_utterance(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await client.listen(simulator)
        await client.speak(QUESTION[:32_000])
        assert was_reset(await client.until_closed(1))
        assert "transcript" not in client.kinds
    await works(simulator)


@proves
async def no_reply(simulator: Simulator) -> None:
    for _ in range(2):
        async with client_of(simulator) as client:
            await ask(client, simulator)
            await client.until("transcript", 1)
            assert await client.silence(60) == []


@proves
async def drop_mid_reply(simulator: Simulator) -> None:
    assert was_reset(await breaks_off(simulator))
    await works(simulator)


@proves
async def close_1011(simulator: Simulator) -> None:
    closed = await breaks_off(simulator)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1011
    await works(simulator)


@proves
async def close_1008(simulator: Simulator) -> None:
    closed = await breaks_off(simulator)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1008
    await works(simulator)


@proves
async def stall_mid_reply(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("audio", 1)
        await client.silence(10)
        half = len(client.audio())
        assert 30_000 < half < 60_000
        assert await client.silence(3000) == []
        await client.until("ai_response_end", 3700)
        assert len(client.audio()) > 1.5 * half


@proves
async def slow_audio(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        first = await client.until("audio", 1)
        last = await client.until("ai_response_end")
        seconds = len(client.audio()) / 48_000
        assert last.at - first.at == pytest.approx(2 * seconds, abs=0.2)


@proves
async def late_audio(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("audio", 1)
        await client.speak(speech("cut_in").tobytes()[:16_000])
        await client.until("interruption", 1)
        at = len(client.got)
        await client.silence(1)
        late = client.audio(at)
        assert len(late) == 0.4 * 48_000
        assert kept(simulator).late_pcm == {1: late}
        assert late not in kept(simulator).sent_pcm[1]


@proves
async def interrupt_storm(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("interruption", 5)
        after = await client.silence(5)
        assert [got.kind for got in after] == ["interruption"] * 299
        assert 0 < len(client.audio()) < 60_000


@proves
async def token_expires(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("ai_response_end", 5)
        assert (await client.until("error", 1)).fields["code"] == "UNAUTHORIZED"
    await works(simulator)


@proves
async def meeting_ends(simulator: Simulator) -> None:
    for _ in range(2):
        async with client_of(simulator) as client:
            await ask(client, simulator)
            await client.until("ai_response_end", 5)
            closed = await client.until_closed(1)
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1000


@proves
async def malformed_json(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("ai_response_end", 5)
        broken = [got.message for got in client.got if isinstance(got.message, str)]
        assert '{"type":"transcript","data":{"text":' in broken
        assert "" in broken
        assert any(got.message is None for got in client.got)  # valid JSON, yet no object


@proves
async def unknown_type(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("ai_response_end", 5)
        strange = [got.message for got in client.got if isinstance(got.message, dict)]
        assert {"type": "weather_report", "data": {"sunny": True}} in strange
        assert {} in strange


@proves
async def duplicate_text(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("ai_response_end", 5)
        said = [got for got in client.got if got.kind in ("ai_response", "transcript")][1:]
        assert [got.kind for got in said] == ["ai_response", "transcript", "ai_response"]
        assert len({got.fields["text"] for got in said}) == 1
        assert said[1].fields["role"] == "assistant"


@proves
async def odd_bytes(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("ai_response_end", 5)
        messages = [got.message for got in client.got if got.kind == "audio"]
        assert messages
        assert all(len(message) % 2 for message in messages)
        assert b"".join(message[:-1] for message in messages) == kept(simulator).sent_pcm[1]


@proves
async def empty_audio(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await ask(client, simulator)
        await client.until("ai_response_end", 5)
        messages = [got.message for got in client.got if got.kind == "audio"]
        assert messages[0] == b""
        assert all(messages[1:])


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_does_what_the_table_says(name: str) -> None:
    """LIRA-46: on cue, once or always."""

    async def main() -> None:
        async with Simulator(FAULTS[name].service or "lira", faults=[name], keep=True) as simulator:
            await CHECKS[name](simulator)

    run_virtual(main())


def test_no_check_is_left_over() -> None:
    assert CHECKS.keys() == FAULTS.keys()


def test_several_faults_and_amounts_at_once() -> None:
    async def main() -> None:
        async with Simulator(faults=["http_503=7.0", "late_audio=100", "odd_bytes"]) as simulator:
            refused = await refused_with(simulator, 503)
            assert refused.response.headers["Retry-After"] == "7"
            async with client_of(simulator) as client:
                await ask(client, simulator)
                await client.until("audio", 1)
                await client.speak(speech("cut_in").tobytes()[:16_000])
                await client.until("interruption", 1)
                at = len(client.got)
                await client.silence(1)
                assert len(client.audio(at)) == 4800 + 2  # two messages, odd ones

    run_virtual(main())


@pytest.mark.parametrize(
    "text", ["", "nonsense", "late_audio=", "late_audio=x", "late_audio=-1", "late_audio=inf", "no_reply=1"]
)
def test_wrong_faults_are_refused_in_words(text: str) -> None:
    if text == "late_audio=":
        assert Faults([text]).amount("late_audio") == 400
        return
    with pytest.raises(ConfigError, match="fault"):
        Faults([text])


def test_the_list_names_every_fault_and_how_often_it_strikes() -> None:
    lines = describe_faults().splitlines()
    assert [line.split()[:2] for line in lines] == [
        [name, "once" if f.once else "always"] for name, f in FAULTS.items()
    ]
    assert all(fault.description in line for fault, line in zip(FAULTS.values(), lines, strict=True))
