"""What each fault of the simulated ZeebeeAI does, for test_faults.py."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from tests.simulator.client import QUESTION, Client, client_of
from voicebox.audio.decode import Decoder
from voicebox.services.base import Sound
from voicebox.simulator import Simulator
from voicebox.wire import wav
from voicebox.wire.zeebee import BAD_AUDIO, NO_AUDIO, NOT_SPOKEN, NOT_UNDERSTOOD, UNKNOWN_USER

Check = Callable[[Simulator], Awaitable[None]]
CHECKS: dict[str, Check] = {}
WAV = base64.b64encode(wav.pack(QUESTION, 16_000)).decode()


def proves(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


async def ask(client: Client, until: str = "audio_stream_end") -> list[dict[str, Any]]:
    """What comes in answer to one utterance, as objects."""
    before = len(client.got)
    await client.send({"type": "audio", "audio_data": WAV})
    await client.until(until, 30)
    return [got.message for got in client.got[before:] if isinstance(got.message, dict)]


async def enter(client: Client, simulator: Simulator) -> None:
    await client.send({"type": "init", "api_key": simulator.token})
    await client.until("init_ack", 5)


async def answer(simulator: Simulator, until: str = "audio_stream_end") -> list[dict[str, Any]]:
    async with client_of(simulator) as client:
        await enter(client, simulator)
        return await ask(client, until)


def chunks(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [message for message in messages if message["type"] == "audio_chunk"]
    assert found
    return found


def plays(simulator: Simulator, sound: bytes) -> bool:
    """Whether it is a file, and holds all that was said."""
    pcm = Decoder()(Sound(1, sound, last=True))
    return 0 < len(pcm) == len(next(iter(simulator.connections[0].sent_pcm.values())))


def joined(messages: list[dict[str, Any]]) -> bytes:
    return base64.b64decode("".join(chunk["data"] for chunk in chunks(messages)), validate=True)


async def complains(simulator: Simulator, text: str) -> None:
    """Once, instead of an answer."""
    async with client_of(simulator) as client:
        await enter(client, simulator)
        (*_, error) = await ask(client, "error")
        assert error["message"] == text
        assert "audio_chunk" not in client.kinds
        await ask(client)


@proves
async def wav_sound(simulator: Simulator) -> None:
    sound = joined(await answer(simulator))
    assert wav.read(sound).is_pcm(24_000)
    assert plays(simulator, sound)


@proves
async def one_piece(simulator: Simulator) -> None:
    messages = await answer(simulator)
    assert len(chunks(messages)) == 1
    assert plays(simulator, joined(messages))


@proves
async def pieces_padded(simulator: Simulator) -> None:
    texts = [chunk["data"] for chunk in chunks(await answer(simulator))]
    assert texts[0].endswith("=")
    assert plays(simulator, b"".join(base64.b64decode(text, validate=True) for text in texts))


@proves
async def pieces_sliced(simulator: Simulator) -> None:
    messages = await answer(simulator)
    assert len(chunks(messages)[0]["data"]) % 4
    assert plays(simulator, joined(messages))


@proves
async def pieces_shuffled(simulator: Simulator) -> None:
    found = chunks(await answer(simulator))
    assert [chunk["chunk_index"] for chunk in found][:2] == [2, 1]
    assert plays(simulator, joined(sorted(found, key=lambda chunk: int(chunk["chunk_index"]))))


@proves
async def pieces_twice(simulator: Simulator) -> None:
    found = chunks(await answer(simulator))
    assert found[::2] == found[1::2]
    assert plays(simulator, joined(found[::2]))


@proves
async def piece_lost(simulator: Simulator) -> None:
    found = chunks(await answer(simulator))
    missing = set(range(found[0]["total_chunks"])) - {chunk["chunk_index"] for chunk in found}
    assert len(missing) == 1


@proves
async def binary_sound(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await enter(client, simulator)
        await ask(client)
        assert "audio_chunk" not in client.kinds
        assert plays(simulator, client.audio())


@proves
async def wrong_total(simulator: Simulator) -> None:
    messages = await answer(simulator)
    assert {message["total_chunks"] for message in messages if "total_chunks" in message} == {
        len(chunks(messages)) // 2
    }


@proves
async def no_total(simulator: Simulator) -> None:
    messages = await answer(simulator)
    assert chunks(messages)
    assert not any("total_chunks" in message for message in messages)


@proves
async def no_end(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await enter(client, simulator)
        first = chunks(await ask(client, "audio_chunk"))[0]
        await client.silence(5)
        assert client.kinds.count("audio_chunk") == first["total_chunks"]
        assert "audio_stream_end" not in client.kinds


@proves
async def old_names(simulator: Simulator) -> None:
    kinds = {message["type"] for message in await answer(simulator)}
    assert {"transcription", "ai_response"} <= kinds
    assert not {"transcript", "response"} & kinds


@proves
async def hears_nothing(simulator: Simulator) -> None:
    await complains(simulator, NO_AUDIO)


@proves
async def refuses_sound(simulator: Simulator) -> None:
    await complains(simulator, BAD_AUDIO)


@proves
async def stt_fails(simulator: Simulator) -> None:
    await complains(simulator, NOT_UNDERSTOOD)


@proves
async def unknown_user(simulator: Simulator) -> None:
    await complains(simulator, UNKNOWN_USER)


@proves
async def unknown_error(simulator: Simulator) -> None:
    await complains(simulator, "The moon is full.")


@proves
async def tts_fails_as_error(simulator: Simulator) -> None:
    await complains(simulator, NOT_SPOKEN.format("openai"))


@proves
async def tts_fails(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await enter(client, simulator)
        messages = await ask(client, "tts_error")
        assert [message["type"] for message in messages][-2:] == ["response", "tts_error"]
        assert chunks(await ask(client))


@proves
async def reconnect_required(simulator: Simulator) -> None:
    for wanted in (True, False):
        async with client_of(simulator) as client:
            await client.until("ping", 25)
            assert ("connection_warning" in [got.kind for got in await client.silence(5)]) is wanted


@proves
async def no_pings(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        await client.until_closed(100)
        assert "ping" not in client.kinds
        assert "connection_warning" in client.kinds


@proves
async def fast_clock(simulator: Simulator) -> None:
    async with client_of(simulator) as client:
        first, second = await client.until("ping", 3), await client.until("ping", 3)
        assert 1.9 < second.at - first.at < 2.1
