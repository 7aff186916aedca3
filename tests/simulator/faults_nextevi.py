"""EVI-79: every fault of the table that only NextEVI can have does what the table says."""

from collections.abc import Awaitable, Callable

import pytest
from websockets.exceptions import InvalidStatus

from tests.simulator.client import Got
from tests.simulator.nextevi_client import SETTINGS, EviClient, evi_client_of
from voicebox.simulator import Simulator
from voicebox.wire import wav

CHECKS: dict[str, Callable[[Simulator], Awaitable[None]]] = {}


def proves(check: Callable[[Simulator], Awaitable[None]]) -> Callable[[Simulator], Awaitable[None]]:
    CHECKS[check.__name__] = check
    return check


async def turn(client: EviClient) -> list[Got]:
    """One turn; all that comes in 5 s."""
    await client.begin()
    await client.talk()
    return await client.silence(5)


async def works(simulator: Simulator) -> None:
    """A whole turn goes well: the fault has struck once and is gone."""
    async with evi_client_of(simulator) as client:
        await turn(client)
        assert "error" not in client.kinds
        assert len(client.reply()) > 48_000


async def closes(simulator: Simulator, code: int, reason: str) -> EviClient:
    async with evi_client_of(simulator) as client:
        await client.until("connection_metadata", 1)
        await client.say(SETTINGS)
        closed = await client.until_closed(1)
        assert closed.rcvd is not None
        assert closed.rcvd.code == code
        assert reason in closed.rcvd.reason
    return client


@proves
async def http_status(simulator: Simulator) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with evi_client_of(simulator):
            pass
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "7"
    await works(simulator)


@proves
async def close_code(simulator: Simulator) -> None:
    await closes(simulator, 4004, "asked for")
    await works(simulator)


@proves
async def config_gone(simulator: Simulator) -> None:
    for _ in range(2):
        await closes(simulator, 4004, "CONFIG_NOT_FOUND")


@proves
async def never_ready(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await client.until("connection_metadata", 1)
        await client.say(SETTINGS)
        assert await client.silence(60) == []
        await client.talk()
        await client.until("tts_chunk", 5)  # but takes sound


@proves
async def audio_failed(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await turn(client)
        assert [error["error_code"] for error in client.of("error")] == ["AUDIO_PROCESSING_FAILED"]
        assert len(client.reply()) > 40_000
    await works(simulator)


@proves
async def status_error(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await turn(client)
        assert [status["status"] for status in client.of("status")] == ["ready", "error", "processing"]
        assert client.reply()


@proves
async def bare_pcm(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await turn(client)
        assert client.sounds()
        assert not any(map(wav.is_wav, client.sounds()))
        assert b"".join(client.sounds()) == simulator.connections[-1].sent_pcm[1]


@proves
async def wav_16k(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await turn(client)
        assert {wav.read(sound).rate for sound in client.sounds()} == {16_000}
        assert len(client.reply()) == pytest.approx(len(simulator.connections[-1].sent_pcm[1]) * 2 / 3, rel=0.01)


@proves
async def bad_audio(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await turn(client)
        assert client.of("tts_chunk")[0]["content"] == "%%%"
        broken, whole = client.sounds()[:2], client.sounds()[2:]
        for sound in broken:
            with pytest.raises(ValueError, match="cut short"):
                wav.read(sound)
        assert b"".join(wav.read(sound).data for sound in whole) == simulator.connections[-1].sent_pcm[1]


@proves
async def growing_text(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await turn(client)
        contents = [chunk["content"] for chunk in client.of("llm_response_chunk")]
        assert len(contents) > 2
        assert all(contents[-1].startswith(content) for content in contents)


@proves
async def undocumented(simulator: Simulator) -> None:
    async with evi_client_of(simulator) as client:
        await turn(client)
        assert {"turn_complete", "system_message", "idle_warning"} <= set(client.kinds)
        last = client.of("tts_chunk")[-1]
        assert (last["content"], last["is_last"]) == ("", True)
        assert client.of("emotion_update")[0]["top_emotions"][0] == {"emotion": "Joy", "percentage": 85}
        await client.talk()
        await client.until("tts_chunk", 5)
        await client.talk()
        await client.until("user_interruption", 5)
        assert "tts_interruption" not in client.kinds
